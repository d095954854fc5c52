-- name: create_usage_partition!
-- The partitions of a month, of usage and of the audit trail, secured like their parents.
select usage.create_partition(:first_day), audit.create_partition(:first_day);

-- name: organizations
-- Ids of organizations after a given one, in order; by the primary key of identity.organization_directory.
select organization_id from identity.list_organizations(:after, :page_size) as organization_id;

-- name: rescue_stalled_jobs$
-- How many jobs of killed workers went back into the queue.
select jobs.rescue_stalled(make_interval(secs => :seconds));

-- name: forget_finished_jobs$
-- How many jobs that ended long ago were deleted.
select jobs.forget_finished(make_interval(days => :days));
