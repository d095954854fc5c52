-- name: stats^
-- The figures of the dashboard's head; usage from usage.counted by daily_usage_pkey and usage_records_occurred_at_idx, keys by their primary key.
select o.name, o.plan, u.total_requests_30d, u.successful_requests_30d, u.current_month_requests,
       (select coalesce(sum(amount_minor), 0)::bigint from billing.charge(:organization_id, :month)) as current_month_cost_minor,
       (select count(*) from tenancy.api_keys k where k.organization_id = :organization_id and k.is_active
          and (k.expires_at is null or k.expires_at > :now)) as active_api_keys,
       (select count(*) from tenancy.api_keys k where k.organization_id = :organization_id) as total_api_keys,
       o.keys_suspended_at
from tenancy.organizations o
cross join lateral (
    select coalesce(sum(c.requests) filter (where c.day >= (:since::timestamptz at time zone 'utc')::date), 0)::bigint as total_requests_30d,
           coalesce(sum(c.requests) filter (where c.day >= (:since::timestamptz at time zone 'utc')::date and c.status_class < 4), 0)::bigint
               as successful_requests_30d,
           coalesce(sum(c.billable) filter (where c.billed_month = :month), 0)::bigint as current_month_requests
    from usage.counted c
    where c.organization_id = :organization_id and c.billed_month in (:since_month, :second_month, :third_month, :last_month)
) u
where o.organization_id = :organization_id;

-- name: usage_graph
-- A row for each of the last 30 days, zeros too; by the same indexes.
select day::date as date, coalesce(u.requests, 0) as requests, coalesce(u.success_count, 0) as success_count,
       coalesce(u.requests - u.success_count, 0) as error_count
from generate_series(:first_day::date, :last_day::date, interval '1 day') as day
left join (
    select c.day as date, sum(c.requests)::bigint as requests,
           coalesce(sum(c.requests) filter (where c.status_class < 4), 0)::bigint as success_count
    from usage.counted c
    where c.organization_id = :organization_id and c.billed_month in (:since_month, :second_month, :third_month, :last_month)
      and c.day >= (:since::timestamptz at time zone 'utc')::date
    group by c.day
) u on u.date = day::date
order by day;

-- name: api_keys
-- Each key with its requests of the last 30 days and its share of what those months cost over the included requests, in minor units.
with counted as materialized (
    select c.api_key_id, c.billed_month, c.plan,
           coalesce(sum(c.requests) filter (where c.day >= (:since::timestamptz at time zone 'utc')::date), 0)::bigint as requests,
           coalesce(sum(c.billable) filter (where c.day >= (:since::timestamptz at time zone 'utc')::date), 0)::bigint as billable,
           sum(c.billable)::bigint as month_billable
    from usage.counted c
    where c.organization_id = :organization_id and c.billed_month in (:since_month, :second_month, :third_month, :last_month)
    group by c.api_key_id, c.billed_month, c.plan
),
rated as (
    select m.month::date as billed_month, c.plan, c.amount_minor,
           (select sum(u.month_billable) from counted u where u.billed_month = m.month::date and u.plan = c.plan) as billable
    from generate_series(:since_month::date, :month::date, interval '1 month') as m (month)
    cross join lateral billing.charge(:organization_id, m.month::date) c
    where c.kind = 'overage'
),
by_key as (
    select used.api_key_id, sum(used.requests)::bigint as requests,
           round(coalesce(sum(rated.amount_minor * used.billable / nullif(rated.billable, 0)), 0))::bigint as cost_minor
    from counted used
    left join rated on rated.billed_month = used.billed_month and rated.plan = used.plan
    group by used.api_key_id
)
select k.id, k.name, k.mode, k.first4, k.last4, k.is_active, k.expires_at, k.created_at, k.last_used_at,
       coalesce(b.requests, 0) as requests_30d, coalesce(b.cost_minor, 0) as cost_30d_minor
from tenancy.api_keys k
left join by_key b on b.api_key_id = k.id
where k.organization_id = :organization_id
order by k.created_at desc, k.id;
