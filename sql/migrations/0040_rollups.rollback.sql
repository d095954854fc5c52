create or replace view ops.usage_reconciliation with (security_invoker = true) as
select c.number, c.period_start, c.total_requests as invoiced, counted.requests as recorded, c.total_requests - counted.requests as difference
from billing.billing_cycles c
cross join lateral (
    select count(*) as requests
    from usage.usage_records u
    where u.organization_id = c.organization_id and u.billed_month = (c.period_start at time zone 'utc')::date and u.is_billable
) counted
where c.organization_id = app.current_org_id();
delete from ops.reviewed_functions where function in ('usage.count_hours()', 'usage.detach_partition(date)');
delete from ops.waivers where object in ('usage.hourly_usage', 'usage.daily_usage', 'usage.rolled_up');
revoke select (organization_id) on tenancy.organizations from usage_recorder;
revoke select on usage.usage_records from usage_recorder;
drop trigger usage_records_add_late on usage.usage_records;
drop function usage.detach_partition(date);
drop function usage.differences(uuid, date);
drop function usage.count_hours();
drop function usage.seal_hours(timestamptz);
drop function usage.add_late();
drop view usage.counted;
drop table usage.hourly_usage;
drop table usage.daily_usage;
drop table usage.rolled_up;
