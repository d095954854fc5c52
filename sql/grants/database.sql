-- The doors of the database itself: idempotent, run by a superuser inside it before the first migration.
do $$
begin
    execute format('revoke all on database %I from public', current_database());
    execute format('grant connect on database %I to app_migrator, app_api, app_worker, app_auditor, app_exporter', current_database());
    execute format('grant create on database %I to app_owner', current_database());
    execute format('alter database %I owner to app_owner', current_database());
end
$$;

revoke all on schema public from public;

-- What comes with PostgreSQL and reaches past every policy is nobody's: a large object written for one organization can be read in
-- another, a held advisory lock stops whoever else takes it, a signal ends another one's statement. Locks are for those whose functions
-- take them.
do $$
declare
    function record;
begin
    for function in
        select p.oid::regprocedure as name, p.proname ~ 'advisory' as is_lock
        from pg_catalog.pg_proc p
        where p.pronamespace = 'pg_catalog'::regnamespace
            and p.proname ~ '^(lo_.+|loread|lowrite|pg_(try_)?advisory_(xact_)?lock(_shared)?|pg_(cancel|terminate)_backend)$'
    loop
        execute format('revoke execute on function %s from public', function.name);
        if function.is_lock then
            execute format('grant execute on function %s to app_migrator, app_worker, usage_recorder, app_resolver, app_breakglass', function.name);
        end if;
    end loop;
end
$$;

create schema if not exists migrations authorization app_migrator;
comment on schema migrations is 'The migration tool''s own tables: which files were applied, when and by whom.';
