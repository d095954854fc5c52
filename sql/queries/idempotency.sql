-- name: claim!
-- Takes an idempotency key: 1 for whoever is first; a twin waits here for the first one's transaction, then gets 0.
insert into tenancy.idempotency_keys (organization_id, subject_id, key_hash, request_hash, record_id, status_code, answer, created_at)
values (:organization_id, :subject_id, :key_hash, :request_hash, :record_id, 0, '', :now)
on conflict (organization_id, subject_id, key_hash) do nothing;

-- name: get^
-- The stored answer of a key, and whether its request is in the books of some months; by the primary keys of both tables.
select request_hash, record_id, status_code, answer, is_encrypted, created_at,
       exists (
           select from usage.usage_records u
           where u.organization_id = :organization_id
             and u.id = k.record_id
             and u.billed_month between :first_month and :last_month
       ) as was_recorded
from tenancy.idempotency_keys k
where k.organization_id = :organization_id and k.subject_id = :subject_id and k.key_hash = :key_hash
for update of k;

-- name: store!
-- Writes the answer beside the effect; also takes an expired key over.
update tenancy.idempotency_keys
set request_hash = :request_hash, record_id = :record_id, status_code = :status_code, answer = :answer, is_encrypted = :is_encrypted, created_at = :now
where organization_id = :organization_id and subject_id = :subject_id and key_hash = :key_hash;

-- name: prune!
-- Forgets answers older than a day; by idempotency_keys_created_at_idx.
delete from tenancy.idempotency_keys where organization_id = :organization_id and created_at < :before;
