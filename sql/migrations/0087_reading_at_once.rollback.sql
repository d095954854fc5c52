create or replace function identity.announce_work(new_kind text) returns void
language sql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
    insert into identity.work_directory (kind, organization_id, slot)
    values (new_kind, app.current_org_id(), pg_catalog.pg_backend_pid())
    on conflict (kind, organization_id, slot) do update set slot = excluded.slot;
$$;
create or replace function identity.session_seat(wanted_session_id uuid, at_time timestamptz)
returns table (account_id uuid, user_id uuid, email text, full_name text, email_verified_at timestamptz, status text)
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
    select s.account_id, s.user_id, a.email, a.full_name, a.email_verified_at, o.status
    from identity.sessions s
    join identity.seat_directory d on d.account_id = s.account_id and d.organization_id = s.organization_id and d.user_id = s.user_id
    join identity.accounts a on a.id = s.account_id
    join identity.organization_directory o on o.organization_id = s.organization_id
    where s.id = wanted_session_id and s.organization_id = app.current_org_id()
      and s.revoked_at is null and s.expires_at > at_time;
$$;
set local role app_owner;
drop function tenancy.whoami(uuid, uuid, uuid, timestamptz);
drop function messaging.show(uuid, uuid);
comment on function messaging.show(uuid, uuid, text, text, uuid) is 'One message of an organization, in a transaction of its own.';
create or replace function app.enter(organization uuid, key uuid, request text, address text) returns void
language plpgsql
set search_path = ''
as $$
begin
    if organization is null or key is null then
        raise exception 'no organization or no key to enter with' using errcode = 'ORG01';
    end if;
    if coalesce(current_setting('app.current_org_id', true), '') not in ('', organization::text) then
        raise exception 'another organization is in context' using errcode = 'ORG01';
    end if;
    perform set_config('app.current_org_id', organization::text, true), set_config('app.actor_kind', 'api_key', true),
            set_config('app.actor_id', key::text, true), set_config('app.request_id', coalesce(request, ''), true),
            set_config('app.client_address', coalesce(address, ''), true);
end
$$;
drop function app.enter_to_read(uuid);
