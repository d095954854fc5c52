-- The context of a tenant transaction and the one way to secure a tenant table.

set local role app_owner;

create schema app;
comment on schema app is 'Context and policy functions, nothing else.';

create function app.current_org_id() returns uuid
language plpgsql stable parallel safe
set search_path = ''
as $$
declare
    organization text := pg_catalog.current_setting('app.current_org_id', true);
begin
    -- Half the time of a regular expression, in the one function that every statement calls.
    if organization like '________-____-____-____-____________'
        and pg_catalog.translate(organization, '0123456789abcdef', '') = '----' then
        return organization::pg_catalog.uuid;
    end if;
    raise exception 'no organization in context' using errcode = 'ORG01';
end
$$;
comment on function app.current_org_id() is
    'The organization of this transaction; raises ORG01 when app.current_org_id is missing, empty or malformed.';

create function app.secure_tenant_table(tenant_table regclass) returns void
language plpgsql
set search_path = ''
as $$
begin
    execute format('alter table %s enable row level security', tenant_table);
    execute format('alter table %s force row level security', tenant_table);
    execute format(
        'create policy tenant_access on %s as permissive for all to app_rw, app_ro '
        'using (organization_id = app.current_org_id()) with check (organization_id = app.current_org_id())', tenant_table);
    execute format(
        'create policy tenant_guard on %s as restrictive for all to public '
        'using (organization_id = app.current_org_id()) with check (organization_id = app.current_org_id())', tenant_table);
    execute format('comment on policy tenant_access on %s is %L', tenant_table,
        'Rows of the organization in context, for the roles of the application.');
    execute format('comment on policy tenant_guard on %s is %L', tenant_table,
        'Binds every role: a stray permissive policy cannot open the table.');
end
$$;
comment on function app.secure_tenant_table(regclass) is
    'Gives a tenant table its canonical pair of policies; the catalog lint refuses any other.';

create procedure app.hand_over(function regprocedure, new_owner name)
language plpgsql
set search_path = ''
as $$
declare
    home name := (select n.nspname from pg_catalog.pg_proc p join pg_catalog.pg_namespace n on n.oid = p.pronamespace where p.oid = function);
begin
    -- Named last, the temporary schema cannot put a type or a table in front of ours.
    if exists (select from pg_catalog.pg_proc p where p.oid = function and p.prosecdef and p.proconfig @> array['search_path=""']) then
        execute format('alter function %s set search_path = pg_catalog, pg_temp', function);
    end if;
    execute format('grant create on schema %I to %I', home, new_owner);
    execute format('alter function %s owner to %I', function, new_owner);
    execute format('revoke create on schema %I from %I', home, new_owner);
end
$$;
comment on procedure app.hand_over(regprocedure, name) is
    'Makes a narrow role the owner of a SECURITY DEFINER function; the migrator calls it after `reset role`.';

revoke execute on all routines in schema app from public;
grant usage on schema app to app_rw, app_ro, app_resolver, job_writer, usage_recorder, audit_writer, app_breakglass;
-- The guard binds every role, so every role that reads a tenant table must be able to ask for the context.
grant execute on function app.current_org_id() to app_rw, app_ro, app_resolver, job_writer, usage_recorder, audit_writer, app_breakglass;
