-- What a process asks about itself and the database before it serves anybody. Catalog only: any role may run these.

-- name: is_migrated()$
-- Whether the posture views exist, that is, whether the migrations have run.
select to_regclass('ops.rls_coverage') is not null and has_schema_privilege('ops', 'usage');

-- name: connection()^
-- The role of this connection and what it may do that row security cannot stop.
select r.rolname as role, r.rolsuper as is_superuser, r.rolbypassrls as bypasses_row_security,
       current_setting('server_version_num')::integer as server_version, current_setting('row_security') as row_security
from pg_catalog.pg_roles r
where r.rolname = session_user;

-- name: owned_tables()
-- Tables that the role owns; an owner can switch row security off.
select format('%s.%s', n.nspname, c.relname) as name
from pg_catalog.pg_class c
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'p') and c.relowner = (select oid from pg_catalog.pg_roles where rolname = session_user)
  and n.nspname not like 'pg\_%' and n.nspname not in ('information_schema', 'migrations')
order by 1
limit 5;

-- name: dangerous_roles()
-- Roles above row security that the role could become.
select r.rolname as role
from pg_catalog.pg_roles r
where r.rolname <> session_user and pg_catalog.pg_has_role(session_user, r.oid, 'MEMBER')
  and (r.rolsuper or r.rolbypassrls or exists (
      select from pg_catalog.pg_class c
      join pg_catalog.pg_namespace n on n.oid = c.relnamespace
      where c.relowner = r.oid and c.relkind in ('r', 'p') and n.nspname not like 'pg\_%' and n.nspname not in ('information_schema', 'migrations')
  ))
order by 1;

-- name: open_tables()
-- Tenant tables that are not secured, with the reason.
select name, verdict from ops.rls_coverage where verdict like 'OPEN%' order by name limit 5;

-- name: context_defaults()
-- Roles and databases that would bring a context of their own into every new session.
select coalesce(r.rolname::text, d.datname::text, 'every role') as holder, split_part(setting, '=', 1) as name
from pg_catalog.pg_db_role_setting s
cross join lateral unnest(s.setconfig) as setting
left join pg_catalog.pg_roles r on r.oid = s.setrole
left join pg_catalog.pg_database d on d.oid = s.setdatabase
where setting like 'app.%' and (s.setdatabase = 0 or d.datname = current_database());

-- name: context_now()$
-- The organization that this session has before anything set one; nothing, when all is well.
select nullif(current_setting('app.current_org_id', true), '');
