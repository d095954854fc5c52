-- What tests/bench/load.sql leaves out: what leads to the rows from outside, queued messages, and the roll-ups of all but the last day.
set session_replication_role = replica;
insert into identity.organization_directory (organization_id) select organization_id from tenancy.organizations;
insert into identity.accounts (id, email, email_key, password_hash)
    select id, id || '@example.com', id || '@example.com', '!' from tenancy.users;
insert into identity.seat_directory (account_id, organization_id, user_id) select id, organization_id, id from tenancy.users;
insert into identity.sessions (id, account_id, organization_id, user_id, expires_at)
    select u.id, u.id, u.organization_id, u.id, '2099-01-01Z' from tenancy.users u;
insert into identity.sessions (id, account_id, organization_id, user_id, expires_at)
    select gen_random_uuid(), u.id, u.organization_id, u.id, '2099-01-01Z' from tenancy.users u, generate_series(1, 9);
insert into identity.api_key_directory (digest, organization_id, api_key_id)
    select sha256(uuid_send(id)), organization_id, id from tenancy.api_keys;
update messaging.messages set status = 'queued', next_attempt_at = created_at where ('x' || right(id::text, 2))::bit(8)::int in (7, 8);
update messaging.messages set status = 'sending', claimed_at = created_at where ('x' || right(id::text, 2))::bit(8)::int in (9, 10);
insert into tenancy.users (organization_id, id, account_id, email, role)
    select o.organization_id, gen_random_uuid(), gen_random_uuid(), 'b@example.com', 'member' from tenancy.organizations o, generate_series(1, 19);
insert into tenancy.api_keys (organization_id, id, name, first4, last4, scopes, created_by, is_active, revoked_at)
    select o.organization_id, gen_random_uuid(), 'Old key', 'aaaa', 'zzzz', '{}', o.organization_id, false, now()
    from tenancy.organizations o, generate_series(1, 39);
insert into tenancy.idempotency_keys (organization_id, subject_id, key_hash, request_hash, record_id, status_code, answer)
    select o.organization_id, o.organization_id, sha256(uuid_send(gen_random_uuid())), sha256(''), gen_random_uuid(), 200, ''
    from tenancy.organizations o, generate_series(1, 50);
insert into usage.daily_usage
    (organization_id, billed_month, day, api_key_id, endpoint, method, plan, status_class, requests, billable, duration_us)
    select organization_id, billed_month, (occurred_at at time zone 'utc')::date, api_key_id, endpoint, method, plan, status_code / 100,
           count(*), count(*) filter (where is_billable), sum(duration_us)
    from usage.usage_records where occurred_at < '2026-11-06Z' group by 1, 2, 3, 4, 5, 6, 7, 8;
insert into usage.daily_usage
    (organization_id, billed_month, day, api_key_id, endpoint, method, plan, status_class, requests, billable, duration_us)
    select k.organization_id, date_trunc('month', day), day, k.id, '/api/v1/messages/send', 'POST', 'free', 2, 9, 9, 9
    from tenancy.api_keys k, generate_series(timestamp '2026-08-01', '2026-10-31', interval '1 day') as day where k.is_active;
update usage.rolled_up set sealed_until = '2026-11-06Z', counted_until = '2026-11-06Z';
