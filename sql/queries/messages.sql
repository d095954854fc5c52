-- name: create<!
-- A queued message, announced to the workers in the same statement.
insert into messaging.messages
    (organization_id, id, api_key_id, type, recipient, subject, body, metadata, segments, is_test, next_attempt_at, created_at)
values
    (:organization_id, :id, :api_key_id, :type, :recipient, :subject, :body, :metadata, :segments, :is_test, :now, :now)
returning identity.announce_work('messages');

-- name: send$
-- Nothing: queues a message and announces it, context and commit included.
select messaging.send(
    :organization_id, :api_key_id, :request_id, :address, :id, :type, :recipient, :subject, :body, :metadata, :segments, :is_test, :now
);

-- name: show^
-- One message, context and commit included; by the primary key.
select id, type, recipient, subject, status, error, segments, metadata, created_at, sent_at, delivered_at, failed_at
from messaging.show(:organization_id, :id);

-- name: announce!
-- Says to the workers that the organization in context has messages waiting.
select identity.announce_work('messages');

-- name: get^
-- One message; by the primary key.
select id, type, recipient, subject, status, error, segments, metadata, created_at, sent_at, delivered_at, failed_at
from messaging.messages
where organization_id = :organization_id and id = :id;

-- name: page
-- Messages before a given one, newest first; by the primary key, since ids grow with time.
select id, type, recipient, subject, status, error, segments, metadata, created_at, sent_at, delivered_at, failed_at
from messaging.messages
where organization_id = :organization_id
  and id < :before
  and (:status::text is null or status = any (string_to_array(:status, ',')))
  and (:type::text is null or type = :type)
order by id desc
limit :limit;

-- name: waiting_organizations
-- Organizations with messages waiting, after a given one, in order.
select organization_id
from identity.waiting_organizations('messages', :after, :page_size) as organization_id;

-- name: claim
-- Takes queued messages that are due, oldest first, skipping what another worker holds; by messages_waiting_idx.
-- Materialized: inside a nested loop the limit would hold for each turn of the loop instead of for the batch.
with due as materialized (
    select id
    from messaging.messages
    where organization_id = :organization_id and status = 'queued' and next_attempt_at <= :now
    order by next_attempt_at
    limit :batch
    for update skip locked
)
update messaging.messages m
set status = 'sending', claimed_at = :now, attempts = m.attempts + 1
from due
where m.organization_id = :organization_id and m.id = due.id
returning m.id, m.api_key_id, m.type, m.recipient, m.subject, m.body, m.is_test, m.attempts, m.created_at, m.claimed_at;

-- name: claim_abandoned
-- Takes over messages whose worker was killed between sending and writing so; by messages_sending_idx.
with lost as materialized (
    select id, claimed_at
    from messaging.messages
    where organization_id = :organization_id and status = 'sending' and claimed_at < :before
    order by claimed_at
    limit :batch
    for update skip locked
)
update messaging.messages m
set claimed_at = :now
from lost
where m.organization_id = :organization_id and m.id = lost.id
returning m.id, m.type, m.recipient, m.subject, m.body, m.is_test, m.attempts, m.created_at, lost.claimed_at;

-- name: settle!
-- Writes the outcome of an attempt; only the holder of a claim does, and a call-back that came first stands.
update messaging.messages
set status = :status,
    provider = coalesce(:provider, provider),
    provider_id = coalesce(:provider_id, provider_id),
    segments = coalesce(:segments, segments),
    error = :error,
    next_attempt_at = coalesce(:next_attempt_at, next_attempt_at),
    sent_at = case when :status in ('sent', 'delivered') then coalesce(sent_at, :now) else sent_at end,
    delivered_at = case when :status = 'delivered' then coalesce(delivered_at, :now) else delivered_at end,
    failed_at = case when :status = 'failed' then :now else failed_at end
where organization_id = :organization_id and id = :id and status = 'sending';

-- name: advance!
-- Moves a message forward on the provider's word: sent, then delivered or failed, never back; also one that waits for another
-- try after an attempt that seemed lost: the provider has it, and it is not to be sent again. By the primary key.
update messaging.messages
set status = :status,
    provider = :provider,
    provider_id = :provider_id,
    error = coalesce(:error, error),
    sent_at = coalesce(sent_at, :now),
    delivered_at = case when :status = 'delivered' then :now else delivered_at end,
    failed_at = case when :status = 'failed' then :now else failed_at end
where organization_id = :organization_id and id = :id
  and (provider_id is null or provider_id = :provider_id)
  and (status in ('sending', 'unknown') or (status = 'queued' and attempts > 0) or (status = 'sent' and :status <> 'sent'));

-- name: withdraw!
-- Takes back what the organization announced.
select identity.withdraw_work('messages');

-- name: count_unsettled$
-- Messages that still need a worker; by messages_waiting_idx and messages_sending_idx.
select (select count(*) from messaging.messages where organization_id = :organization_id and status = 'queued')
     + (select count(*) from messaging.messages where organization_id = :organization_id and status = 'sending');

-- name: organization_name$
-- The name that stands under a customer's e-mail.
select name from tenancy.organizations where organization_id = :organization_id;

-- name: bounce!
-- Writes that an e-mail came back after it was sent; by the primary key.
update messaging.messages
set status = 'failed', failed_at = :now, error = :error
where organization_id = :organization_id and id = :id and type = 'email' and status in ('sending', 'sent', 'unknown');

-- name: recipient$
-- Whom a message was for; by the primary key.
select recipient from messaging.messages where organization_id = :organization_id and id = :id;
