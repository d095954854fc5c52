create or replace function identity.announce_work(new_kind text) returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    insert into identity.work_directory (kind, organization_id, slot)
    values (new_kind, app.current_org_id(), pg_catalog.pg_backend_pid())
    on conflict (kind, organization_id, slot) do update set slot = excluded.slot;
end
$$;
