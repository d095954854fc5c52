-- depends: 0012_ops
-- What every table, column and function is for, for whoever opens psql; the catalog lint refuses one without.

set local role app_owner;

comment on table tenancy.organizations is 'A customer: the unit of isolation, of billing and of limits.';
comment on column tenancy.organizations.organization_id is 'Names the organization everywhere.';
comment on column tenancy.organizations.name is 'As its owner typed it; shown in mail only after cleaning.';
comment on column tenancy.organizations.email is 'Where invoices and notices go.';
comment on column tenancy.organizations.plan is 'Plan in force now; history is in billing.plan_segments.';
comment on column tenancy.organizations.pending_plan is 'Plan from the next month on, when a downgrade waits.';
comment on column tenancy.organizations.rate_limit_override is 'Requests a minute agreed with this customer instead of the plan''s.';
comment on column tenancy.organizations.created_at is 'When the organization registered.';
comment on column tenancy.organizations.updated_at is 'When name, e-mail or plan last changed.';

comment on table tenancy.users is 'A person''s seat in one organization; the person is identity.accounts.';
comment on column tenancy.users.organization_id is 'Whose seat it is.';
comment on column tenancy.users.id is 'Names the seat; sessions, keys and the trail refer to it.';
comment on column tenancy.users.account_id is 'The person who sits here.';
comment on column tenancy.users.email is 'The person''s e-mail when the seat was taken or last changed.';
comment on column tenancy.users.role is 'owner, admin or member; read at each request, never from a token.';
comment on column tenancy.users.created_at is 'When the seat was taken.';
comment on column tenancy.users.removed_at is 'When the seat ended; the row stays for what it created.';

comment on table tenancy.team_invitations is 'An offer of a seat, by e-mail; its token''s hash is in identity.invitation_directory.';
comment on column tenancy.team_invitations.organization_id is 'Who invites.';
comment on column tenancy.team_invitations.id is 'Names the invitation.';
comment on column tenancy.team_invitations.email is 'Address as typed.';
comment on column tenancy.team_invitations.email_key is 'Address in the one form by which addresses are compared.';
comment on column tenancy.team_invitations.role is 'Role offered; accepting grants no more than the inviter has then.';
comment on column tenancy.team_invitations.invited_by is 'Seat of the inviter.';
comment on column tenancy.team_invitations.expires_at is 'From then on the token opens nothing.';
comment on column tenancy.team_invitations.created_at is 'When it was sent first.';
comment on column tenancy.team_invitations.accepted_at is 'When the invited person took the seat.';
comment on column tenancy.team_invitations.declined_at is 'When the invited person refused.';
comment on column tenancy.team_invitations.ended_at is 'When a member withdrew it or a newer one replaced it.';

comment on table tenancy.api_keys is 'A key of a program; its digest is in identity.api_key_directory, the key itself nowhere.';
comment on column tenancy.api_keys.organization_id is 'Whose requests it signs.';
comment on column tenancy.api_keys.id is 'Names the key in lists, usage and the trail.';
comment on column tenancy.api_keys.name is 'Chosen by its creator.';
comment on column tenancy.api_keys.mode is 'live, or test: delivered to a sandbox and not billed.';
comment on column tenancy.api_keys.first4 is 'First four characters after the prefix, for recognition.';
comment on column tenancy.api_keys.last4 is 'Last four characters, for recognition.';
comment on column tenancy.api_keys.scopes is 'What the key may do; empty means everything a key can.';
comment on column tenancy.api_keys.is_active is 'False from the moment of revocation.';
comment on column tenancy.api_keys.created_by is 'Seat of the creator; stays when the member leaves.';
comment on column tenancy.api_keys.created_at is 'When it was made.';
comment on column tenancy.api_keys.expires_at is 'From then on it is refused; null for never.';
comment on column tenancy.api_keys.last_used_at is 'Last minute in which it was used; moves forward only.';
comment on column tenancy.api_keys.revoked_at is 'When it was revoked; null while it works.';
comment on column tenancy.api_keys.replaced_by is 'The key that a rotation put in its place.';

comment on table tenancy.idempotency_keys is 'The first answer to a request that named an Idempotency-Key, kept for a day beside its effect.';
comment on column tenancy.idempotency_keys.organization_id is 'Whose request it was.';
comment on column tenancy.idempotency_keys.record_id is 'The first request, under whose id its usage is recorded.';
comment on column tenancy.idempotency_keys.subject_id is 'Seat or API key that asked: one caller never sees another''s stored answer.';
comment on column tenancy.idempotency_keys.key_hash is 'SHA-256 of the Idempotency-Key.';
comment on column tenancy.idempotency_keys.request_hash is 'SHA-256 of method, path and body: the same key with another request is refused.';
comment on column tenancy.idempotency_keys.status_code is 'HTTP status of the answer.';
comment on column tenancy.idempotency_keys.answer is 'Body of the answer, encrypted when it holds a secret.';
comment on column tenancy.idempotency_keys.is_encrypted is 'Whether the answer can be read only with the Idempotency-Key itself.';
comment on column tenancy.idempotency_keys.created_at is 'When it was stored; removed a day later.';

comment on table usage.closed_months is 'Months that take no more records; a closed month never reopens.';
comment on column usage.closed_months.month is 'First day of the month, UTC.';
comment on column usage.closed_months.closed_at is 'When it was closed.';

comment on table usage.usage_records is 'One metered request each, counted in the month that was open when it arrived.';
comment on column usage.usage_records.organization_id is 'Who made the request.';
comment on column usage.usage_records.id is 'The request''s own id: the same request is never counted twice.';
comment on column usage.usage_records.billed_month is 'First day of the month it is invoiced in.';
comment on column usage.usage_records.api_key_id is 'Key that signed the request.';
comment on column usage.usage_records.endpoint is 'Template of the route, never the raw path.';
comment on column usage.usage_records.method is 'HTTP method.';
comment on column usage.usage_records.status_code is 'HTTP status of the answer.';
comment on column usage.usage_records.duration_us is 'Time until the answer in microseconds.';
comment on column usage.usage_records.plan is 'Plan in force when the request was made; it is rated by that.';
comment on column usage.usage_records.is_billable is 'False for refused, limited, failed and replayed requests.';
comment on column usage.usage_records.occurred_at is 'When the request was made, for charts.';
comment on column usage.usage_records.created_at is 'When the record was written.';

comment on table messaging.messages is 'A message that a customer''s program sent; the row is the queue.';
comment on column messaging.messages.organization_id is 'Who sends.';
comment on column messaging.messages.id is 'Names the message; the API shows it with the prefix msg_.';
comment on column messaging.messages.api_key_id is 'Key that asked for it.';
comment on column messaging.messages.type is 'sms or email.';
comment on column messaging.messages.recipient is 'Telephone number or e-mail address.';
comment on column messaging.messages.subject is 'Subject of an e-mail.';
comment on column messaging.messages.body is 'Text as given.';
comment on column messaging.messages.metadata is 'The customer''s own notes, returned unread.';
comment on column messaging.messages.segments is 'How many SMS it takes; 1 for an e-mail.';
comment on column messaging.messages.is_test is 'Whether a test key sent it: it goes to the sandbox.';
comment on column messaging.messages.status is 'queued, sending, sent, delivered, failed or unknown (nobody can say, never sent twice).';
comment on column messaging.messages.attempts is 'How often delivery was tried.';
comment on column messaging.messages.next_attempt_at is 'Not before then is it tried again.';
comment on column messaging.messages.claimed_at is 'When a worker took it; null while it waits.';
comment on column messaging.messages.provider is 'Provider that took it.';
comment on column messaging.messages.provider_id is 'The provider''s name for it.';
comment on column messaging.messages.error is 'Why it failed.';
comment on column messaging.messages.created_at is 'When it was accepted.';
comment on column messaging.messages.sent_at is 'When the provider took it.';
comment on column messaging.messages.delivered_at is 'When the provider reported delivery.';
comment on column messaging.messages.failed_at is 'When it was given up.';

comment on table messaging.emails is 'The outbox of the product''s own mail to organizations: one row, one mail.';
comment on column messaging.emails.organization_id is 'Whose mail it is.';
comment on column messaging.emails.id is 'Names the mail; its Message-ID is made of it.';
comment on column messaging.emails.kind is 'Which mail it is: welcome, invitation, invoice and so on.';
comment on column messaging.emails.subject_id is 'The row it is about.';
comment on column messaging.emails.step is 'Counts repetitions that are meant, such as reminders.';
comment on column messaging.emails.recipient is 'Address it goes to.';
comment on column messaging.emails.status is 'queued, sending, sent or failed.';
comment on column messaging.emails.attempts is 'How often sending was tried.';
comment on column messaging.emails.claimed_at is 'When a worker took it.';
comment on column messaging.emails.sent_at is 'When the mail server took it.';
comment on column messaging.emails.error is 'Why it failed.';
comment on column messaging.emails.created_at is 'When it was asked for.';

comment on table messaging.suppressions is 'Who must not be written to on behalf of an organization.';
comment on column messaging.suppressions.organization_id is 'On whose behalf.';
comment on column messaging.suppressions.channel is 'sms or email.';
comment on column messaging.suppressions.recipient is 'Telephone number or e-mail address in its one form.';
comment on column messaging.suppressions.reason is 'Bounce, complaint, or the recipient''s wish.';
comment on column messaging.suppressions.created_at is 'From when on.';

comment on table identity.accounts is 'A person who can log in, whatever organizations they sit in.';
comment on column identity.accounts.id is 'Names the person.';
comment on column identity.accounts.email is 'Address as typed.';
comment on column identity.accounts.email_key is 'Address in the one form by which addresses are compared.';
comment on column identity.accounts.full_name is 'Name as typed.';
comment on column identity.accounts.password_hash is 'bcrypt over a digest of the password.';
comment on column identity.accounts.email_verified_at is 'When the person first proved to own the mailbox.';
comment on column identity.accounts.created_at is 'When the person registered.';
comment on column identity.accounts.updated_at is 'When the row last changed.';

comment on table identity.auth_tokens is 'Single-use tokens sent by mail; only their hashes are kept.';
comment on column identity.auth_tokens.id is 'Names the token.';
comment on column identity.auth_tokens.account_id is 'Whom it was sent to.';
comment on column identity.auth_tokens.type is 'email_verification or password_reset.';
comment on column identity.auth_tokens.token_hash is 'SHA-256 of the token.';
comment on column identity.auth_tokens.expires_at is 'From then on it opens nothing.';
comment on column identity.auth_tokens.used_at is 'When it was used or replaced.';
comment on column identity.auth_tokens.created_at is 'When it was made.';

comment on table identity.sessions is 'A log-in of a person into one organization.';
comment on column identity.sessions.id is 'Names the session; the bearer token carries it.';
comment on column identity.sessions.account_id is 'Who logged in.';
comment on column identity.sessions.organization_id is 'Into which organization.';
comment on column identity.sessions.user_id is 'Seat there.';
comment on column identity.sessions.user_agent is 'Browser as it named itself.';
comment on column identity.sessions.address is 'Address it logged in from.';
comment on column identity.sessions.created_at is 'When it began.';
comment on column identity.sessions.last_seen_at is 'When it was last used.';
comment on column identity.sessions.expires_at is 'When it ends by itself.';
comment on column identity.sessions.revoked_at is 'When somebody ended it.';

comment on table identity.organization_directory is 'Which organizations exist, whether they may work, and where they live.';
comment on column identity.organization_directory.organization_id is 'The organization.';
comment on column identity.organization_directory.status is 'active, suspended or erased.';
comment on column identity.organization_directory.cell is 'The database it lives in.';
comment on column identity.organization_directory.created_at is 'When it registered.';

comment on table identity.seat_directory is 'Which person has a seat where: the way from a log-in to organizations.';
comment on column identity.seat_directory.account_id is 'The person.';
comment on column identity.seat_directory.organization_id is 'The organization.';
comment on column identity.seat_directory.user_id is 'The seat there.';
comment on column identity.seat_directory.created_at is 'When the seat was taken.';

comment on table identity.api_key_directory is 'The way from a key''s digest to its organization.';
comment on column identity.api_key_directory.digest is 'SHA-256 of the key.';
comment on column identity.api_key_directory.organization_id is 'Whose key it is.';
comment on column identity.api_key_directory.api_key_id is 'The key''s row.';

comment on table identity.invitation_directory is 'The way from an invitation''s token to its organization.';
comment on column identity.invitation_directory.token_hash is 'SHA-256 of the token.';
comment on column identity.invitation_directory.organization_id is 'Who invites.';
comment on column identity.invitation_directory.invitation_id is 'The invitation''s row.';

comment on table identity.payment_directory is 'The way from a provider''s reference to the payment it is about.';
comment on column identity.payment_directory.provider is 'stripe or paystack.';
comment on column identity.payment_directory.reference is 'The provider''s name for the checkout.';
comment on column identity.payment_directory.organization_id is 'Who pays.';
comment on column identity.payment_directory.payment_id is 'The payment''s row.';

comment on table identity.work_directory is 'Which organizations have work of a kind waiting.';
comment on column identity.work_directory.kind is 'What waits, such as messages.';
comment on column identity.work_directory.organization_id is 'Whose work it is.';
comment on column identity.work_directory.slot is 'Keeps writers of one organization from waiting for each other.';

comment on table identity.account_mails is 'Mail to a person rather than to an organization: what was asked for and what became of it.';
comment on column identity.account_mails.id is 'Names the mail.';
comment on column identity.account_mails.account_id is 'Whom it is for; null when nobody has the address that was asked about.';
comment on column identity.account_mails.kind is 'Which mail it is.';
comment on column identity.account_mails.created_at is 'When it was asked for.';
comment on column identity.account_mails.claimed_at is 'When a worker took it.';
comment on column identity.account_mails.sent_at is 'When the mail server took it.';
comment on column identity.account_mails.error is 'Why it was given up.';

comment on table identity.attempts is 'How often a log-in lately failed, by account and by address; delays the next try.';
comment on column identity.attempts.subject is 'Hash of what is counted: an account''s address or a network.';
comment on column identity.attempts.failures is 'Failures in a row.';
comment on column identity.attempts.next_at is 'Not before then is another try looked at.';

comment on table jobs.procrastinate_jobs is 'The queue: one row, one job.';

comment on table jobs.procrastinate_events is 'What happened to each job, and when.';

comment on table jobs.procrastinate_periodic_defers is 'Which tick of which periodic task was deferred, so that no tick runs twice.';

comment on table jobs.procrastinate_workers is 'Workers that are alive, by heartbeat.';

-- Procrastinate ships its functions without a word about them.
do $$
declare
    routine regprocedure;
begin
    for routine in
        select p.oid from pg_catalog.pg_proc p
        where p.pronamespace = 'jobs'::regnamespace and p.proname like 'procrastinate\_%'
            and pg_catalog.obj_description(p.oid, 'pg_proc') is null
    loop
        execute format('comment on function %s is %L', routine, 'Procrastinate''s own, unmodified; its worker calls it.');
    end loop;
end
$$;
