set local role app_owner;
create or replace view usage.counted with (security_invoker = true) as
select d.organization_id, d.billed_month, d.day, d.api_key_id, d.endpoint, d.method, d.plan, d.status_class, d.requests, d.billable
from usage.daily_usage d
union all
select u.organization_id, u.billed_month, (u.occurred_at at time zone 'utc')::date, u.api_key_id, u.endpoint, u.method, u.plan,
       u.status_code / 100, 1::bigint, u.is_billable::integer::bigint
from usage.usage_records u
where u.occurred_at >= usage.counted_until();
