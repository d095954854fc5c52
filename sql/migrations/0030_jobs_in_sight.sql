-- depends: 0014_settlement
-- What operators see of the queue: why a job failed, how long it waits, and figures for a monitoring system.

set local role app_owner;

create table jobs.job_errors (
    job_id  bigint not null,
    attempt integer not null,
    at      timestamptz not null default now(),
    error   text not null,
    constraint job_errors_pkey primary key (job_id, attempt),
    constraint job_errors_job_id_fkey foreign key (job_id) references jobs.procrastinate_jobs (id) on delete cascade
);
comment on table jobs.job_errors is 'Why an attempt of a job failed; goes with the job.';
comment on column jobs.job_errors.job_id is 'The job.';
comment on column jobs.job_errors.attempt is 'Which attempt, from 1.';
comment on column jobs.job_errors.at is 'When it failed.';
comment on column jobs.job_errors.error is 'The error''s name and first line, without addresses and values.';

create table jobs.gauges (
    name        text not null,
    value       bigint not null,
    measured_at timestamptz not null default now(),
    constraint gauges_pkey primary key (name)
);
comment on table jobs.gauges is 'What only a worker can count, because it opens one organization after the other; written as it works.';
comment on column jobs.gauges.name is 'What is counted.';
comment on column jobs.gauges.value is 'How many, over all organizations.';
comment on column jobs.gauges.measured_at is 'When it was counted last.';

create function jobs.figures() returns table (figure text, label text, value double precision)
language sql stable security definer
set search_path = jobs, pg_temp
as $$
    with queues as (
        select name from unnest(array['mail', 'messages', 'billing', 'maintenance']) as name
    ),
    counted as (
        select j.queue_name,
               count(*) filter (where j.status = 'todo' and coalesce(j.scheduled_at <= now(), true)) as waiting,
               count(*) filter (where j.status = 'todo' and j.scheduled_at > now()) as scheduled,
               count(*) filter (where j.status = 'doing') as running,
               count(*) filter (where j.status = 'failed') as failed,
               min(j.id) filter (where j.status = 'todo' and j.scheduled_at is null) as oldest,
               min(j.scheduled_at) filter (where j.status = 'todo' and j.scheduled_at <= now()) as due_since
        from procrastinate_jobs j
        where j.status in ('todo', 'doing', 'failed')
        group by j.queue_name
    )
    select f.figure, q.name, f.value
    from queues q
    left join counted c on c.queue_name = q.name
    cross join lateral (
        values
            ('jobs_waiting', coalesce(c.waiting, 0)::double precision),
            ('jobs_scheduled', coalesce(c.scheduled, 0)::double precision),
            ('jobs_running', coalesce(c.running, 0)::double precision),
            ('jobs_failed', coalesce(c.failed, 0)::double precision),
            ('jobs_oldest_seconds', coalesce(extract(epoch from now() - least(c.due_since, (
                select min(e.at) from procrastinate_events e where e.job_id = c.oldest and e.type = 'deferred'
            ))), 0)::double precision)
    ) as f (figure, value)
    union all
    select 'mails_waiting', '', count(*)
    from procrastinate_jobs j
    where j.queue_name = 'mail' and j.status in ('todo', 'doing') and j.task_name in ('email.send', 'email.account_mail')
    union all
    select g.name, '', g.value
    from gauges g;
$$;
comment on function jobs.figures() is
    'Depth, age and failures of every queue, mails and messages that wait: totals over all organizations, never one of them.';

revoke execute on function jobs.figures() from public;
grant execute on function jobs.figures() to app_rw;
grant select on jobs.gauges, jobs.procrastinate_events to job_writer;
grant select, insert, update, delete on jobs.job_errors, jobs.gauges to app_worker;

insert into ops.reviewed_functions (function, owner, reason) values
    ('jobs.figures()', 'job_writer', 'the API shows totals of the queue to a monitoring system and must not read the jobs themselves');

reset role;
call app.hand_over('jobs.figures()'::regprocedure, 'job_writer');
