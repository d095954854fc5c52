-- depends: 0096_credit_notes
-- A DBA sees each invoice beside what raw usage makes of it, and what is paid in the invoice's own currency, disputes included.

set local role app_owner;

create view ops.invoice_reconciliation with (security_invoker = true) as
select c.number, (c.period_start at time zone 'utc')::date as month, c.status, c.total_requests as invoiced, recorded.requests as recorded,
       c.total_requests - recorded.requests as difference, written.minor as invoiced_minor, again.minor as recomputed_minor,
       written.minor - again.minor as difference_minor
from billing.billing_cycles c
cross join lateral (
    select case when count(*) > 0 or c.total_requests = 0 or exists (
        select from pg_catalog.pg_class p
        where p.relnamespace = 'usage'::regnamespace and p.relispartition
          and p.relname = 'usage_records_' || to_char(c.period_start at time zone 'utc', 'YYYY_MM')
    ) then count(*) end as requests
    from usage.usage_records u
    where u.organization_id = c.organization_id and u.billed_month = (c.period_start at time zone 'utc')::date and u.is_billable
) recorded
-- What is carried to the next invoice is no part of what was charged.
cross join lateral (
    select coalesce(sum(l.amount_minor), 0)::bigint as minor
    from billing.billing_cycle_lines l
    where l.organization_id = c.organization_id and l.billing_cycle_id = c.id and not (l.kind = 'carry' and l.amount_minor < 0)
) written
cross join lateral (
    select coalesce(sum(a.amount_minor), 0)::bigint as minor
    from billing.charge(c.organization_id, (c.period_start at time zone 'utc')::date) a
) again
where c.organization_id = app.current_org_id();
comment on view ops.invoice_reconciliation is
    'Each invoice of the organization in context beside its raw records (null once their month is stored away) and beside billing.charge: both differences are 0.';

create or replace view ops.payment_reconciliation with (security_invoker = true) as
select c.number, c.status, c.total_amount_minor, c.paid_minor, coalesce(p.received_minor, 0) as received_minor,
       c.paid_minor - coalesce(p.received_minor, 0) as difference
from billing.billing_cycles c
left join lateral (
    select sum(billing.worth(p.succeeded_minor, p) - billing.worth(p.refunded_minor, p) - billing.worth(p.charged_back_minor, p))::bigint
        as received_minor
    from billing.payments p
    where p.organization_id = c.organization_id and p.billing_cycle_id = c.id
) p on true
where c.organization_id = app.current_org_id();

grant select on ops.invoice_reconciliation to app_ro;

reset role;
