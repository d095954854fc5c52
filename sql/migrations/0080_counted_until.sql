-- depends: 0041_charge_from_rollups
-- The tail of the records is found by its index: a planner that knows where it begins never reads a month from end to end.

set local role app_owner;

-- A function and not a subquery: its value is known while planning, and a subquery's is guessed at a third of the rows.
create function usage.counted_until() returns timestamptz
language plpgsql stable parallel safe
set search_path = ''
as $$
begin
    return (select r.counted_until from usage.rolled_up r);
end
$$;
comment on function usage.counted_until() is 'Requests made before this hour are in the roll-ups.';
revoke execute on function usage.counted_until() from public;
grant execute on function usage.counted_until() to app_rw, app_ro;

create or replace view usage.counted with (security_invoker = true) as
select d.organization_id, d.billed_month, d.day, d.api_key_id, d.endpoint, d.method, d.plan, d.status_class, d.requests, d.billable
from usage.daily_usage d
union all
select u.organization_id, u.billed_month, (u.occurred_at at time zone 'utc')::date, u.api_key_id, u.endpoint, u.method, u.plan,
       u.status_code / 100, 1::bigint, u.is_billable::integer::bigint
from usage.usage_records u
where u.occurred_at >= usage.counted_until();
