-- depends: 0013_comments
-- Jobs inside the boundary: the queue's tables have row security too, and a waiting job cannot be turned into another one.

set local role app_owner;

do $$
declare
    queue_table text;
begin
    for queue_table in select name from ops.tables where kind = 'queue'
    loop
        execute format('alter table %s enable row level security', queue_table);
        execute format('alter table %s force row level security', queue_table);
        if queue_table <> 'jobs.procrastinate_jobs' then
            execute format('create policy worker_runs on %s for all to app_worker using (true) with check (true)', queue_table);
            execute format('comment on policy worker_runs on %s is %L', queue_table, 'The worker keeps the queue''s books.');
            -- A foreign key's action runs as the owner, and the triggers that it sets off note events as the owner too.
            execute format('create policy writer_notes on %s for all to job_writer, app_owner using (true) with check (true)', queue_table);
            execute format('comment on policy writer_notes on %s is %L', queue_table,
                'What the doors to the queue, and foreign keys, note and count; rights say which.');
        end if;
    end loop;
end
$$;

create policy worker_reads on jobs.procrastinate_jobs for select to app_worker using (true);
comment on policy worker_reads on jobs.procrastinate_jobs is 'The worker runs the jobs of every organization.';
create policy worker_takes on jobs.procrastinate_jobs for update to app_worker using (true) with check (true);
comment on policy worker_takes on jobs.procrastinate_jobs is 'The worker moves jobs forward; what they are to do it cannot change.';
create policy worker_forgets on jobs.procrastinate_jobs for delete to app_worker using (true);
comment on policy worker_forgets on jobs.procrastinate_jobs is 'The worker removes what is done.';
create policy worker_ticks on jobs.procrastinate_jobs for insert to app_worker with check (not (args ? 'organization_id'));
comment on policy worker_ticks on jobs.procrastinate_jobs is
    'By hand the scheduler puts in only what belongs to no organization; for one there is jobs.defer, which stamps it.';

create policy writer_defers on jobs.procrastinate_jobs for insert to job_writer with check (
    case when args ? 'organization_id' then args ->> 'organization_id' = app.current_org_id()::text else true end
);
comment on policy writer_defers on jobs.procrastinate_jobs is 'A job is put in for the organization in context, or for none.';
create policy writer_counts on jobs.procrastinate_jobs for select to job_writer using (true);
comment on policy writer_counts on jobs.procrastinate_jobs is 'The doors return the new job''s id and count what waits.';

create policy organization_sees on jobs.procrastinate_jobs for select to app_api, app_ro
    using (args ->> 'organization_id' = app.current_org_id()::text);
comment on policy organization_sees on jobs.procrastinate_jobs is 'The jobs of the organization in context.';

-- Everything but what a job is: its id, its task and its arguments stay as they were put in.
revoke update on jobs.procrastinate_jobs from app_worker;
grant update (status, attempts, scheduled_at, priority, queue_name, lock, queueing_lock, abort_requested, worker_id)
    on jobs.procrastinate_jobs to app_worker;
grant usage on schema jobs to app_ro;
grant select on jobs.procrastinate_jobs to app_ro;
