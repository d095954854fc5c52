-- name: reconcile
-- Every difference between usage, invoices, payments and the ledger; none when all of it agrees.
select finding, subject, expected, found from billing.reconcile(:organization_id);

-- name: of_payments
-- Payments that no event told of, and events whose payment is not in the books; by payments_status_idx and payment_events_reference_idx.
select finding, subject, expected, found from billing.reconcile_payments(:organization_id, :since, :until);

-- name: of_events
-- Events of a span that were not handled, that nobody here knows, or that failed a check.
select finding, subject, expected, found from billing.reconcile_events(:since, :until);

-- name: store!
-- What a run found, by finding.
insert into billing.reconciliations (started_at, finished_at, organizations, failures, findings)
values (:started_at, :finished_at, :organizations, :failures, :findings)
on conflict (started_at) do nothing;

-- name: figures
-- The last reconciliation's figures; by reconciliations_pkey.
select figure, label, value from billing.figures();
