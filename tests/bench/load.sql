-- Organizations with their plan, seats, keys, messages and usage: `organizations` and `rows` are given, the first organization holds half of all rows.
set session_replication_role = replica;
alter table tenancy.organizations disable trigger user;
create temporary table wanted as
    select n, ('01890000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid as id from generate_series(1, %(organizations)s) as n;
insert into tenancy.organizations (organization_id, name, email) select id, 'Organization ' || n, 'a@example.com' from wanted;
insert into billing.plan_segments (organization_id, position, starts_at, plan) select id, 1, '2026-01-01Z', 'free' from wanted;
insert into tenancy.users (organization_id, id, account_id, email, role) select id, id, id, 'a@example.com', 'owner' from wanted;
insert into tenancy.api_keys (organization_id, id, name, first4, last4, scopes, created_by)
    select id, id, 'Key', 'aaaa', 'zzzz', '{}', id from wanted;
create temporary table row_of as
    select r, case when %(skewed)s and r %% 2 = 0 then 1 else (hashint4(r) & 2147483647) %% %(organizations)s + 1 end as n
    from generate_series(1, %(rows)s) as r;
insert into messaging.messages (organization_id, id, api_key_id, type, recipient, body, status, created_at)
    select w.id, ('01890000-0001-7000-8000-' || lpad(to_hex(r), 12, '0'))::uuid, w.id, 'email', 'a@example.com', 'Hello', 'delivered',
           timestamptz '2026-11-01' + r * interval '1 second'
    from row_of join wanted w using (n);
insert into usage.usage_records
    (organization_id, id, billed_month, api_key_id, endpoint, method, status_code, duration_us, plan, is_billable, occurred_at)
    select w.id, ('01890000-0002-7000-8000-' || lpad(to_hex(r), 12, '0'))::uuid, date '2026-11-01', w.id, '/api/v1/messages/send', 'POST', 200,
           900, 'free', true, timestamptz '2026-11-01' + r * interval '1 second'
    from row_of join wanted w using (n);
alter table tenancy.organizations enable trigger user;
