-- name: defer$
-- The id of the job that was queued for the organization in context; null when its queueing lock is taken.
select jobs.defer(:task, :queue, :arguments, :lock, :queueing_lock, :priority, :run_at);

-- name: defer_global$
-- The id of a job without an organization; null when its queueing lock is taken.
select jobs.defer_global(:task, :queue, :arguments, :queueing_lock);

-- name: list
-- Jobs that fit, the newest first, with when they were deferred; by procrastinate_jobs_pkey and procrastinate_events_job_id_fkey_v1.
select j.id, j.queue_name as queue, j.task_name as task, j.status::text as status, j.priority, j.attempts, j.args as arguments,
       j.scheduled_at, j.worker_id,
       (select min(e.at) from jobs.procrastinate_events e where e.job_id = j.id and e.type = 'deferred') as deferred_at,
       (select x.error from jobs.job_errors x where x.job_id = j.id order by x.attempt desc limit 1) as error
from jobs.procrastinate_jobs j
where (:status::text is null or j.status::text = :status)
  and (:queue::text is null or j.queue_name = :queue)
  and (:organization_id::text is null or j.args ->> 'organization_id' = :organization_id)
  and (:id::bigint is null or j.id = :id)
order by j.id desc
limit :limit;

-- name: events
-- What happened to a job, in order; by procrastinate_events_job_id_fkey_v1.
select e.at, e.type::text as type
from jobs.procrastinate_events e
where e.job_id = :id
order by e.id;

-- name: errors
-- Why a job's attempts failed, the last first; by job_errors_pkey.
select x.attempt, x.at, x.error
from jobs.job_errors x
where x.job_id = :id
order by x.attempt desc;

-- name: retry$
-- The id of a job that had ended without success and waits again with all its tries, else null; by procrastinate_jobs_pkey.
update jobs.procrastinate_jobs
set status = 'todo', attempts = 0, scheduled_at = null, abort_requested = false, worker_id = null
where id = :id and status in ('failed', 'cancelled', 'aborted')
returning id;

-- name: forget_errors!
-- Forgets why former attempts failed, because their numbers come again; by job_errors_pkey.
delete from jobs.job_errors where job_id = :id;

-- name: failed
-- The ids of all failed jobs, the oldest first.
select id from jobs.procrastinate_jobs where status = 'failed' order by id;

-- name: cancel$
-- The id of a job that will not run, or whose run is being stopped; null when it has ended; by procrastinate_jobs_pkey.
select jobs.procrastinate_cancel_job_v1(:id, true, false);

-- name: note_error!
-- Keeps why an attempt failed; a job that is gone meanwhile needs no note.
insert into jobs.job_errors (job_id, attempt, error)
select j.id, :attempt, :error
from jobs.procrastinate_jobs j
where j.id = :job_id
on conflict (job_id, attempt) do update set error = excluded.error, at = excluded.at;

-- name: gauge!
-- Writes a figure that a worker has counted; by gauges_pkey.
insert into jobs.gauges (name, value)
values (:name, :value)
on conflict (name) do update set value = excluded.value, measured_at = excluded.measured_at;

-- name: figures
-- Depth, age and failures of every queue, and what waits.
select figure, label, value from jobs.figures();
