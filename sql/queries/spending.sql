-- name: summary^
-- Requests made in a range of time, by how they were answered; by usage_records_occurred_at_idx.
select count(*) as total_requests, count(*) filter (where status_code < 400) as successful_requests,
       count(*) filter (where is_billable) as billable_requests
from usage.usage_records
where organization_id = :organization_id and billed_month >= :first_month and occurred_at >= :since and occurred_at < :until;

-- name: by_endpoint
-- Requests made in a range of time for each endpoint, most used first; by usage_records_occurred_at_idx.
select endpoint, method, count(*) as requests, count(*) filter (where status_code < 400) as success_count,
       count(*) filter (where is_billable) as billable
from usage.usage_records
where organization_id = :organization_id and billed_month >= :first_month and occurred_at >= :since and occurred_at < :until
group by endpoint, method
order by requests desc, endpoint, method;

-- name: by_api_key
-- Requests made in a range of time for each key, most used first; by usage_records_occurred_at_idx and api_keys_pkey.
select k.id as api_key_id, k.name, k.mode, k.first4, k.last4, u.requests, u.success_count, u.billable
from (
    select api_key_id, count(*) as requests, count(*) filter (where status_code < 400) as success_count,
           count(*) filter (where is_billable) as billable
    from usage.usage_records
    where organization_id = :organization_id and billed_month >= :first_month and occurred_at >= :since and occurred_at < :until
    group by api_key_id
) u
join tenancy.api_keys k on k.organization_id = :organization_id and k.id = u.api_key_id
order by u.requests desc, k.id;

-- name: by_day
-- A row for each day of a range, zeros too, with its requests and its cost; by usage_records_occurred_at_idx.
select c.day, coalesce(u.requests, 0) as requests, coalesce(u.success_count, 0) as success_count, c.base_minor, c.usage_minor
from billing.cost_by_day(:organization_id, :first_day, :last_day) c
left join (
    select (occurred_at at time zone 'utc')::date as day, count(*) as requests, count(*) filter (where status_code < 400) as success_count
    from usage.usage_records
    where organization_id = :organization_id and billed_month >= :first_month and occurred_at >= :since and occurred_at < :until
    group by 1
) u on u.day = c.day
order by c.day;
