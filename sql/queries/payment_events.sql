-- name: store!
-- One row when the event is new; by payment_events_pkey.
insert into billing.payment_events (provider, event_id, type, reference, is_live, payload, received_at)
values (:provider, :event_id, :type, :reference, :is_live, :payload, :now)
on conflict do nothing;

-- name: get^
-- An event from the inbox; by payment_events_pkey.
select provider, event_id, type, reference, is_live, payload, received_at, outcome
from billing.payment_events
where provider = :provider and event_id = :event_id;

-- name: finish!
-- Writes what came of an event, once; by payment_events_pkey.
update billing.payment_events set outcome = :outcome, organization_id = :organization_id, handled_at = :now
where provider = :provider and event_id = :event_id and handled_at is null;

-- name: resolve^
-- Organization and attempt of a provider's reference; by payment_directory_pkey.
select organization_id, payment_id from identity.resolve_payment(:provider, :reference);

-- name: disputes
-- Every event about the dispute of a payment; by payment_events_reference_idx.
select provider, event_id, type, reference, is_live, payload, received_at, outcome
from billing.payment_events
where provider = :provider and reference = :reference and type = 'dispute';
