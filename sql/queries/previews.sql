-- name: open_month$
-- The month in which a request made now is billed.
select greatest(date_trunc('month', :now::timestamptz at time zone 'utc')::date, usage.first_open_month());

-- name: charge
-- The lines that a month's invoice has now, in order.
select position, kind, plan, description, quantity, unit_minor, unit_per, amount_minor
from billing.charge(:organization_id, :month)
order by position;

-- name: plan^
-- The plan of the organization and what is pending; by organizations_pkey.
select plan, pending_plan, created_at from tenancy.organizations where organization_id = :organization_id;
