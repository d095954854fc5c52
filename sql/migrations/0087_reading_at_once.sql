-- depends: 0080_counted_until
-- What only reads carries in the organization and nothing else, and the question who one is becomes one statement. Both ways
-- in say SET LOCAL: a distributed engine hands that on to its nodes, and not what set_config does.

set local role app_owner;

create function app.enter_to_read(organization uuid) returns void
language plpgsql
set search_path = ''
as $$
begin
    if organization is null then
        raise exception 'no organization to enter' using errcode = 'ORG01';
    end if;
    if coalesce(current_setting('app.current_org_id', true), '') not in ('', organization::text) then
        raise exception 'another organization is in context' using errcode = 'ORG01';
    end if;
    execute format('set local app.current_org_id = %L', organization);
end
$$;
comment on function app.enter_to_read(uuid) is
    'Takes the rest of this transaction into an organization, on behalf of nobody who could change something; raises ORG01 inside another one.';

create or replace function app.enter(organization uuid, key uuid, request text, address text) returns void
language plpgsql
set search_path = ''
as $$
begin
    if key is null then
        raise exception 'no key to enter with' using errcode = 'ORG01';
    end if;
    perform app.enter_to_read(organization);
    execute format(
        'set local app.actor_kind = ''api_key''; set local app.actor_id = %L; set local app.request_id = %L; set local app.client_address = %L',
        key, coalesce(request, ''), coalesce(address, ''));
end
$$;

create function messaging.show(organization uuid, wanted_id uuid) returns setof messaging.messages
language plpgsql
set search_path = ''
as $$
begin
    perform app.enter_to_read(organization);
    return query select m.* from messaging.messages m where m.organization_id = organization and m.id = wanted_id;
end
$$;
comment on function messaging.show(uuid, uuid) is 'One message of an organization, in a transaction of its own.';
comment on function messaging.show(uuid, uuid, text, text, uuid) is
    'As show(uuid, uuid), for processes of the release before while a new one is rolled out; the next release drops it.';

create function tenancy.whoami(organization uuid, wanted_user_id uuid, wanted_session_id uuid, at_time timestamptz)
returns table (
    account_id uuid, user_id uuid, role text, created_at timestamptz, email text, full_name text, email_verified_at timestamptz, status text,
    organization_name text, organization_email text, plan text, founded_at timestamptz
)
language plpgsql
set search_path = ''
as $$
begin
    perform app.enter_to_read(organization);
    return query
        select s.account_id, u.id, u.role, u.created_at, s.email, s.full_name, s.email_verified_at, s.status, o.name, o.email, o.plan, o.created_at
        from tenancy.users u
        join identity.session_seat(wanted_session_id, at_time) s on s.user_id = u.id
        join tenancy.organizations o on o.organization_id = u.organization_id
        where u.organization_id = organization and u.id = wanted_user_id and u.removed_at is null;
end
$$;
comment on function tenancy.whoami(uuid, uuid, uuid, timestamptz) is
    'Who acts in a live session of an organization, and the organization, in a transaction of its own.';

revoke execute on function app.enter_to_read(uuid), messaging.show(uuid, uuid), tenancy.whoami(uuid, uuid, uuid, timestamptz) from public;
grant execute on function app.enter_to_read(uuid), messaging.show(uuid, uuid), tenancy.whoami(uuid, uuid, uuid, timestamptz) to app_api;

reset role;

-- The same as before, in a language that keeps its plan from one call to the next on every supported version.
create or replace function identity.session_seat(wanted_session_id uuid, at_time timestamptz)
returns table (account_id uuid, user_id uuid, email text, full_name text, email_verified_at timestamptz, status text)
language plpgsql stable rows 1 security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    return query
        select s.account_id, s.user_id, a.email, a.full_name, a.email_verified_at, o.status
        from identity.sessions s
        join identity.seat_directory d on d.account_id = s.account_id and d.organization_id = s.organization_id and d.user_id = s.user_id
        join identity.accounts a on a.id = s.account_id
        join identity.organization_directory o on o.organization_id = s.organization_id
        where s.id = wanted_session_id and s.organization_id = app.current_org_id()
          and s.revoked_at is null and s.expires_at > at_time;
end
$$;

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
