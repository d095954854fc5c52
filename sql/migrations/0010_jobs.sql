-- depends: 0009_procrastinate_3_10 0001_context
-- The doors to the queue: a job of the organization in context, of a person, or of an event from outside. No role inserts by hand.

set local role app_owner;

create function jobs.defer(
    task text, queue text, arguments jsonb, lock_name text default null, queueing_lock_name text default null,
    job_priority integer default 0, run_at timestamptz default null
) returns bigint
language sql security definer
set search_path = jobs, pg_temp
as $$
    insert into jobs.procrastinate_jobs (queue_name, task_name, priority, lock, queueing_lock, args, scheduled_at)
    values (
        queue, task, job_priority,
        app.current_org_id() || ':' || lock_name,
        app.current_org_id() || ':' || queueing_lock_name,
        arguments || jsonb_build_object('organization_id', app.current_org_id()),
        run_at
    )
    on conflict do nothing
    returning id;
$$;
comment on function jobs.defer(text, text, jsonb, text, text, integer, timestamptz) is
    'Puts a job of the organization in context into the queue, with its transaction; null when its queueing lock is taken. Arguments are ids.';

create function jobs.defer_global(task text, queue text, arguments jsonb, queueing_lock_name text default null) returns bigint
language plpgsql security definer
set search_path = jobs, pg_temp
as $$
declare
    job_id bigint;
begin
    if task not in ('email.account_mail', 'payments.handle_event', 'messages.drain') then
        raise exception 'task % belongs to an organization', task using errcode = 'ORG03';
    end if;
    insert into jobs.procrastinate_jobs (queue_name, task_name, priority, queueing_lock, args)
    values (queue, task, 0, queueing_lock_name, arguments - 'organization_id')
    on conflict do nothing
    returning id into job_id;
    return job_id;
end
$$;
comment on function jobs.defer_global(text, text, jsonb, text) is
    'Puts one of the few jobs without an organization into the queue: mail to a person, an event from a provider, a wake-up.';

create function jobs.rescue_stalled(dead_after interval) returns integer
language plpgsql
set search_path = jobs, pg_temp
as $$
declare
    stalled record;
    rescued integer := 0;
begin
    for stalled in
        select j.id
        from jobs.procrastinate_jobs j
        left join jobs.procrastinate_workers w on w.id = j.worker_id
        where j.status = 'doing' and (w.id is null or w.last_heartbeat < now() - dead_after)
        for update of j skip locked
    loop
        begin
            perform jobs.procrastinate_retry_job_v2(stalled.id, now(), null, null, null);
            rescued := rescued + 1;
        exception when unique_violation then
            -- Its twin waits already and will do the work.
            perform jobs.procrastinate_finish_job_v1(stalled.id, 'failed', true);
        end;
    end loop;
    return rescued;
end
$$;
comment on function jobs.rescue_stalled(interval) is
    'Gives the jobs of workers without a heartbeat for that long back to the queue; returns how many.';

create function jobs.forget_finished(older_than interval) returns integer
language sql
set search_path = jobs, pg_temp
as $$
    with forgotten as (
        delete from jobs.procrastinate_jobs j
        where j.status in ('succeeded', 'failed', 'cancelled', 'aborted')
          and not exists (select from jobs.procrastinate_events e where e.job_id = j.id and e.at > now() - older_than)
        returning j.id
    )
    select count(*)::integer from forgotten;
$$;
comment on function jobs.forget_finished(interval) is
    'Deletes jobs that ended that long ago; those that succeed are deleted as they end. Returns how many.';

revoke execute on all functions in schema jobs from public;
grant usage on schema jobs to app_rw, job_writer;
grant insert, select on jobs.procrastinate_jobs to job_writer;
grant insert on jobs.procrastinate_events to job_writer;
grant usage on sequence jobs.procrastinate_jobs_id_seq, jobs.procrastinate_events_id_seq to job_writer;
grant execute on function jobs.procrastinate_notify_queue_job_inserted_v1(), jobs.procrastinate_trigger_function_status_events_insert_v1(),
    jobs.procrastinate_trigger_function_scheduled_events_v1() to job_writer;
grant execute on function jobs.defer(text, text, jsonb, text, text, integer, timestamptz), jobs.defer_global(text, text, jsonb, text) to app_rw;

-- The worker runs the queue.
grant select, insert, update, delete on all tables in schema jobs to app_worker;
grant usage on all sequences in schema jobs to app_worker;
grant execute on all functions in schema jobs to app_worker;

reset role;
call app.hand_over('jobs.defer(text, text, jsonb, text, text, integer, timestamptz)'::regprocedure, 'job_writer');
call app.hand_over('jobs.defer_global(text, text, jsonb, text)'::regprocedure, 'job_writer');
