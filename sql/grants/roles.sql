-- Every role of the installation: idempotent, run by a superuser before the first migration and harmless to run again.
-- Login roles get their passwords from the bootstrap, never from a file.
do $$
declare
    role record;
begin
    for role in
        select *
        from (values
            ('app_owner',      'nologin nobypassrls noinherit'),
            ('app_migrator',   'login bypassrls inherit'),
            ('app_rw',         'nologin nobypassrls noinherit'),
            ('app_ro',         'nologin nobypassrls noinherit'),
            ('app_api',        'login nobypassrls inherit'),
            ('app_worker',     'login nobypassrls inherit'),
            ('app_resolver',   'nologin nobypassrls noinherit'),
            ('job_writer',     'nologin nobypassrls noinherit'),
            ('usage_recorder', 'nologin bypassrls noinherit'),
            ('audit_writer',   'nologin bypassrls noinherit'),
            ('isolation_probe', 'nologin nobypassrls inherit'),
            ('app_auditor',    'login nobypassrls inherit'),
            ('app_breakglass', 'nologin bypassrls noinherit'),
            ('app_responder',  'nologin nobypassrls noinherit'),
            ('glass_keeper',   'nologin bypassrls noinherit'),
            ('app_exporter',   'login nobypassrls inherit')
        ) as wanted (name, attributes)
    loop
        if not exists (select from pg_catalog.pg_roles where rolname = role.name) then
            execute format('create role %I', role.name);
        end if;
        execute format('alter role %I nosuperuser nocreatedb nocreaterole noreplication %s', role.name, role.attributes);
        execute format('alter role %I reset all', role.name);
    end loop;
end
$$;

-- What a member may do through the role; nobody is a member of a role that bypasses row security but the migrator,
-- who does so himself, and the keeper of the glass.
grant app_rw to app_api, app_worker, isolation_probe;
grant app_ro to app_auditor, app_exporter;
grant app_owner, app_resolver, job_writer, usage_recorder, audit_writer, isolation_probe, glass_keeper to app_migrator;
-- Nobody else is a member of app_breakglass: who may break the glass is a member of app_responder, and the keeper lends the other
-- role for the moment of entering, after a reason.
grant app_breakglass to glass_keeper with admin option;

-- A lost connection or a forgotten transaction must not hold locks or a connection for long.
alter role app_api set statement_timeout = '15s';
alter role app_api set idle_in_transaction_session_timeout = '15s';
alter role app_api set lock_timeout = '5s';
-- A cancellation that overtakes its statement is lost, and a process that was killed sends none: Postgres looks itself
-- whether somebody still waits for the answer.
alter role app_api set client_connection_check_interval = '1s';
alter role app_worker set client_connection_check_interval = '1s';
alter role app_worker set statement_timeout = '10min';
alter role app_worker set idle_in_transaction_session_timeout = '60s';
alter role app_worker set search_path = 'jobs';
alter role app_migrator set search_path = 'migrations';
-- An operator's own statements are the record of what he looked at; a reason must be writable, so his transactions are not read-only.
alter role app_auditor set log_statement = 'all';
alter role app_auditor set idle_in_transaction_session_timeout = '15min';
alter role app_exporter set default_transaction_read_only = 'on';
