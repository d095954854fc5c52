-- name: summary^
-- Requests made in a range of days, by how they were answered; from usage.counted by daily_usage_pkey and usage_records_occurred_at_idx.
select coalesce(sum(requests), 0)::bigint as total_requests,
       coalesce(sum(requests) filter (where status_class < 4), 0)::bigint as successful_requests,
       coalesce(sum(billable), 0)::bigint as billable_requests
from usage.counted
where organization_id = :organization_id and billed_month >= :first_month
  and day >= (:since::timestamptz at time zone 'utc')::date and day < (:until::timestamptz at time zone 'utc')::date;

-- name: by_endpoint
-- Requests made in a range of days for each endpoint, most used first; by the same indexes.
select endpoint, method, sum(requests)::bigint as requests,
       coalesce(sum(requests) filter (where status_class < 4), 0)::bigint as success_count, sum(billable)::bigint as billable
from usage.counted
where organization_id = :organization_id and billed_month >= :first_month
  and day >= (:since::timestamptz at time zone 'utc')::date and day < (:until::timestamptz at time zone 'utc')::date
group by endpoint, method
order by requests desc, endpoint, method;

-- name: by_api_key
-- Requests made in a range of days for each key, most used first; by the same indexes and api_keys_pkey.
select k.id as api_key_id, k.name, k.mode, k.first4, k.last4, u.requests, u.success_count, u.billable
from (
    select api_key_id, sum(requests)::bigint as requests,
           coalesce(sum(requests) filter (where status_class < 4), 0)::bigint as success_count, sum(billable)::bigint as billable
    from usage.counted
    where organization_id = :organization_id and billed_month >= :first_month
      and day >= (:since::timestamptz at time zone 'utc')::date and day < (:until::timestamptz at time zone 'utc')::date
    group by api_key_id
) u
join tenancy.api_keys k on k.organization_id = :organization_id and k.id = u.api_key_id
order by u.requests desc, k.id;

-- name: by_day
-- A row for each day of a range, zeros too, with its requests and its cost; by the same indexes.
select c.day, coalesce(u.requests, 0) as requests, coalesce(u.success_count, 0) as success_count, c.base_minor, c.usage_minor
from billing.cost_by_day(:organization_id, :first_day, :last_day) c
left join (
    select day, sum(requests)::bigint as requests, coalesce(sum(requests) filter (where status_class < 4), 0)::bigint as success_count
    from usage.counted
    where organization_id = :organization_id and billed_month >= :first_month
      and day >= (:since::timestamptz at time zone 'utc')::date and day < (:until::timestamptz at time zone 'utc')::date
    group by day
) u on u.day = c.day
order by c.day;
