-- name: close_month$
-- How many months were closed for the whole installation, up to a given one; waits for their recorders.
select usage.close_month(:month, :now);

-- name: last_closed_month$
-- The newest closed month, or null; by closed_months_pkey.
select max(month) from usage.closed_months;

-- name: unlisted_months
-- Closed months whose closing jobs were not all queued yet, oldest first.
select month from usage.closed_months where listed_at is null order by month;

-- name: mark_listed!
-- Notes that every organization had its closing job; by closed_months_pkey.
update usage.closed_months set listed_at = :now where month = :month and listed_at is null;

-- name: missing_months
-- Closed months without a cycle, oldest first; by billing_cycles_period_key.
select m as month from billing.missing_months(:organization_id) as m;

-- name: close_cycle$
-- The status of the cycle that was written for a closed month; null when the month has one already.
select billing.close_cycle(
    :organization_id, :month, :id, :now, :due_days, :seller_name, :seller_address, :seller_tax_number
);

-- name: fate^
-- What closing a month would make of its invoice, by the functions that would write it.
select total_minor, status, reason from billing.fate(:organization_id, :month);

-- name: mark_overdue
-- The invoices that became overdue by this statement; by billing_cycles_status_idx.
update billing.billing_cycles set status = 'overdue'
where organization_id = :organization_id and status = 'pending' and due_date < :now
returning id;

-- name: mark_reminded!
-- Notes that an overdue invoice gets a reminder, once; one that was paid meanwhile gets none. By billing_cycles_pkey.
update billing.billing_cycles set reminded_days = :days
where organization_id = :organization_id and id = :id and status = 'overdue' and reminded_days < :days;

-- name: review_keys$
-- What became of the organization's API keys: suspended, resumed, or null when all stays as it is.
select billing.review_keys(:organization_id, :now, :after_days);

-- name: release$
-- The status of a parked invoice after it was issued.
select billing.release(
    :organization_id, :id, :reason, :now, :due_days, :seller_name, :seller_address, :seller_tax_number
);

-- name: void!
-- Ends a parked invoice.
select billing.void(:organization_id, :id, :reason);
