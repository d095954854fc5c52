-- name: is_suppressed$
-- Whether the organization must not write to this recipient, for one of these reasons; by the primary key.
select exists (
    select from messaging.suppressions
    where organization_id = :organization_id and channel = :channel and recipient = :recipient and source = any (:sources)
);

-- name: add^
-- The new entry, or nothing for a recipient who is on the list already.
insert into messaging.suppressions (organization_id, id, channel, recipient, source, reason, created_at)
values (:organization_id, :id, :channel, :recipient, :source, :reason, :now)
on conflict (organization_id, channel, recipient) do nothing
returning id, channel, recipient, source, reason, created_at;

-- name: get^
-- The entry of a recipient; by the primary key.
select id, channel, recipient, source, reason, created_at
from messaging.suppressions
where organization_id = :organization_id and channel = :channel and recipient = :recipient;

-- name: page
-- Entries before a given one, the newest first; by suppressions_id_key.
select id, channel, recipient, source, reason, created_at
from messaging.suppressions
where organization_id = :organization_id
  and id < :before
  and (:channel::text is null or channel = :channel)
  and (:recipient::text is null or recipient = :recipient)
order by id desc
limit :limit;

-- name: remove!
-- Takes an entry off the list; by suppressions_id_key.
delete from messaging.suppressions
where organization_id = :organization_id and id = :id;
