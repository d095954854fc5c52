-- depends: 0082_true_estimates
-- Whether the providers' words and the payments agree, for the organization that a DBA is in.

set local role app_owner;

create view ops.event_reconciliation with (security_invoker = true) as
select p.provider, p.reference, p.status, p.succeeded_minor, e.events,
       case
           when p.succeeded_minor > 0 and e.events = 0 then 'payment without an event'
           when p.succeeded_minor = 0 and e.is_told_paid then 'event without its payment'
       end as difference
from billing.payments p
cross join lateral (
    select count(*) as events, coalesce(bool_or(v.type = 'payment_succeeded' and v.outcome = 'applied'), false) as is_told_paid
    from billing.payment_events v
    where v.provider = p.provider and v.reference in (p.reference, p.provider_payment_id) and v.organization_id = p.organization_id
) e
where p.organization_id = app.current_org_id();
comment on view ops.event_reconciliation is
    'For each payment of the organization in context: what its provider''s events say of it; the difference is null when both agree.';

grant select on ops.event_reconciliation to app_ro;

reset role;
