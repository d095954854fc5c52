-- name: record$
-- How many records were written of one group of requests; one statement, its own transaction.
select usage.record(
    :organization_ids, :ids, :api_key_ids, :endpoints, :methods, :status_codes, :durations_us, :plans, :billables, :occurred_ats
);

-- name: count_billable$
-- Billable requests of a month; from usage.counted by daily_usage_pkey and usage_records_occurred_at_idx.
select coalesce(sum(billable), 0)::bigint
from usage.counted
where organization_id = :organization_id and billed_month = :month;

-- name: seal_hours$
-- Where the open hours begin, after every whole hour before a time was sealed.
select usage.seal_hours(:at_time);

-- name: count_hours$
-- Whether more sealed hours wait, after the next day of them was counted.
select usage.count_hours();

-- name: differences
-- Where the roll-ups of an organization differ from its records since a day; by usage_records_occurred_at_idx and the roll-ups' primary keys.
select rollup, since, api_key_id, endpoint, method, plan, status_class, recorded, rolled_up
from usage.differences(:organization_id, :first_day);

-- name: detach_partition$
-- Whether the records of a month were taken out; refused for a month that is open or not rolled up.
select usage.detach_partition(:month);
