-- depends: 0098_reminders
-- An announcement that stands already is locked, not written again: a row less to write, to log and to vacuum for every
-- message. The lock is as good as the row's new version was: `identity.withdraw_work` skips what is locked, and an
-- announcement that was withdrawn meanwhile is not found and is written anew.

create or replace function identity.announce_work(new_kind text) returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    perform 1 from identity.work_directory
    where kind = new_kind and organization_id = app.current_org_id() and slot = pg_catalog.pg_backend_pid()
    for key share;
    if found then
        return;
    end if;
    insert into identity.work_directory (kind, organization_id, slot)
    values (new_kind, app.current_org_id(), pg_catalog.pg_backend_pid())
    on conflict (kind, organization_id, slot) do update set slot = excluded.slot;
end
$$;
