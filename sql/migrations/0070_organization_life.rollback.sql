revoke select on migrations.checksums from app_ro;
revoke usage on schema migrations from app_ro;
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
create or replace function audit.refuse() returns trigger
language plpgsql
set search_path = ''
as $$
begin
    raise exception 'the audit trail is append-only' using errcode = 'ORG05';
end
$$;
comment on function audit.refuse() is 'Refuses (ORG05) every update, delete and truncate, the owner''s too.';
create or replace function billing.keep_closed_prices() returns trigger
language plpgsql
set search_path = ''
as $$
begin
    if tg_op <> 'INSERT' and old.valid_from < usage.first_open_month() or tg_op <> 'DELETE' and new.valid_from < usage.first_open_month() then
        raise exception 'a price of a closed month is never changed: write a row that holds from a later day' using errcode = 'BIL01';
    end if;
    return case when tg_op = 'DELETE' then old else new end;
end
$$;
comment on function billing.keep_closed_prices() is 'Refuses (BIL01) to write or change a price that a closed month was rated with.';
delete from ops.reviewed_functions where function in (
    'identity.export_accounts()',
    'identity.export_organization()',
    'identity.export_seats()',
    'identity.export_keys()',
    'identity.export_invitations()',
    'identity.export_payments()',
    'identity.export_work()',
    'billing.export_events()',
    'audit.is_erasing(uuid)'
);
delete from ops.waivers where object in ('audit.certificates', 'ops.forget_jobs(uuid)');
revoke usage on schema identity from app_exporter;
drop function identity.export_accounts();
drop function identity.export_organization();
drop function identity.export_seats();
drop function identity.export_keys();
drop function identity.export_invitations();
drop function identity.export_payments();
drop function identity.export_work();
drop function billing.export_events();
drop function ops.erase_organization(uuid, text, text, bytea);
drop function ops.forget_jobs(uuid);
drop function ops.count_rows(uuid);
drop function ops.hold_organization(uuid);
drop function ops.organization_tables();
drop function audit.is_erasing(uuid);
drop function audit.name_of(uuid);
drop table audit.certificates;
alter table audit.accesses drop constraint accesses_kind_check;
alter table audit.accesses add constraint accesses_kind_check check (kind in ('as_org', 'break_glass')) not valid;
alter table audit.accesses add constraint accesses_database_role_check check (database_role = session_user) not valid;
drop trigger name_role on audit.accesses;
drop function audit.name_role();
alter table audit.accesses drop column operator;
comment on table audit.accesses is 'Each time an operator looked into an organization, and why.';
comment on column audit.accesses.kind is 'as_org for one organization, break_glass for all.';
revoke insert (organization_id, kind, reason) on audit.accesses from app_worker, app_exporter;
