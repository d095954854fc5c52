-- depends: 0007_charge 0008_messaging 0010_jobs
-- Who changed what, from where and when: append-only, one hash chain for each organization, written by triggers at commit.

set local role app_owner;

create schema audit;
comment on schema audit is 'The append-only record of changes and of operators'' looks, chained by hash for each organization.';

create table audit.events (
    organization_id uuid not null,
    position        bigint not null,
    occurred_at     timestamptz not null,
    transaction_id  bigint not null,
    actor_kind      text not null,
    actor_id        uuid,
    database_role   text not null,
    request_id      text,
    client_address  text,
    table_name      text not null,
    row_key         text not null,
    operation       text not null,
    before          jsonb,
    after           jsonb,
    previous_hash   bytea not null,
    hash            bytea not null,
    constraint events_pkey primary key (organization_id, occurred_at, position),
    constraint events_operation_check check (operation in ('insert', 'update', 'delete')),
    constraint events_position_check check (position > 0),
    constraint events_hash_check check (octet_length(hash) = 32 and octet_length(previous_hash) = 32)
) partition by range (occurred_at);
create index events_position_idx on audit.events (organization_id, position);
create index events_row_key_idx on audit.events (organization_id, table_name, row_key, position);
comment on table audit.events is 'One changed row each, in the order of its organization''s chain; nothing here is ever changed or removed.';
comment on column audit.events.organization_id is 'Whose row it was; the zero UUID is the installation itself.';
comment on column audit.events.position is 'Place in the organization''s chain, from 1, without gaps.';
comment on column audit.events.occurred_at is 'The server''s clock at the end of the transaction; never earlier than the event before it.';
comment on column audit.events.transaction_id is 'PostgreSQL''s number of the transaction: events of one are one act.';
comment on column audit.events.actor_kind is 'user, api_key, job or system as the application says; operator when someone works outside it.';
comment on column audit.events.actor_id is 'Id of the seat, key or job; null for system and operator.';
comment on column audit.events.database_role is 'The role that logged in.';
comment on column audit.events.request_id is 'X-Request-ID of the HTTP request, when one caused it.';
comment on column audit.events.client_address is 'Address of the client, when one caused it.';
comment on column audit.events.table_name is 'Schema and table of the row.';
comment on column audit.events.row_key is 'Primary key without the organization; its parts are separated by a slash.';
comment on column audit.events.operation is 'insert, update or delete.';
comment on column audit.events.before is 'Deleted row, or the old values of the changed columns; secrets are redacted.';
comment on column audit.events.after is 'Inserted row, or the new values of the changed columns; secrets are redacted.';
comment on column audit.events.previous_hash is 'Hash of the event one place before.';
comment on column audit.events.hash is 'SHA-256 over previous_hash and every other column: a change anywhere breaks the chain here.';

create table audit.chain_heads (
    organization_id uuid not null,
    position        bigint not null default 0,
    occurred_at     timestamptz not null default '-infinity',
    hash            bytea not null default sha256(''),
    constraint chain_heads_pkey primary key (organization_id)
) with (fillfactor = 50);
comment on table audit.chain_heads is 'The newest link of each organization''s chain; its row lock puts the organization''s commits in order.';
comment on column audit.chain_heads.organization_id is 'Whose chain it is.';
comment on column audit.chain_heads.position is 'Place of the newest event; 0 before the first.';
comment on column audit.chain_heads.occurred_at is 'When the newest event happened.';
comment on column audit.chain_heads.hash is 'Hash of the newest event; the hash of nothing before the first.';

create table audit.accesses (
    organization_id uuid not null,
    id              uuid not null default gen_random_uuid(),
    kind            text not null,
    database_role   text not null default session_user,
    reason          text not null,
    created_at      timestamptz not null default now(),
    constraint accesses_pkey primary key (organization_id, id),
    constraint accesses_kind_check check (kind in ('as_org', 'break_glass')),
    constraint accesses_database_role_check check (database_role = session_user),
    constraint accesses_reason_check check (length(btrim(reason)) between 4 and 500)
);
comment on table audit.accesses is 'Each time an operator looked into an organization, and why.';
comment on column audit.accesses.organization_id is 'Whose data was opened; the zero UUID for a look across all of them.';
comment on column audit.accesses.id is 'Names the access.';
comment on column audit.accesses.kind is 'as_org for one organization, break_glass for all.';
comment on column audit.accesses.database_role is 'Who had logged in; nobody can write another name.';
comment on column audit.accesses.reason is 'Ticket or sentence, 4 to 500 characters.';
comment on column audit.accesses.created_at is 'When the access began.';

create function audit.refuse() returns trigger
language plpgsql
set search_path = ''
as $$
begin
    raise exception 'the audit trail is append-only' using errcode = 'ORG05';
end
$$;
comment on function audit.refuse() is 'Refuses (ORG05) every update, delete and truncate, the owner''s too.';

create function audit.protect(append_only regclass) returns void
language plpgsql
set search_path = ''
as $$
begin
    if not (select relispartition from pg_catalog.pg_class where oid = append_only) then
        execute format('create trigger keep_rows before update or delete on %s for each row execute function audit.refuse()', append_only);
        execute format('alter table %s enable always trigger keep_rows', append_only);
    end if;
    execute format('create trigger keep_table before truncate on %s for each statement execute function audit.refuse()', append_only);
    execute format('alter table %s enable always trigger keep_table', append_only);
end
$$;
comment on function audit.protect(regclass) is 'Makes a table append-only for everybody, on replicas of changes too.';

create function audit.create_partition(first_day date) returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    partition text := 'events_' || to_char(first_day, 'YYYY_MM');
begin
    if first_day <> date_trunc('month', first_day)::date or abs(first_day - current_date) > 800 then
        raise exception 'a partition begins on the first of a month not too far from now' using errcode = 'invalid_parameter_value';
    end if;
    if to_regclass('audit.' || partition) is not null then
        return;
    end if;
    execute format('create table audit.%I partition of audit.events for values from (%L) to (%L)', partition,
        first_day::timestamp at time zone 'utc', (first_day + interval '1 month')::timestamp at time zone 'utc');
    execute format('comment on table audit.%I is %L', partition, 'Events of the month from ' || first_day || '.');
    perform app.secure_tenant_table(format('audit.%I', partition)::regclass);
    perform audit.protect(format('audit.%I', partition)::regclass);
end
$$;
comment on function audit.create_partition(date) is 'The partition of a month, secured and append-only like its parent; nothing when it exists.';

create function audit.is_secret(column_name text) returns boolean
language sql immutable parallel safe
set search_path = ''
as $$
    select column_name ~ '(secret|password|token|digest|hash|cipher|private|^answer$|^url$)';
$$;
comment on function audit.is_secret(text) is 'Whether a column of this name is written into the trail as redacted.';

create function audit.redact(image jsonb) returns jsonb
language sql immutable parallel safe
set search_path = ''
as $$
    select case when image is null then null else image || coalesce((
        select pg_catalog.jsonb_object_agg(key, '"redacted"'::jsonb)
        from pg_catalog.jsonb_object_keys(image) as key
        where audit.is_secret(key) and image -> key <> 'null'
    ), '{}') end;
$$;
comment on function audit.redact(jsonb) is 'The row with every secret replaced by the word redacted.';

create function audit.link(event audit.events) returns bytea
language sql stable
set search_path = ''
as $$
    select pg_catalog.sha256(event.previous_hash || pg_catalog.convert_to(pg_catalog.jsonb_build_array(
        event.organization_id, event.position, event.occurred_at at time zone 'utc', event.transaction_id, event.actor_kind, event.actor_id,
        event.database_role, event.request_id, event.client_address, event.table_name, event.row_key, event.operation,
        event.before, event.after)::text, 'UTF8'));
$$;
comment on function audit.link(audit.events) is 'The hash that an event must carry.';

-- Deferred to the commit: the chain's head is the last lock a transaction takes, so no order of statements can make a cycle.
create function audit.write_event() returns trigger
language plpgsql security definer
set search_path = ''
set timezone = 'UTC'
as $$
declare
    old_row jsonb := case when tg_op <> 'INSERT' then pg_catalog.to_jsonb(old) end;
    new_row jsonb := case when tg_op <> 'DELETE' then pg_catalog.to_jsonb(new) end;
    whole jsonb := coalesce(new_row, old_row);
    event audit.events;
begin
    if tg_op = 'UPDATE' then
        select pg_catalog.jsonb_object_agg(key, old_row -> key), pg_catalog.jsonb_object_agg(key, value) into event.before, event.after
        from pg_catalog.jsonb_each(new_row)
        where value is distinct from old_row -> key and key <> all (pg_catalog.string_to_array(tg_argv[2], ','));
        if event.after is null then
            return null;
        end if;
    else
        event.before := old_row;
        event.after := new_row;
    end if;
    event.before := audit.redact(event.before);
    event.after := audit.redact(event.after);
    event.organization_id := whole ->> 'organization_id';
    event.table_name := tg_argv[0];
    event.operation := lower(tg_op);
    select pg_catalog.string_agg(whole ->> name, '/' order by place) into event.row_key
    from pg_catalog.unnest(pg_catalog.string_to_array(tg_argv[1], ',')) with ordinality as key_column (name, place);
    event.transaction_id := pg_catalog.pg_current_xact_id()::text;
    event.actor_kind := coalesce(nullif(pg_catalog.current_setting('app.actor_kind', true), ''), 'operator');
    event.actor_id := nullif(pg_catalog.current_setting('app.actor_id', true), '');
    event.database_role := session_user;
    event.request_id := nullif(pg_catalog.current_setting('app.request_id', true), '');
    event.client_address := nullif(pg_catalog.current_setting('app.client_address', true), '');

    loop
        select h.position + 1, greatest(h.occurred_at, pg_catalog.clock_timestamp()), h.hash
        into event.position, event.occurred_at, event.previous_hash
        from audit.chain_heads h where h.organization_id = event.organization_id for update;
        exit when found;
        insert into audit.chain_heads (organization_id) values (event.organization_id) on conflict do nothing;
    end loop;
    event.hash := audit.link(event);
    insert into audit.events values (event.*);
    update audit.chain_heads set position = event.position, occurred_at = event.occurred_at, hash = event.hash
    where organization_id = event.organization_id;
    return null;
end
$$;
comment on function audit.write_event() is
    'Appends a changed row to its organization''s chain. Arguments: the table''s name, its key''s columns, columns whose change alone is no event.';

create function audit.watch(tenant_table regclass, unremarkable text[] default '{}') returns void
language plpgsql
set search_path = ''
as $$
declare
    table_name text;
    key_columns text;
begin
    select format('%s.%s', n.nspname, c.relname) into table_name
    from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace where c.oid = tenant_table;
    select coalesce(string_agg(a.attname, ',' order by k.place) filter (where a.attname <> 'organization_id'), 'organization_id') into key_columns
    from pg_catalog.pg_constraint p
    cross join unnest(p.conkey) with ordinality as k (attnum, place)
    join pg_catalog.pg_attribute a on a.attrelid = p.conrelid and a.attnum = k.attnum
    where p.conrelid = tenant_table and p.contype = 'p';
    execute format(
        'create constraint trigger write_event after insert or update or delete on %s deferrable initially deferred '
        'for each row execute function audit.write_event(%L, %L, %L)', tenant_table, table_name, key_columns, array_to_string(unremarkable, ','));
    execute format('alter table %s enable always trigger write_event', tenant_table);
    execute format('comment on trigger write_event on %s is %L', tenant_table, 'Writes each change into audit.events at commit.');
end
$$;
comment on function audit.watch(regclass, text[]) is
    'Puts a tenant table under audit; a change of the unremarkable columns alone is not written.';

create function audit.verify_chain(organization uuid) returns table (is_intact boolean, events bigint, broken_at bigint, reason text)
language plpgsql stable
set search_path = ''
as $$
declare
    expected audit.chain_heads;
    head audit.chain_heads;
    event audit.events;
begin
    if organization is distinct from app.current_org_id() then
        raise exception 'only the chain of the organization in context can be verified' using errcode = 'ORG04';
    end if;
    expected.position := 0;
    expected.hash := sha256('');
    for event in select * from audit.events e where e.organization_id = organization order by e.position, e.occurred_at
    loop
        reason := case
            when event.position <> expected.position + 1 then format('event %s follows event %s', event.position, expected.position)
            when event.previous_hash <> expected.hash then format('event %s does not link to the event before it', event.position)
            when event.hash <> audit.link(event) then format('event %s was changed', event.position)
        end;
        if reason is not null then
            return query select false, expected.position, expected.position + 1, reason;
            return;
        end if;
        expected.position := event.position;
        expected.hash := event.hash;
    end loop;
    select * into head from audit.chain_heads h where h.organization_id = organization;
    if coalesce(head.position, 0) <> expected.position or coalesce(head.hash, sha256('')) <> expected.hash then
        return query select false, expected.position, expected.position + 1,
            format('the chain ends at event %s but its head says %s', expected.position, coalesce(head.position, 0));
    else
        return query select true, expected.position, null::bigint, null::text;
    end if;
end
$$;
comment on function audit.verify_chain(uuid) is
    'Walks the chain of the organization in context: intact, or the place and the nature of the first broken link.';

create function audit.history(wanted_table text, wanted_key text) returns setof audit.events
language sql stable
set search_path = ''
as $$
    select e.*
    from audit.events e
    where e.organization_id = app.current_org_id() and e.table_name = wanted_table and e.row_key = wanted_key
    order by e.position;
$$;
comment on function audit.history(text, text) is 'Everything that happened to one row of the organization in context, oldest first.';

create aggregate audit.merge(jsonb) (sfunc = pg_catalog.jsonb_concat, stype = jsonb, initcond = '{}');
comment on aggregate audit.merge(jsonb) is 'Lays images over each other, later ones on top.';

create function audit.as_of(wanted_table text, organization uuid, at_time timestamptz) returns table (row_key text, image jsonb)
language plpgsql stable
set search_path = ''
as $$
begin
    if organization is distinct from app.current_org_id() then
        raise exception 'only the past of the organization in context can be shown' using errcode = 'ORG04';
    end if;
    return query
        select e.row_key, audit.merge(e.after order by e.position)
        from audit.events e
        where e.organization_id = organization and e.table_name = wanted_table and e.occurred_at <= at_time
        group by e.row_key
        having (array_agg(e.operation order by e.position desc))[1] <> 'delete'
        order by e.row_key;
end
$$;
comment on function audit.as_of(text, uuid, timestamptz) is
    'The rows of a table of the organization in context as they were at a time, from its trail; a deleted row is gone.';

do $$
begin
    perform audit.protect('audit.events');
    perform audit.protect('audit.accesses');
    perform app.secure_tenant_table(t) from unnest(array['audit.events', 'audit.chain_heads', 'audit.accesses']::regclass[]) as t;
    perform audit.create_partition((date_trunc('month', now() at time zone 'utc') + make_interval(months => n))::date)
    from generate_series(-1, 12) as n;
end
$$;
create table audit.events_default partition of audit.events default;
comment on table audit.events_default is 'Months without a partition of their own: no change goes unwritten when they are late.';
do $$
begin
    perform app.secure_tenant_table('audit.events_default');
    perform audit.protect('audit.events_default');
end
$$;

revoke execute on all functions in schema audit from public;
grant usage on schema audit to app_rw, app_ro, audit_writer;
grant select on audit.events, audit.chain_heads to app_rw, app_ro;
grant select on audit.accesses to app_ro;
grant insert (organization_id, kind, reason) on audit.accesses to app_auditor;
grant insert on audit.events to audit_writer;
grant select, insert, update on audit.chain_heads to audit_writer;
grant execute on function audit.link(audit.events), audit.redact(jsonb), audit.is_secret(text) to audit_writer;
grant execute on function audit.link(audit.events), audit.verify_chain(uuid), audit.history(text, text), audit.merge(jsonb),
    audit.as_of(text, uuid, timestamptz) to app_rw, app_ro;
grant execute on function audit.create_partition(date) to app_worker;

reset role;
call app.hand_over('audit.write_event()'::regprocedure, 'audit_writer');
-- Whoever makes a trigger needs the right to call its function: later migrations put their tables under audit as app_owner.
set local role audit_writer;
grant execute on function audit.write_event() to app_owner;
reset role;
