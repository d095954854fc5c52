-- name: issued
-- One page of issued invoices, newest first; by billing_cycles_period_key.
select id, period_start, period_end, number, organization_name, organization_email, plan, currency, total_requests, total_amount_minor,
       paid_minor, credited_minor, remainder_minor, status, remark, issued_at, due_date, paid_at, seller_name, seller_address, seller_tax_number
from billing.billing_cycles
where organization_id = :organization_id and issued_at is not null
order by period_start desc
limit :limit offset :offset;

-- name: totals^
-- How many invoices were issued, and what they sum to; by billing_cycles_pkey.
select count(*) as invoices, coalesce(sum(total_amount_minor), 0)::bigint as billed_minor, coalesce(sum(paid_minor), 0)::bigint as paid_minor,
       coalesce(sum(greatest(0, total_amount_minor - paid_minor - credited_minor - remainder_minor)) filter (where status <> 'void'), 0)::bigint
           as outstanding_minor
from billing.billing_cycles
where organization_id = :organization_id and issued_at is not null;

-- name: get^
-- An invoice, issued or parked; by billing_cycles_pkey.
select id, period_start, period_end, number, organization_name, organization_email, plan, currency, total_requests, total_amount_minor,
       paid_minor, credited_minor, remainder_minor, status, remark, issued_at, due_date, paid_at, seller_name, seller_address, seller_tax_number
from billing.billing_cycles
where organization_id = :organization_id and id = :id;

-- name: parked
-- Invoices that a safety bound holds back, oldest first; by billing_cycles_status_idx.
select id, period_start, period_end, number, organization_name, organization_email, plan, currency, total_requests, total_amount_minor,
       paid_minor, credited_minor, remainder_minor, status, remark, issued_at, due_date, paid_at, seller_name, seller_address, seller_tax_number
from billing.billing_cycles
where organization_id = :organization_id and status = 'parked'
order by period_start;

-- name: unpaid
-- Invoices that are owed, oldest first; by billing_cycles_status_idx.
select id, period_start, period_end, number, organization_name, organization_email, plan, currency, total_requests, total_amount_minor,
       paid_minor, credited_minor, remainder_minor, status, remark, issued_at, due_date, paid_at, seller_name, seller_address, seller_tax_number
from billing.billing_cycles
where organization_id = :organization_id and status in ('pending', 'overdue')
order by period_start;

-- name: lines
-- The lines of an invoice, in order; by billing_cycle_lines_pkey.
select position, kind, plan, description, quantity, unit_minor, unit_per, amount_minor
from billing.billing_cycle_lines
where organization_id = :organization_id and billing_cycle_id = :billing_cycle_id
order by position;

-- name: is_missing$
-- Whether the organization existed in a month and has no invoice of it; by billing_cycles_period_key.
select exists (
    select from tenancy.organizations o
    where o.organization_id = :organization_id and o.created_at < (:month::date + interval '1 month') at time zone 'utc'
) and not exists (
    select from billing.billing_cycles c
    where c.organization_id = :organization_id and c.period_start = :month::date::timestamp at time zone 'utc'
);

-- name: overage_shares
-- Each overage line shared among the keys and the endpoints that made it, the largest first; by billing_cycle_lines_pkey and daily_usage_pkey.
select l.position, s.part, k.id as api_key_id, k.name, k.mode, k.first4, k.last4, s.endpoint, s.method, s.requests, s.amount_minor
from billing.overage_shares(:organization_id, :month) s
join (
    select position, row_number() over (order by position) as place
    from billing.billing_cycle_lines
    where organization_id = :organization_id and billing_cycle_id = :billing_cycle_id and kind in ('overage', 'late') and unit_minor > 0
) l on l.place = s.place
left join tenancy.api_keys k on k.organization_id = :organization_id and k.id = s.api_key_id
order by l.position, s.part, s.requests desc, s.api_key_id, s.endpoint, s.method;
