set local role app_owner;

grant execute on procedure ops.break_glass(text) to app_auditor;
revoke execute on procedure ops.break_glass(text) from app_responder;
revoke usage on schema ops from app_responder;

create or replace view ops.glass_findings with (security_invoker = true) as
select 'break glass' as rule, r.rolname::text as object, 'can enter app_breakglass, and not every statement of this role is logged' as detail
from pg_catalog.pg_roles r
where not r.rolsuper and r.rolname <> 'app_breakglass' and pg_catalog.pg_has_role(r.oid, 'app_breakglass', 'MEMBER') and (
    not exists (
        select from pg_catalog.pg_db_role_setting s
        where s.setrole = r.oid and s.setdatabase = 0 and 'log_statement=all' = any (s.setconfig)
    )
    or exists (
        select
        from pg_catalog.pg_db_role_setting s
        cross join lateral unnest(s.setconfig) as setting
        join pg_catalog.pg_database d on d.oid = s.setdatabase and d.datname = pg_catalog.current_database()
        where s.setrole = r.oid and setting like 'log\_statement=%' and setting <> 'log_statement=all'
    )
    or pg_catalog.has_parameter_privilege(r.oid, 'log_statement', 'SET')
);
comment on view ops.glass_findings is 'Who could break the glass unseen: a member whose statements are not logged, or who could stop that.';

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
where m.rolname in ('app_owner', 'app_resolver', 'job_writer', 'usage_recorder', 'audit_writer', 'isolation_probe') and r.rolname <> 'app_migrator'
union all
select 'context default', coalesce(r.rolname::text, d.datname::text, 'every role'), setting
from pg_catalog.pg_db_role_setting s
cross join lateral unnest(s.setconfig) as setting
left join pg_catalog.pg_roles r on r.oid = s.setrole
left join pg_catalog.pg_database d on d.oid = s.setdatabase
where setting like 'app.%' or setting like 'row_security=%' or setting like 'session_replication_role=%';

create or replace view ops.role_reach with (security_invoker = true) as
select r.rolname::text as role, r.rolcanlogin as can_login, r.rolsuper as is_superuser, r.rolbypassrls as bypasses_row_security,
       coalesce(reached.names, '{}') as reaches,
       case
           when r.rolsuper then 'UNSAFE: superuser'
           when r.rolname in ('app_migrator', 'app_breakglass', 'usage_recorder', 'audit_writer') and not r.rolcreaterole then 'privileged by design'
           when r.rolbypassrls then 'UNSAFE: bypasses row security'
           when r.rolcreaterole or r.rolcreatedb or r.rolreplication then 'UNSAFE: may create roles, databases or replicas'
           when reached.is_dangerous then 'UNSAFE: can become a role that is above row security'
           else 'bound by row security'
       end as verdict
from pg_catalog.pg_roles r
left join lateral (
    select array_agg(other.rolname::text order by other.rolname) as names,
           bool_or(other.rolsuper or other.rolbypassrls or other.rolname = 'app_owner') as is_dangerous
    from pg_catalog.pg_roles other
    where other.oid <> r.oid and not r.rolsuper and pg_catalog.pg_has_role(r.oid, other.oid, 'MEMBER')
) reached on true
where r.rolname not like 'pg\_%';

create or replace procedure ops.break_glass(reason text)
language plpgsql
as $$
begin
    -- Only a superuser can change this setting: what is logged now stays logged.
    if pg_catalog.current_setting('log_statement') operator(pg_catalog.<>) 'all' then
        raise exception 'not every statement of % is logged', session_user
            using errcode = 'OPS01', hint = 'A superuser says: alter role … set log_statement = ''all''.';
    end if;
    perform pg_catalog.set_config('app.current_org_id', '00000000-0000-0000-0000-000000000000', true);
    insert into audit.accesses (organization_id, kind, reason)
    values ('00000000-0000-0000-0000-000000000000', 'break_glass', break_glass.reason);
    commit;
    perform pg_catalog.set_config('role', 'app_breakglass', false);
end
$$;
comment on procedure ops.break_glass(text) is
    'Enters app_breakglass, which sees every organization, after writing who and why; only its named members can. `reset role` leaves it.';

drop table audit.glass_entries;
delete from ops.waivers where object = 'audit.glass_entries';
delete from ops.reviewed_functions where owner = 'glass_keeper';
revoke select (id, kind, database_role, created_at) on audit.accesses from glass_keeper;
revoke usage on schema audit from glass_keeper;

reset role;
drop function ops.lend_glass(), ops.take_glass_back();
