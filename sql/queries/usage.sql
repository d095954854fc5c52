-- name: record$
-- How many records were written of one group of requests; one statement, its own transaction.
select usage.record(
    :organization_ids, :ids, :api_key_ids, :endpoints, :methods, :status_codes, :durations_us, :plans, :billables, :occurred_ats
);

-- name: count_billable$
-- Billable requests of a month; by the primary key of the month's partition.
select count(*)
from usage.usage_records
where organization_id = :organization_id and billed_month = :month and is_billable;
