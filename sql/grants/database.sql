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

-- No policy holds for large objects: whoever wrote one for one organization could read it in another.
do $$
declare
    function regprocedure;
begin
    for function in
        select p.oid from pg_catalog.pg_proc p where p.pronamespace = 'pg_catalog'::regnamespace and p.proname ~ '^(lo_.+|loread|lowrite)$'
    loop
        execute format('revoke execute on function %s from public', function);
    end loop;
end
$$;
create schema if not exists migrations authorization app_migrator;
comment on schema migrations is 'The migration tool''s own tables: which files were applied, when and by whom.';
