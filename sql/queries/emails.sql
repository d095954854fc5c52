-- name: add$
-- The id of a new mail, null when this cause has asked for it before; by emails_once_key.
insert into messaging.emails (organization_id, id, kind, subject_id, recipient, step)
values (:organization_id, :id, :kind, :subject_id, :recipient, :step)
on conflict (organization_id, kind, subject_id, recipient, step) do nothing
returning id;

-- name: claim^
-- Takes a mail that was neither sent nor given up, or nothing; by emails_pkey.
update messaging.emails
set status = 'sending', attempts = attempts + 1, claimed_at = :now
where organization_id = :organization_id and id = :id and status in ('queued', 'sending')
returning id, kind, subject_id, recipient, step, attempts;

-- name: settle!
-- Writes what became of a mail; by emails_pkey.
update messaging.emails
set status = :status, sent_at = case when :status = 'sent' then :now::timestamptz end, error = :error
where organization_id = :organization_id and id = :id and status = 'sending';

-- name: count_waiting$
-- How many mails of the organization wait to be sent, five hundred at most; by emails_waiting_idx.
select count(*) from (
    select from messaging.emails where organization_id = :organization_id and status = 'queued' limit 500
) waiting;

-- name: bounce!
-- Writes that a mail came back after it was sent; by emails_pkey.
update messaging.emails
set status = 'failed', error = :error
where organization_id = :organization_id and id = :id and status in ('sending', 'sent');

-- name: recipient$
-- Whom a mail was for; by emails_pkey.
select recipient from messaging.emails where organization_id = :organization_id and id = :id;

-- name: queue_account_mail$
-- True when a mail to a person was asked for, false when one of its kind was since a time; by identity.account_mails_account_id_idx.
select identity.queue_account_mail(:id, :account_id, :kind, :unless_since);

-- name: queue_reset_mail$
-- Asks for a password reset, the same work for an unknown e-mail; by identity.accounts_email_key_key.
select identity.queue_reset_mail(:id, :email_key);

-- name: claim_account_mail^
-- Takes a mail to a person that was neither sent nor given up, or nothing; by identity.account_mails_pkey.
select account_id, kind, created_at from identity.claim_account_mail(:id, :now);

-- name: settle_account_mail$
-- Writes what became of a mail to a person; by identity.account_mails_pkey.
select identity.settle_account_mail(:id, :sent_at, :error);

-- name: get_key^
-- What the notice of a new key says; by api_keys_pkey and users_pkey.
select k.name, k.mode, k.first4, k.last4, k.created_at, u.email as created_by
from tenancy.api_keys k
join tenancy.users u on u.organization_id = k.organization_id and u.id = k.created_by
where k.organization_id = :organization_id and k.id = :id;
