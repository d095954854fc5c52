set local role app_owner;

grant execute on function usage.first_open_month() to usage_recorder;
grant usage on schema app to usage_recorder, audit_writer;
grant execute on function app.current_org_id() to usage_recorder, audit_writer;

revoke insert (job_id, type, at), select (job_id, type, at) on jobs.procrastinate_events from job_writer;
grant select, insert on jobs.procrastinate_events to job_writer;
revoke select (id, queue_name, task_name, status, scheduled_at) on jobs.procrastinate_jobs from job_writer;
revoke insert (queue_name, task_name, priority, lock, queueing_lock, args, scheduled_at) on jobs.procrastinate_jobs from job_writer;
grant select, insert on jobs.procrastinate_jobs to job_writer;

revoke insert (organization_id), update (position, occurred_at, hash) on audit.chain_heads from audit_writer;
grant insert, update on audit.chain_heads to audit_writer;

revoke select (month) on usage.closed_months from usage_recorder;
grant select on usage.closed_months to usage_recorder;
revoke update (requests, billable, duration_us) on usage.hourly_usage, usage.daily_usage from usage_recorder;
grant update on usage.hourly_usage, usage.daily_usage to usage_recorder;

revoke insert (organization_id, id, billed_month, api_key_id, endpoint, method, status_code, duration_us, plan, is_billable, occurred_at)
    on usage.usage_records from usage_recorder;
revoke select (organization_id, billed_month, api_key_id, endpoint, method, status_code, duration_us, plan, is_billable, occurred_at)
    on usage.usage_records from usage_recorder;
grant select, insert on usage.usage_records to usage_recorder;

reset role;
