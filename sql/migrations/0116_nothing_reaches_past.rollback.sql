set local role app_owner;

create or replace view ops.grant_findings with (security_invoker = true) as
select 'table right' as rule, format('%s.%s', n.nspname, c.relname) as object,
       format('%s for %s%s', a.privilege, coalesce(r.rolname, 'PUBLIC'), case when a.is_grantable then ' with grant option' else '' end) as detail
from pg_catalog.pg_class c
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
cross join lateral ops.explain_acl(c.relacl, case c.relkind when 'S' then 's'::"char" else 'r'::"char" end, c.relowner) a
left join pg_catalog.pg_roles r on r.oid = a.grantee
where n.nspname not in ('pg_catalog', 'information_schema') and n.nspname not like 'pg\_%' and c.relkind in ('r', 'p', 'v', 'm', 'f', 'S') and (
    a.grantee = 0 or a.is_grantable or c.relispartition
    or a.privilege in ('TRUNCATE', 'REFERENCES', 'TRIGGER', 'MAINTAIN')
    or n.nspname = 'identity' and r.rolname <> 'app_resolver'
    or n.nspname = 'ops' and a.privilege <> 'SELECT'
    or n.nspname = 'jobs' and r.rolname not in ('app_worker', 'job_writer')
        and not (c.relname = 'procrastinate_jobs' and r.rolname = 'app_ro' and a.privilege = 'SELECT')
)
union all
select 'column right', format('%s.%s.%s', n.nspname, c.relname, t.attname), format('%s for %s', a.privilege_type, coalesce(r.rolname, 'PUBLIC'))
from pg_catalog.pg_attribute t
join pg_catalog.pg_class c on c.oid = t.attrelid
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
cross join lateral pg_catalog.aclexplode(t.attacl) a
left join pg_catalog.pg_roles r on r.oid = a.grantee
where n.nspname not in ('pg_catalog', 'information_schema') and (
    a.grantee = 0 or a.is_grantable or c.relispartition or a.privilege_type = 'REFERENCES' or n.nspname in ('identity', 'ops')
    or a.privilege_type = 'UPDATE' and t.attname = 'organization_id' and n.nspname not in ('billing')
)
union all
select 'schema right', n.nspname::text, format('%s for %s', a.privilege, coalesce(r.rolname, 'PUBLIC'))
from pg_catalog.pg_namespace n
cross join lateral ops.explain_acl(n.nspacl, 'n', n.nspowner) a
left join pg_catalog.pg_roles r on r.oid = a.grantee
where n.nspname not in ('pg_catalog', 'information_schema') and n.nspname not like 'pg\_%' and (a.grantee = 0 or a.privilege = 'CREATE' or a.is_grantable)
union all
select 'database right', d.datname::text, format('%s for %s', a.privilege, coalesce(r.rolname, 'PUBLIC'))
from pg_catalog.pg_database d
cross join lateral ops.explain_acl(d.datacl, 'd', d.datdba) a
left join pg_catalog.pg_roles r on r.oid = a.grantee
where d.datname = pg_catalog.current_database() and (a.grantee = 0 or a.privilege in ('CREATE', 'TEMPORARY') or a.is_grantable)
union all
select 'default privileges', coalesce(n.nspname::text, 'every schema'), format('of %s', pg_catalog.pg_get_userbyid(d.defaclrole))
from pg_catalog.pg_default_acl d left join pg_catalog.pg_namespace n on n.oid = d.defaclnamespace
union all
select 'owner', format('%s.%s', n.nspname, c.relname), format('owned by %s', pg_catalog.pg_get_userbyid(c.relowner))
from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where n.nspname not in ('pg_catalog', 'information_schema', 'migrations') and n.nspname not like 'pg\_%'
    and c.relkind in ('r', 'p', 'v', 'm', 'f', 'S') and pg_catalog.pg_get_userbyid(c.relowner) <> 'app_owner'
union all
select 'role', r.role, r.verdict from ops.role_reach r where r.verdict like 'UNSAFE%' and (r.role like 'app\_%' or 'app_rw' = any (r.reaches) or 'app_ro' = any (r.reaches))
union all
select 'role', r.rolname::text, 'can become ' || m.rolname
from pg_catalog.pg_auth_members a join pg_catalog.pg_roles r on r.oid = a.member join pg_catalog.pg_roles m on m.oid = a.roleid
where m.rolname in ('app_owner', 'app_resolver', 'job_writer', 'usage_recorder', 'audit_writer', 'isolation_probe', 'glass_keeper') and r.rolname <> 'app_migrator'
union all
select 'context default', coalesce(r.rolname::text, d.datname::text, 'every role'), setting
from pg_catalog.pg_db_role_setting s
cross join lateral unnest(s.setconfig) as setting
left join pg_catalog.pg_roles r on r.oid = s.setrole
left join pg_catalog.pg_database d on d.oid = s.setdatabase
where setting like 'app.%' or setting like 'row_security=%' or setting like 'session_replication_role=%'
union all
select 'large object', p.oid::regprocedure::text, 'everybody may call it, and no policy holds for what it stores: `mts migrate bootstrap` takes it away'
from pg_catalog.pg_proc p
where p.pronamespace = 'pg_catalog'::regnamespace and p.proname ~ '^(lo_.+|loread|lowrite)$'
    and exists (select from ops.explain_acl(p.proacl, 'f', p.proowner) a where a.grantee = 0)
union all
select 'large object', m.oid::text, format('stored by %s, outside every organization', pg_catalog.pg_get_userbyid(m.lomowner))
from pg_catalog.pg_largeobject_metadata m;

reset role;
