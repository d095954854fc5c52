-- depends: 0031_job_boundary
-- From where a person has logged in before, so that a log-in from elsewhere is told to its owner.

set local role app_owner;

create function identity.former_devices(wanted_account_id uuid, except_session_id uuid) returns table (user_agent text, address text)
language plpgsql volatile security definer
set search_path = ''
as $$
begin
    -- Of two log-ins from one new device at one moment the second waits here, and then knows the device.
    perform pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended('former_devices ' || wanted_account_id::text, 0));
    return query
        select distinct s.user_agent, s.address
        from identity.sessions s
        where s.account_id = wanted_account_id and s.id <> except_session_id
        limit 1000;
end
$$;
comment on function identity.former_devices(uuid, uuid) is
    'Devices and addresses of a person''s other sessions, also of those that ended, as long as they are kept; one caller at a time for one person.';

create function identity.session_device(wanted_session_id uuid) returns table (user_agent text, address text, created_at timestamptz)
language sql stable security definer
set search_path = ''
as $$
    select s.user_agent, s.address, s.created_at
    from identity.sessions s
    where s.id = wanted_session_id and s.organization_id = app.current_org_id();
$$;
comment on function identity.session_device(uuid) is
    'From where and when a session of the organization in context was opened, or nothing.';

revoke execute on function identity.former_devices(uuid, uuid), identity.session_device(uuid) from public;
grant execute on function identity.former_devices(uuid, uuid) to app_rw;
grant execute on function identity.session_device(uuid) to app_worker;

insert into ops.reviewed_functions (function, owner, reason) values
    ('identity.former_devices(uuid, uuid)', 'app_resolver',
     'Reads the sessions of a person in all organizations, named by the id in its arguments; no other role has a right on them.'),
    ('identity.session_device(uuid)', 'app_resolver',
     'Reads a session of the organization in context for the notice to its owner; no other role has a right on sessions.');

reset role;
call app.hand_over('identity.former_devices(uuid, uuid)'::regprocedure, 'app_resolver');
call app.hand_over('identity.session_device(uuid)'::regprocedure, 'app_resolver');
