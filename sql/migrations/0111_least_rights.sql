-- depends: 0110_views_explained
-- The owners of the functions that write for many organizations hold rights by the column: what each is needed for stands in sql/grants/manifest.toml.

set local role app_owner;

-- A record can be written, never changed, and neither its name nor when it was written can be read or made up.
revoke select, insert on usage.usage_records from usage_recorder;
grant insert (organization_id, id, billed_month, api_key_id, endpoint, method, status_code, duration_us, plan, is_billable, occurred_at)
    on usage.usage_records to usage_recorder;
grant select (organization_id, billed_month, api_key_id, endpoint, method, status_code, duration_us, plan, is_billable, occurred_at)
    on usage.usage_records to usage_recorder;

-- A sum can grow; it cannot be moved to another organization, month or key.
revoke update on usage.hourly_usage, usage.daily_usage from usage_recorder;
grant update (requests, billable, duration_us) on usage.hourly_usage, usage.daily_usage to usage_recorder;
revoke select on usage.closed_months from usage_recorder;
grant select (month) on usage.closed_months to usage_recorder;

-- A chain's head moves forward with its organization, and no other way.
revoke insert, update on audit.chain_heads from audit_writer;
grant insert (organization_id), update (position, occurred_at, hash) on audit.chain_heads to audit_writer;

-- A job is put in as what it is; what becomes of it is the worker's. Its arguments are not read back.
revoke select, insert on jobs.procrastinate_jobs from job_writer;
grant insert (queue_name, task_name, priority, lock, queueing_lock, args, scheduled_at) on jobs.procrastinate_jobs to job_writer;
grant select (id, queue_name, task_name, status, scheduled_at) on jobs.procrastinate_jobs to job_writer;
revoke select, insert on jobs.procrastinate_events from job_writer;
grant insert (job_id, type, at), select (job_id, type, at) on jobs.procrastinate_events to job_writer;

-- Who is above row security is asked for no context, and open_month finds the first open month by itself.
revoke execute on function app.current_org_id() from usage_recorder, audit_writer;
revoke usage on schema app from usage_recorder, audit_writer;
revoke execute on function usage.first_open_month() from usage_recorder;

reset role;
