-- name: defer$
-- The id of the job that was queued for the organization in context; null when its queueing lock is taken.
select jobs.defer(:task, :queue, :arguments, :lock, :queueing_lock, :priority, :run_at);

-- name: defer_global$
-- The id of a job without an organization; null when its queueing lock is taken.
select jobs.defer_global(:task, :queue, :arguments, :queueing_lock);
