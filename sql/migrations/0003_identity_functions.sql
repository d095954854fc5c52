-- depends: 0002_identity
-- The resolver: the only doors to people, secrets' hashes and directories. Each function does one thing,
-- those that write for an organization write for the one in context alone.

set local role app_owner;

create function identity.find_account(wanted_email_key text) returns table (id uuid, email text, full_name text, password_hash text, email_verified_at timestamptz, created_at timestamptz)
language sql stable security definer
set search_path = ''
as $$
    select a.id, a.email, a.full_name, a.password_hash, a.email_verified_at, a.created_at
    from identity.accounts a
    where a.email_key = wanted_email_key;
$$;
comment on function identity.find_account(text) is
    'The account of a normalized e-mail address, or nothing.';

create function identity.get_account(wanted_id uuid) returns table (id uuid, email text, full_name text, password_hash text, email_verified_at timestamptz, created_at timestamptz)
language sql stable security definer
set search_path = ''
as $$
    select a.id, a.email, a.full_name, a.password_hash, a.email_verified_at, a.created_at
    from identity.accounts a
    where a.id = wanted_id;
$$;
comment on function identity.get_account(uuid) is
    'The account of an id, or nothing.';

create function identity.create_account(new_id uuid, new_email text, new_email_key text, new_full_name text, new_password_hash text) returns void
language sql volatile security definer
set search_path = ''
as $$
    insert into identity.accounts (id, email, email_key, full_name, password_hash)
    values (new_id, new_email, new_email_key, new_full_name, new_password_hash);
$$;
comment on function identity.create_account(uuid, text, text, text, text) is
    'A new person; a taken e-mail raises unique_violation of accounts_email_key_key.';

create function identity.set_password(wanted_id uuid, expected_hash text, new_password_hash text) returns boolean
language sql volatile security definer
set search_path = ''
as $$
    with changed as (
        update identity.accounts set password_hash = new_password_hash, updated_at = now()
        where id = wanted_id and password_hash = coalesce(expected_hash, password_hash)
        returning id
    )
    select exists (select from changed);
$$;
comment on function identity.set_password(uuid, text, text) is
    'Replaces the password hash, false when another change came first (null expects nothing); ending sessions is the caller''s next statement.';

create function identity.hold_password(wanted_id uuid, expected_hash text) returns boolean
language sql volatile security definer
set search_path = ''
as $$
    with held as (
        select from identity.accounts where id = wanted_id and password_hash = expected_hash for share
    )
    select exists (select from held);
$$;
comment on function identity.hold_password(uuid, text) is
    'Keeps a checked password from changing until the end of the transaction; false when it has changed since.';

create function identity.mark_verified(wanted_id uuid, verified_at timestamptz) returns timestamptz
language sql volatile security definer
set search_path = ''
as $$
    update identity.accounts
    set email_verified_at = coalesce(email_verified_at, verified_at), updated_at = now()
    where id = wanted_id
    returning email_verified_at;
$$;
comment on function identity.mark_verified(uuid, timestamptz) is
    'Marks the mailbox of an account as proven; the first proof stays.';

create function identity.open_organization() returns void
language sql volatile security definer
set search_path = ''
as $$
    insert into identity.organization_directory (organization_id) values (app.current_org_id());
$$;
comment on function identity.open_organization() is
    'Enters the organization in context into the directory.';

create function identity.organization_status() returns text
language sql stable security definer
set search_path = ''
as $$
    select o.status from identity.organization_directory o where o.organization_id = app.current_org_id();
$$;
comment on function identity.organization_status() is
    'Status of the organization in context: active, suspended or erased.';

create function identity.set_organization_status(new_status text) returns void
language sql volatile security definer
set search_path = ''
as $$
    update identity.organization_directory set status = new_status where organization_id = app.current_org_id();
$$;
comment on function identity.set_organization_status(text) is
    'Suspends or resumes the organization in context.';

create function identity.list_organizations(after uuid, page_size integer) returns setof uuid
language sql stable security definer
set search_path = ''
as $$
    select o.organization_id
    from identity.organization_directory o
    where o.organization_id > after and o.status <> 'erased'
    order by o.organization_id
    limit page_size;
$$;
comment on function identity.list_organizations(uuid, integer) is
    'Ids of organizations after a given one, in order, for work across tenants.';

create function identity.add_seat(new_account_id uuid, new_user_id uuid) returns void
language sql volatile security definer
set search_path = ''
as $$
    insert into identity.seat_directory (account_id, organization_id, user_id)
    values (new_account_id, app.current_org_id(), new_user_id);
$$;
comment on function identity.add_seat(uuid, uuid) is
    'Records that an account has a seat in the organization in context.';

create function identity.remove_seat(old_account_id uuid) returns void
language sql volatile security definer
set search_path = ''
as $$
    delete from identity.seat_directory where account_id = old_account_id and organization_id = app.current_org_id();
    update identity.sessions set revoked_at = now()
    where account_id = old_account_id and organization_id = app.current_org_id() and revoked_at is null;
$$;
comment on function identity.remove_seat(uuid) is
    'Ends an account''s seat in the organization in context and the sessions opened for it.';

create function identity.seats_of(wanted_account_id uuid) returns table (organization_id uuid, user_id uuid, status text)
language sql stable security definer
set search_path = ''
as $$
    select s.organization_id, s.user_id, o.status
    from identity.seat_directory s
    join identity.organization_directory o on o.organization_id = s.organization_id
    left join lateral (
        select max(l.last_seen_at) as seen_at
        from identity.sessions l
        where l.account_id = s.account_id and l.organization_id = s.organization_id
    ) used on true
    where s.account_id = wanted_account_id and o.status <> 'erased'
    order by used.seen_at desc nulls last, s.created_at, s.organization_id;
$$;
comment on function identity.seats_of(uuid) is
    'The organizations in which an account has a seat, the last used first, then the oldest.';

create function identity.members() returns table (account_id uuid, user_id uuid, email text, full_name text, email_verified_at timestamptz)
language sql stable security definer
set search_path = ''
as $$
    select s.account_id, s.user_id, a.email, a.full_name, a.email_verified_at
    from identity.seat_directory s
    join identity.accounts a on a.id = s.account_id
    where s.organization_id = app.current_org_id();
$$;
comment on function identity.members() is
    'The people of the organization in context.';

create function identity.register_key(new_digest bytea, new_api_key_id uuid) returns void
language sql volatile security definer
set search_path = ''
as $$
    insert into identity.api_key_directory (digest, organization_id, api_key_id)
    values (new_digest, app.current_org_id(), new_api_key_id);
$$;
comment on function identity.register_key(bytea, uuid) is
    'Leads from a key''s digest to the organization in context.';

create function identity.forget_key(old_api_key_id uuid) returns void
language sql volatile security definer
set search_path = ''
as $$
    delete from identity.api_key_directory where organization_id = app.current_org_id() and api_key_id = old_api_key_id;
$$;
comment on function identity.forget_key(uuid) is
    'A revoked key leads nowhere from the commit on.';

create function identity.resolve_key(wanted_digest bytea) returns table (organization_id uuid, api_key_id uuid)
language sql stable security definer
set search_path = ''
as $$
    select k.organization_id, k.api_key_id from identity.api_key_directory k where k.digest = wanted_digest;
$$;
comment on function identity.resolve_key(bytea) is
    'Organization and key of a digest, or nothing.';

create function identity.register_invitation(new_token_hash bytea, new_invitation_id uuid) returns void
language sql volatile security definer
set search_path = ''
as $$
    delete from identity.invitation_directory
    where organization_id = app.current_org_id() and invitation_id = new_invitation_id;
    insert into identity.invitation_directory (token_hash, organization_id, invitation_id)
    values (new_token_hash, app.current_org_id(), new_invitation_id);
$$;
comment on function identity.register_invitation(bytea, uuid) is
    'Leads from an invitation''s token to the organization in context; an older token of it is void.';

create function identity.forget_invitation(old_invitation_id uuid) returns void
language sql volatile security definer
set search_path = ''
as $$
    delete from identity.invitation_directory
    where organization_id = app.current_org_id() and invitation_id = old_invitation_id;
$$;
comment on function identity.forget_invitation(uuid) is
    'The token of an ended invitation leads nowhere.';

create function identity.resolve_invitation(wanted_token_hash bytea) returns table (organization_id uuid, invitation_id uuid)
language sql stable security definer
set search_path = ''
as $$
    select i.organization_id, i.invitation_id from identity.invitation_directory i where i.token_hash = wanted_token_hash;
$$;
comment on function identity.resolve_invitation(bytea) is
    'Organization and invitation of a token, or nothing.';

create function identity.issue_token(new_id uuid, wanted_account_id uuid, new_type text, new_token_hash bytea, new_expires_at timestamptz) returns void
language sql volatile security definer
set search_path = ''
as $$
    update identity.auth_tokens set used_at = now()
    where account_id = wanted_account_id and type = new_type and used_at is null;
    insert into identity.auth_tokens (id, account_id, type, token_hash, expires_at)
    values (new_id, wanted_account_id, new_type, new_token_hash, new_expires_at);
$$;
comment on function identity.issue_token(uuid, uuid, text, bytea, timestamptz) is
    'A single-use token; older ones of its type are void from now on.';

create function identity.consume_token(wanted_token_hash bytea, wanted_type text, at_time timestamptz) returns uuid
language sql volatile security definer
set search_path = ''
as $$
    update identity.auth_tokens set used_at = at_time
    where token_hash = wanted_token_hash and type = wanted_type and used_at is null and expires_at > at_time
    returning account_id;
$$;
comment on function identity.consume_token(bytea, text, timestamptz) is
    'Uses a token up and returns its account; nothing when unknown, used, expired or of another type.';

create function identity.peek_token(wanted_token_hash bytea, wanted_type text, at_time timestamptz) returns uuid
language sql stable security definer
set search_path = ''
as $$
    select account_id from identity.auth_tokens
    where token_hash = wanted_token_hash and type = wanted_type and used_at is null and expires_at > at_time;
$$;
comment on function identity.peek_token(bytea, text, timestamptz) is
    'The account of a token that could be used now, without using it up.';

create function identity.open_session(
    new_id uuid, new_account_id uuid, new_user_id uuid, new_user_agent text, new_address text, at_time timestamptz, new_expires_at timestamptz
) returns boolean
language sql volatile security definer
set search_path = ''
as $$
    with opened as (
        insert into identity.sessions
            (id, account_id, organization_id, user_id, user_agent, address, created_at, last_seen_at, expires_at)
        select new_id, s.account_id, s.organization_id, s.user_id, left(new_user_agent, 300), new_address, at_time, at_time, new_expires_at
        from identity.seat_directory s
        where s.account_id = new_account_id and s.organization_id = app.current_org_id() and s.user_id = new_user_id
        returning id
    )
    select exists (select from opened);
$$;
comment on function identity.open_session(uuid, uuid, uuid, text, text, timestamptz, timestamptz) is
    'Opens a session for a seat of the organization in context; false, and nothing opened, without the seat.';

create function identity.touch_session(wanted_id uuid, at_time timestamptz) returns void
language sql volatile security definer
set search_path = ''
as $$
    update identity.sessions set last_seen_at = at_time
    where id = wanted_id and organization_id = app.current_org_id() and revoked_at is null and last_seen_at < at_time - interval '5 minutes';
$$;
comment on function identity.touch_session(uuid, timestamptz) is
    'Notes that a session of the organization in context was seen, at most every five minutes.';

create function identity.session_seat(wanted_session_id uuid, at_time timestamptz) returns table (account_id uuid, user_id uuid, email text, full_name text, email_verified_at timestamptz, status text)
language sql stable security definer
set search_path = ''
as $$
    select s.account_id, s.user_id, a.email, a.full_name, a.email_verified_at, o.status
    from identity.sessions s
    join identity.seat_directory d on d.account_id = s.account_id and d.organization_id = s.organization_id and d.user_id = s.user_id
    join identity.accounts a on a.id = s.account_id
    join identity.organization_directory o on o.organization_id = s.organization_id
    where s.id = wanted_session_id and s.organization_id = app.current_org_id()
      and s.revoked_at is null and s.expires_at > at_time;
$$;
comment on function identity.session_seat(uuid, timestamptz) is
    'Who a live session of the organization in context belongs to, or nothing.';

create function identity.list_sessions(wanted_account_id uuid, at_time timestamptz) returns table (id uuid, organization_id uuid, user_agent text, address text, created_at timestamptz, last_seen_at timestamptz, expires_at timestamptz)
language sql stable security definer
set search_path = ''
as $$
    select s.id, s.organization_id, s.user_agent, s.address, s.created_at, s.last_seen_at, s.expires_at
    from identity.sessions s
    where s.account_id = wanted_account_id and s.revoked_at is null and s.expires_at > at_time
    order by s.last_seen_at desc, s.id
    limit 200;
$$;
comment on function identity.list_sessions(uuid, timestamptz) is
    'The live sessions of a person, the last used first, at most 200.';

create function identity.revoke_session(wanted_account_id uuid, wanted_session_id uuid) returns boolean
language sql volatile security definer
set search_path = ''
as $$
    with ended as (
        update identity.sessions set revoked_at = now()
        where id = wanted_session_id and account_id = wanted_account_id and revoked_at is null
        returning id
    )
    select exists (select from ended);
$$;
comment on function identity.revoke_session(uuid, uuid) is
    'Ends one session of a person; false when there was none.';

create function identity.revoke_sessions(wanted_account_id uuid, except_session_id uuid) returns integer
language sql volatile security definer
set search_path = ''
as $$
    with ended as (
        update identity.sessions set revoked_at = now()
        where account_id = wanted_account_id and revoked_at is null and id is distinct from except_session_id
        returning id
    )
    select count(*)::integer from ended;
$$;
comment on function identity.revoke_sessions(uuid, uuid) is
    'Ends all sessions of a person but one (null: all); returns how many.';

create function identity.register_payment(new_provider text, new_reference text, new_payment_id uuid) returns void
language sql volatile security definer
set search_path = ''
as $$
    insert into identity.payment_directory (provider, reference, organization_id, payment_id)
    values (new_provider, new_reference, app.current_org_id(), new_payment_id);
$$;
comment on function identity.register_payment(text, text, uuid) is
    'Leads from a provider''s reference to the payment of the organization in context.';

create function identity.resolve_payment(wanted_provider text, wanted_reference text) returns table (organization_id uuid, payment_id uuid)
language sql stable security definer
set search_path = ''
as $$
    select p.organization_id, p.payment_id
    from identity.payment_directory p
    where p.provider = wanted_provider and p.reference = wanted_reference;
$$;
comment on function identity.resolve_payment(text, text) is
    'Organization and payment of a provider''s reference, or nothing.';

create function identity.announce_work(new_kind text) returns void
language sql volatile security definer
set search_path = ''
as $$
    insert into identity.work_directory (kind, organization_id, slot)
    values (new_kind, app.current_org_id(), pg_catalog.pg_backend_pid())
    on conflict (kind, organization_id, slot) do update set slot = excluded.slot;
$$;
comment on function identity.announce_work(text) is
    'Says that the organization in context has work waiting; the row lock keeps a claim from overtaking this transaction.';

create function identity.waiting_organizations(wanted_kind text, after uuid, page_size integer) returns setof uuid
language sql stable security definer
set search_path = ''
as $$
    select distinct w.organization_id
    from identity.work_directory w
    where w.kind = wanted_kind and w.organization_id > after
    order by w.organization_id
    limit page_size;
$$;
comment on function identity.waiting_organizations(text, uuid, integer) is
    'Organizations after a given one, in order, that have work of a kind waiting.';

create function identity.withdraw_work(old_kind text) returns void
language sql volatile security definer
set search_path = ''
as $$
    delete from identity.work_directory w
    using (
        select kind, organization_id, slot
        from identity.work_directory
        where kind = old_kind and organization_id = app.current_org_id()
        for update skip locked
    ) announced
    where w.kind = announced.kind and w.organization_id = announced.organization_id and w.slot = announced.slot;
$$;
comment on function identity.withdraw_work(text) is
    'Takes back what the organization in context announced; the caller then looks once more and announces again what is left.';

create function identity.queue_account_mail(new_id uuid, wanted_account_id uuid, new_kind text, unless_since timestamptz default null) returns boolean
language sql volatile security definer
set search_path = ''
as $$
    with queued as (
        insert into identity.account_mails (id, account_id, kind)
        select new_id, wanted_account_id, new_kind
        where not exists (
            select from identity.account_mails m
            where m.account_id = wanted_account_id and m.kind = new_kind and m.created_at > unless_since
        )
        returning id
    )
    select exists (select from queued);
$$;
comment on function identity.queue_account_mail(uuid, uuid, text, timestamptz) is
    'Asks for a mail to a person; false when one of its kind was asked for since the given time.';

create function identity.queue_reset_mail(new_id uuid, wanted_email_key text) returns void
language sql volatile security definer
set search_path = ''
as $$
    insert into identity.account_mails (id, account_id, kind)
    values (new_id, (select a.id from identity.accounts a where a.email_key = wanted_email_key), 'password_reset');
$$;
comment on function identity.queue_reset_mail(uuid, text) is
    'Asks for a password reset; an unknown e-mail leaves a row that leads to nobody, so that the work is the same.';

create function identity.claim_account_mail(wanted_id uuid, at_time timestamptz) returns table (account_id uuid, kind text, created_at timestamptz)
language sql volatile security definer
set search_path = ''
as $$
    update identity.account_mails set claimed_at = at_time
    where id = wanted_id and sent_at is null and error is null
    returning account_id, kind, created_at;
$$;
comment on function identity.claim_account_mail(uuid, timestamptz) is
    'Takes a mail that was neither sent nor given up, or nothing.';

create function identity.settle_account_mail(wanted_id uuid, new_sent_at timestamptz, new_error text) returns void
language sql volatile security definer
set search_path = ''
as $$
    update identity.account_mails set sent_at = new_sent_at, error = new_error where id = wanted_id;
$$;
comment on function identity.settle_account_mail(uuid, timestamptz, text) is
    'Writes what became of a mail: sent, or given up with a reason.';

create function identity.take_attempt(wanted_subject bytea, free_attempts integer, at_time timestamptz) returns integer
language plpgsql volatile security definer
set search_path = ''
as $$
declare
    known identity.attempts;
begin
    insert into identity.attempts (subject, failures, next_at) values (wanted_subject, 0, at_time)
    on conflict (subject) do nothing;
    select * into strict known from identity.attempts where subject = wanted_subject for update;
    if known.next_at > at_time and known.failures >= free_attempts then
        return ceil(extract(epoch from known.next_at - at_time));
    end if;
    if known.next_at < at_time - interval '1 hour' then
        known.failures := 0;
    end if;
    update identity.attempts
    set failures = known.failures + 1,
        next_at = at_time + make_interval(secs => case when known.failures + 1 < free_attempts then 0
            else least(60, power(2, least(known.failures + 1 - free_attempts, 6))) end)
    where subject = wanted_subject;
    return 0;
end
$$;
comment on function identity.take_attempt(bytea, integer, timestamptz) is
    'Counts an attempt as failed until it is given back: 0 when it may be made, else the seconds to wait (1, 2, 4 … 60 after the free ones).';

create function identity.give_attempt_back(wanted_subject bytea, all_of_them boolean) returns void
language sql volatile security definer
set search_path = ''
as $$
    update identity.attempts
    set failures = case when all_of_them then 0 else greatest(failures - 1, 0) end
    where subject = wanted_subject;
$$;
comment on function identity.give_attempt_back(bytea, boolean) is
    'The attempt succeeded: it no longer counts, or none of the former failures does.';

create function identity.prune(before timestamptz) returns void
language sql volatile security definer
set search_path = ''
as $$
    delete from identity.auth_tokens where expires_at < before;
    delete from identity.sessions where expires_at < before;
    delete from identity.account_mails where created_at < before;
    delete from identity.attempts where next_at < before;
$$;
comment on function identity.prune(timestamptz) is
    'Forgets tokens and sessions that ended, mails that were asked for and attempts that were made before the given time.';

revoke execute on all functions in schema identity from public;
grant execute on function identity.find_account(text) to app_rw;
grant execute on function identity.get_account(uuid) to app_rw;
grant execute on function identity.create_account(uuid, text, text, text, text) to app_rw;
grant execute on function identity.set_password(uuid, text, text) to app_rw;
grant execute on function identity.hold_password(uuid, text) to app_rw;
grant execute on function identity.mark_verified(uuid, timestamptz) to app_rw;
grant execute on function identity.open_organization() to app_rw;
grant execute on function identity.organization_status() to app_rw;
grant execute on function identity.set_organization_status(text) to app_worker;
grant execute on function identity.list_organizations(uuid, integer) to app_worker;
grant execute on function identity.add_seat(uuid, uuid) to app_rw;
grant execute on function identity.remove_seat(uuid) to app_rw;
grant execute on function identity.seats_of(uuid) to app_rw;
grant execute on function identity.members() to app_rw;
grant execute on function identity.register_key(bytea, uuid) to app_rw;
grant execute on function identity.forget_key(uuid) to app_rw;
grant execute on function identity.resolve_key(bytea) to app_rw;
grant execute on function identity.register_invitation(bytea, uuid) to app_rw;
grant execute on function identity.forget_invitation(uuid) to app_rw;
grant execute on function identity.resolve_invitation(bytea) to app_rw;
grant execute on function identity.issue_token(uuid, uuid, text, bytea, timestamptz) to app_worker;
grant execute on function identity.consume_token(bytea, text, timestamptz) to app_rw;
grant execute on function identity.peek_token(bytea, text, timestamptz) to app_rw;
grant execute on function identity.open_session(uuid, uuid, uuid, text, text, timestamptz, timestamptz) to app_rw;
grant execute on function identity.touch_session(uuid, timestamptz) to app_rw;
grant execute on function identity.session_seat(uuid, timestamptz) to app_rw;
grant execute on function identity.list_sessions(uuid, timestamptz) to app_rw;
grant execute on function identity.revoke_session(uuid, uuid) to app_rw;
grant execute on function identity.revoke_sessions(uuid, uuid) to app_rw;
grant execute on function identity.register_payment(text, text, uuid) to app_rw;
grant execute on function identity.resolve_payment(text, text) to app_worker;
grant execute on function identity.announce_work(text) to app_rw;
grant execute on function identity.waiting_organizations(text, uuid, integer) to app_worker;
grant execute on function identity.withdraw_work(text) to app_worker;
grant execute on function identity.queue_account_mail(uuid, uuid, text, timestamptz) to app_rw;
grant execute on function identity.queue_reset_mail(uuid, text) to app_rw;
grant execute on function identity.claim_account_mail(uuid, timestamptz) to app_worker;
grant execute on function identity.settle_account_mail(uuid, timestamptz, text) to app_worker;
grant execute on function identity.take_attempt(bytea, integer, timestamptz) to app_rw;
grant execute on function identity.give_attempt_back(bytea, boolean) to app_rw;
grant execute on function identity.prune(timestamptz) to app_worker;

reset role;
do $$
declare
    resolver_function regprocedure;
begin
    for resolver_function in select oid::regprocedure from pg_catalog.pg_proc where pronamespace = 'identity'::regnamespace
    loop
        call app.hand_over(resolver_function, 'app_resolver');
    end loop;
end
$$;
