-- depends: 0041_charge_from_rollups 0050_known_devices
-- One organization's whole life: it is suspended and resumed, exported and imported, and erased, and each leaves its record.

set local role app_owner;

alter table audit.accesses add column operator text;
comment on column audit.accesses.operator is 'Who ran the command, as the operating system named him; null where the database''s log-in says it.';
comment on table audit.accesses is 'Each time an operator looked into an organization or acted on it, and why.';
comment on column audit.accesses.kind is
    'as_org for a look into one organization, break_glass for one across all, and the acts suspend, resume and export.';
-- The table is small: one row for each act of an operator.
-- squawk-ignore ban-drop-constraint
alter table audit.accesses drop constraint accesses_kind_check;
-- squawk-ignore constraint-missing-not-valid
alter table audit.accesses add constraint accesses_kind_check check (kind in ('as_org', 'break_glass', 'suspend', 'resume', 'export'));
-- squawk-ignore constraint-missing-not-valid
alter table audit.accesses add constraint accesses_operator_check check (length(operator) between 1 and 200);
-- A check on session_user holds only for whoever wrote the row: no dump of it could ever be restored.
-- squawk-ignore ban-drop-constraint
alter table audit.accesses drop constraint accesses_database_role_check;
create function audit.name_role() returns trigger
language plpgsql
set search_path = ''
as $$
begin
    new.database_role := session_user;
    return new;
end
$$;
comment on function audit.name_role() is 'Writes who has logged in, whatever name was given.';
create trigger name_role before insert on audit.accesses for each row execute function audit.name_role();
comment on trigger name_role on audit.accesses is 'Nobody can write another name.';
grant insert (organization_id, kind, reason, operator) on audit.accesses to app_worker, app_exporter;

-- What stays of an organization that was erased, and how one came here that was imported.
create table audit.certificates (
    id                uuid not null default gen_random_uuid(),
    kind              text not null,
    organization_hash bytea not null,
    counts            jsonb not null,
    chain_position    bigint not null,
    chain_hash        bytea not null,
    invoices_sha256   bytea,
    operator          text not null,
    reason            text not null,
    database_role     text not null default session_user,
    transaction_id    bigint not null default pg_current_xact_id()::text::bigint,
    created_at        timestamptz not null default now(),
    constraint certificates_pkey primary key (id),
    constraint certificates_kind_check check (kind in ('imported', 'erased')),
    constraint certificates_organization_hash_check check (octet_length(organization_hash) = 32),
    constraint certificates_chain_hash_check check (octet_length(chain_hash) = 32),
    constraint certificates_reason_check check (length(btrim(reason)) between 4 and 500)
);
create index certificates_organization_hash_idx on audit.certificates (organization_hash);
comment on table audit.certificates is 'That an organization was imported or erased: what, by whom, when, and how its trail ended. Names nobody of it.';
comment on column audit.certificates.id is 'Names the certificate.';
comment on column audit.certificates.kind is 'imported or erased.';
comment on column audit.certificates.organization_hash is 'SHA-256 of the organization''s id: whoever knows the id can find the certificate, nobody can read it from here.';
comment on column audit.certificates.counts is 'Rows by table.';
comment on column audit.certificates.chain_position is 'Place of the last event of the organization''s trail; 0 when it had none.';
comment on column audit.certificates.chain_hash is 'Hash of that event: an archive or an anchor line kept elsewhere can be checked against it.';
comment on column audit.certificates.invoices_sha256 is 'SHA-256 of the file that keeps the invoices of an erased organization; null when none was written.';
comment on column audit.certificates.operator is 'Who ran the command, as the operating system named him.';
comment on column audit.certificates.reason is 'Ticket or sentence, 4 to 500 characters.';
comment on column audit.certificates.database_role is 'Who had logged in.';
comment on column audit.certificates.transaction_id is 'The transaction that did it.';
comment on column audit.certificates.created_at is 'When that transaction began.';
insert into ops.waivers (rule, object, reason)
values ('global table', 'audit.certificates', 'Outlives the organization it speaks of, and holds neither its id nor anything of its people.');
do $$ begin perform audit.protect('audit.certificates'); end $$;
grant select on audit.certificates to app_ro;

create function audit.name_of(organization uuid) returns bytea
language sql immutable
set search_path = ''
as $$
    select pg_catalog.sha256(pg_catalog.convert_to(organization::text, 'UTF8'));
$$;
comment on function audit.name_of(uuid) is 'How a certificate names an organization.';

create function audit.is_erasing(organization uuid) returns boolean
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
    select current_setting('app.erasing', true) = organization::text and exists (
        select from audit.certificates c
        where c.organization_hash = audit.name_of(organization) and c.kind = 'erased'
          and c.transaction_id = pg_current_xact_id_if_assigned()::text::bigint
    );
$$;
comment on function audit.is_erasing(uuid) is
    'Whether this transaction erases the organization: it has written the certificate, which only the owner can and nobody can take back.';

create or replace function audit.refuse() returns trigger
language plpgsql
set search_path = ''
as $$
begin
    if tg_op = 'DELETE' and tg_level = 'ROW' and coalesce(current_setting('app.erasing', true), '') <> '' then
        if audit.is_erasing((pg_catalog.to_jsonb(old) ->> 'organization_id')::uuid) then
            return old;
        end if;
    end if;
    raise exception 'the audit trail is append-only' using errcode = 'ORG05';
end
$$;
comment on function audit.refuse() is
    'Refuses (ORG05) every update, delete and truncate, the owner''s too, but for the erasure of a whole organization under its certificate.';

-- Like the other guards of billing: what an erased organization had agreed, and was taxed, goes with it.
create or replace function billing.keep_closed_prices() returns trigger
language plpgsql
set search_path = ''
as $$
begin
    if tg_op = 'DELETE' and pg_catalog.to_jsonb(old) ->> 'organization_id' = current_setting('app.erasing', true) then
        return old;
    end if;
    if tg_op <> 'INSERT' and old.valid_from < usage.first_open_month() or tg_op <> 'DELETE' and new.valid_from < usage.first_open_month() then
        raise exception 'a price of a closed month is never changed: write a row that holds from a later day' using errcode = 'BIL01';
    end if;
    return case when tg_op = 'DELETE' then old else new end;
end
$$;
comment on function billing.keep_closed_prices() is
    'Refuses (BIL01) to write or change a price that a closed month was rated with, but for the erasure of the organization named by app.erasing.';

-- From the catalog, so that a new table can neither be forgotten nor be in the wrong place.
create function ops.organization_tables() returns table (name text, place integer, is_referenced boolean)
language plpgsql stable
set search_path = ''
as $$
declare
    waiting oid[] := array(
        select t.table_id from ops.tables t
        where not t.is_partition and exists (
            select from pg_catalog.pg_attribute a
            where a.attrelid = t.table_id and a.attname = 'organization_id' and a.atttypid = 'uuid'::pg_catalog.regtype and not a.attisdropped
        )
    );
    ready oid[];
    round integer := 0;
begin
    while cardinality(waiting) > 0 loop
        ready := array(
            select w.id from unnest(waiting) as w (id)
            where not exists (
                select from pg_catalog.pg_constraint k
                where k.contype = 'f' and k.confrelid = w.id and k.conrelid <> w.id and k.conrelid = any (waiting)
            )
        );
        if cardinality(ready) = 0 then
            raise exception 'foreign keys form a circle' using errcode = 'ORG07';
        end if;
        round := round + 1;
        -- The directories first: what leads into the organization ends before what is in it. The trail last: it hears of all the rest.
        return query
            select t.name, round + case t.schema_name when 'identity' then 0 when 'audit' then 2000 else 1000 end,
                   exists (select from pg_catalog.pg_constraint k where k.contype = 'f' and k.confrelid = t.table_id)
            from ops.tables t where t.table_id = any (ready);
        waiting := array(select w.id from unnest(waiting) as w (id) where w.id <> all (ready));
    end loop;
end
$$;
comment on function ops.organization_tables() is
    'Every table with rows of organizations; in the order of place nothing is deleted that another table still refers to.';

create function ops.hold_organization(organization uuid) returns uuid[]
language plpgsql
set search_path = ''
as $$
declare
    target text;
    its_people uuid[];
begin
    -- Whoever still writes for it is waited for; whoever comes later finds nothing to refer to.
    for target in select t.name from ops.organization_tables() t where t.is_referenced order by t.place desc, t.name loop
        execute format('select from %s where organization_id = $1 for update', target) using organization;
    end loop;
    its_people := array(
        select s.account_id from identity.seat_directory s where s.organization_id = organization
        union
        select u.account_id from tenancy.users u where u.organization_id = organization
    );
    perform from identity.accounts a where a.id = any (its_people) order by a.id for update;
    perform pg_advisory_xact_lock(7266000002); -- nobody sums its requests meanwhile: usage.count_hours()
    -- What a provider sent and no job has matched yet.
    update billing.payment_events e set organization_id = organization
    where e.organization_id is null and (
        strpos(e.payload::text, organization::text) > 0
        or exists (
            select from identity.payment_directory d
            where d.organization_id = organization and d.provider = e.provider and d.reference = e.reference
        )
    );
    return array(
        select a.id from identity.accounts a
        where a.id = any (its_people)
          and not exists (select from identity.seat_directory s where s.account_id = a.id and s.organization_id <> organization)
        order by a.id
    );
end
$$;
comment on function ops.hold_organization(uuid) is
    'Locks an organization against whoever would still refer to it; returns the accounts of its people who have a seat nowhere else.';

create function ops.count_rows(organization uuid) returns jsonb
language plpgsql
set search_path = ''
as $$
declare
    target text;
    found_rows bigint;
    counts jsonb := '{}';
begin
    for target in select t.name from ops.organization_tables() t loop
        execute format('select count(*) from %s where organization_id = $1', target) into found_rows using organization;
        counts := counts || jsonb_build_object(target, found_rows);
    end loop;
    return counts;
end
$$;
comment on function ops.count_rows(uuid) is 'How many rows of an organization each table holds, for a role that sees them all.';

create function ops.forget_jobs(organization uuid) returns bigint
language sql
set search_path = jobs, pg_temp
as $$
    with forgotten as (
        delete from jobs.procrastinate_jobs j where j.args ->> 'organization_id' = organization::text returning j.id
    )
    select count(*) from forgotten;
$$;
comment on function ops.forget_jobs(uuid) is 'Takes every job of an organization out of the queue; returns how many.';
insert into ops.waivers (rule, object, reason)
values ('search path', 'ops.forget_jobs(uuid)', 'The triggers of the queue look for their tables in jobs; it runs with its caller''s rights.');

create function ops.erase_organization(organization uuid, operator text, reason text, invoices_sha256 bytea) returns jsonb
language plpgsql
set search_path = ''
as $$
declare
    target text;
    deleted bigint;
    counts jsonb;
    lonely uuid[];
begin
    perform set_config('app.current_org_id', organization::text, true);
    perform set_config('app.erasing', organization::text, true);
    lonely := ops.hold_organization(organization);
    counts := ops.count_rows(organization)
        || jsonb_build_object('identity.accounts', cardinality(lonely), 'jobs.procrastinate_jobs', (
            select count(*) from jobs.procrastinate_jobs j where j.args ->> 'organization_id' = organization::text));
    insert into audit.certificates (kind, organization_hash, counts, chain_position, chain_hash, invoices_sha256, operator, reason)
    select 'erased', audit.name_of(organization), counts, coalesce(max(h.position), 0), coalesce(max(h.hash), sha256('')),
           erase_organization.invoices_sha256, erase_organization.operator, erase_organization.reason
    from audit.chain_heads h where h.organization_id = organization;

    for target in select t.name from ops.organization_tables() t order by t.place, t.name loop
        execute format('delete from %s where organization_id = $1', target) using organization;
        get diagnostics deleted = row_count;
        if deleted <> (counts ->> target)::bigint then
            raise exception '% of % rows of % were deleted: somebody still writes for this organization', deleted, counts ->> target, target
                using errcode = 'ORG07';
        end if;
    end loop;
    delete from identity.accounts a where a.id = any (lonely);
    perform ops.forget_jobs(organization);
    set constraints all immediate;
    return counts;
end
$$;
comment on function ops.erase_organization(uuid, text, text, bytea) is
    'Deletes every row of an organization and the accounts of those who have a seat nowhere else, under a certificate; returns the rows by table. Rolled back, it is the dry run.';

-- The directories' part of an export: only for the role that exports, only for the organization in context. Sessions, tokens and
-- mails to people stay behind; digests go along, so that keys, passwords, invitations and payments under way go on working.
create function identity.export_accounts() returns setof identity.accounts
language sql stable security definer
set search_path = ''
as $$
    select a.* from identity.accounts a
    where exists (select from identity.seat_directory s where s.account_id = a.id and s.organization_id = app.current_org_id());
$$;
comment on function identity.export_accounts() is 'The people with a seat in the organization in context, with their passwords'' hashes.';

create function identity.export_organization() returns setof identity.organization_directory
language sql stable security definer
set search_path = ''
as $$
    select o.* from identity.organization_directory o where o.organization_id = app.current_org_id();
$$;
comment on function identity.export_organization() is 'The directory''s row of the organization in context.';

create function identity.export_seats() returns setof identity.seat_directory
language sql stable security definer
set search_path = ''
as $$
    select s.* from identity.seat_directory s where s.organization_id = app.current_org_id();
$$;
comment on function identity.export_seats() is 'Which account has which seat in the organization in context.';

create function identity.export_keys() returns setof identity.api_key_directory
language sql stable security definer
set search_path = ''
as $$
    select k.* from identity.api_key_directory k where k.organization_id = app.current_org_id();
$$;
comment on function identity.export_keys() is 'The digests of the keys of the organization in context.';

create function identity.export_invitations() returns setof identity.invitation_directory
language sql stable security definer
set search_path = ''
as $$
    select i.* from identity.invitation_directory i where i.organization_id = app.current_org_id();
$$;
comment on function identity.export_invitations() is 'The digests of the open invitations of the organization in context.';

create function identity.export_payments() returns setof identity.payment_directory
language sql stable security definer
set search_path = ''
as $$
    select p.* from identity.payment_directory p where p.organization_id = app.current_org_id();
$$;
comment on function identity.export_payments() is 'The providers'' references of the payments of the organization in context.';

create function identity.export_work() returns setof identity.work_directory
language sql stable security definer
set search_path = ''
as $$
    select w.* from identity.work_directory w where w.organization_id = app.current_org_id();
$$;
comment on function identity.export_work() is 'What work the organization in context has waiting.';

create function billing.export_events() returns setof billing.payment_events
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
    select e.* from billing.payment_events e where e.organization_id = app.current_org_id();
$$;
comment on function billing.export_events() is 'What payment providers sent about the organization in context: what was handled is not handled again elsewhere.';

revoke execute on function audit.name_role(), audit.name_of(uuid), audit.is_erasing(uuid), ops.organization_tables(), ops.hold_organization(uuid),
    ops.count_rows(uuid), ops.forget_jobs(uuid), ops.erase_organization(uuid, text, text, bytea), identity.export_accounts(),
    identity.export_organization(), identity.export_seats(), identity.export_keys(), identity.export_invitations(), identity.export_payments(),
    identity.export_work(), billing.export_events() from public;
grant execute on function audit.is_erasing(uuid) to audit_writer;
grant usage on schema identity to app_exporter;
grant execute on function identity.export_accounts(), identity.export_organization(), identity.export_seats(), identity.export_keys(),
    identity.export_invitations(), identity.export_payments(), identity.export_work(), billing.export_events() to app_exporter;

insert into ops.reviewed_functions (function, owner, reason)
select function, 'app_resolver', 'For the exporter alone: the directory rows of the organization in context, on which no other role has a right.'
from unnest(array[
    'identity.export_accounts()', 'identity.export_organization()', 'identity.export_seats()', 'identity.export_keys()',
    'identity.export_invitations()', 'identity.export_payments()', 'identity.export_work()'
]) as function;
insert into ops.reviewed_functions (function, owner, reason) values
    ('billing.export_events()', 'app_owner', 'For the exporter alone: the inbox belongs to no organization, and only the rows of the one in context are shown.'),
    ('audit.is_erasing(uuid)', 'app_owner',
     'The one door in the append-only trail: open only inside the transaction that has written the certificate of this organization''s erasure.');

reset role;
call app.hand_over('identity.export_accounts()'::regprocedure, 'app_resolver');
call app.hand_over('identity.export_organization()'::regprocedure, 'app_resolver');
call app.hand_over('identity.export_seats()'::regprocedure, 'app_resolver');
call app.hand_over('identity.export_keys()'::regprocedure, 'app_resolver');
call app.hand_over('identity.export_invitations()'::regprocedure, 'app_resolver');
call app.hand_over('identity.export_payments()'::regprocedure, 'app_resolver');
call app.hand_over('identity.export_work()'::regprocedure, 'app_resolver');

-- Where an archive comes from and whether it fits is told by the migrations' state.
grant usage on schema migrations to app_ro;
grant select on migrations.checksums to app_ro;

-- As it was, but for one paragraph; the owner stays audit_writer.
create or replace function audit.write_event() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set timezone = 'UTC'
as $$
declare
    old_row jsonb := case when tg_op <> 'INSERT' then pg_catalog.to_jsonb(old) end;
    new_row jsonb := case when tg_op <> 'DELETE' then pg_catalog.to_jsonb(new) end;
    whole jsonb := coalesce(new_row, old_row);
    event audit.events;
begin
    -- Who erases a whole organization has said so in its certificate; a trail of the deletions would keep what is to go.
    if tg_op = 'DELETE' and pg_catalog.current_setting('app.erasing', true) = old_row ->> 'organization_id'
        and audit.is_erasing((old_row ->> 'organization_id')::uuid) then
        return null;
    end if;
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
