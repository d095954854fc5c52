-- name: lock^
-- The organization with its plan, what is pending and both ranks, locked until the transaction ends; by organizations_pkey.
select o.organization_id as id, o.name, o.plan, o.pending_plan, o.updated_at, billing.plan_at(o.organization_id, :now) as plan_now
from tenancy.organizations o
where o.organization_id = :organization_id
for update of o;

-- name: rank$
-- The order of a plan among the plans; by plans_pkey.
select rank from billing.price_on(:plan, :today);

-- name: change^
-- The organization on its new plan or with its pending one; a trigger appends the segments. By organizations_pkey.
update tenancy.organizations
set plan = :plan, pending_plan = :pending_plan, updated_at = :now
where organization_id = :organization_id
returning organization_id as id, name, plan, pending_plan, updated_at;

-- name: has_overdue$
-- Whether an invoice is past its due date and not paid; by billing_cycles_status_idx.
select exists (
    select from billing.billing_cycles
    where organization_id = :organization_id and (status = 'overdue' or status = 'pending' and due_date < :now)
);

-- name: offers
-- The plans that can be had, lowest first, at what the organization would pay for them today; by plans_pkey.
select p.plan, p.currency, p.base_minor, p.included, p.overage_minor, p.overage_per, p.is_hard_quota, p.per_minute, p.max_api_keys
from (select distinct plan from billing.plans) known
cross join lateral billing.price_for(:organization_id, known.plan, :today) p
order by p.rank;

-- name: standing^
-- The organization's plan, what is pending, and the plan in force by its segments; by organizations_pkey and plan_segments_starts_at_idx.
select o.plan, o.pending_plan, coalesce(billing.plan_at(o.organization_id, :now), o.plan) as plan_now
from tenancy.organizations o
where o.organization_id = :organization_id;

-- name: charge_supposing
-- The lines that a month's invoice would have now if the organization moved to a plan at a moment, in order.
select position, kind, plan, description, quantity, unit_minor, unit_per, amount_minor
from billing.charge(:organization_id, :month, :plan, :at_time)
order by position;
