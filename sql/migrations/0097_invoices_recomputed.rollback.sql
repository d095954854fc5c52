set local role app_owner;

drop view ops.invoice_reconciliation;

create or replace view ops.payment_reconciliation with (security_invoker = true) as
select c.number, c.status, c.total_amount_minor, c.paid_minor, coalesce(p.received_minor, 0) as received_minor,
       c.paid_minor - coalesce(p.received_minor, 0) as difference
from billing.billing_cycles c
left join lateral (
    select sum(p.succeeded_minor - p.refunded_minor)::bigint as received_minor
    from billing.payments p
    where p.organization_id = c.organization_id and p.billing_cycle_id = c.id
) p on true
where c.organization_id = app.current_org_id();

reset role;
