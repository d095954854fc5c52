-- depends: 0111_least_rights
-- Nobody breaks the glass without a reason: app_breakglass has no members any more. Who may break it is a member of app_responder; the
-- keeper lends the role for the one transaction in which it is entered, and only after a reason is committed. `mts migrate bootstrap`
-- makes both roles.

set local role app_owner;

-- When the glass was broken, under which reason: each reason opens it once.
create table audit.glass_entries (
    access_id     uuid not null,
    database_role text not null,
    entered_at    timestamptz not null default clock_timestamp(),
    constraint glass_entries_pkey primary key (access_id)
);
comment on table audit.glass_entries is 'Each time somebody entered app_breakglass; the reason is in audit.accesses.';
comment on column audit.glass_entries.access_id is 'The row of audit.accesses with the reason, which opens the glass once.';
comment on column audit.glass_entries.database_role is 'Who had logged in.';
comment on column audit.glass_entries.entered_at is 'When.';
insert into ops.waivers (rule, object, reason)
values ('global table', 'audit.glass_entries', 'A look across all organizations belongs to none of them.');
do $$ begin perform audit.protect('audit.glass_entries'); end $$;
grant select on audit.glass_entries to app_ro;

create function ops.lend_glass() returns void
language plpgsql security definer
set search_path = ''
as $$
declare
    access uuid;
    options text := case when pg_catalog.current_setting('server_version_num')::integer >= 160000 then ' with inherit false, set true' else '' end;
begin
    -- Only a superuser can change this setting: what is logged now stays logged.
    if pg_catalog.current_setting('log_statement') <> 'all' or pg_catalog.has_parameter_privilege(session_user, 'log_statement', 'SET') then
        raise exception 'not every statement of % is logged', session_user
            using errcode = 'OPS01', hint = 'A superuser says: alter role … set log_statement = ''all''.';
    end if;
    -- A transaction that has written nothing cannot have written the reason: what it sees is committed, and stays.
    if pg_catalog.pg_current_xact_id_if_assigned() is null then
        select a.id into access
        from audit.accesses a
        where a.kind = 'break_glass' and a.database_role = session_user and a.created_at > pg_catalog.now() - interval '1 minute'
          and not exists (select from audit.glass_entries e where e.access_id = a.id)
        order by a.created_at desc limit 1;
    end if;
    if access is null then
        raise exception 'no reason was given for breaking the glass' using errcode = 'OPS02', hint = 'Say: call ops.break_glass(''…'').';
    end if;
    insert into audit.glass_entries (access_id, database_role) values (access, session_user);
    execute pg_catalog.format('grant app_breakglass to %I', session_user) || options;
end
$$;
comment on function ops.lend_glass() is
    'Makes a responder who has just given a reason a member of app_breakglass until the end of this transaction: as long as entering it takes.';

create function ops.take_glass_back() returns trigger
language plpgsql security definer
set search_path = ''
as $$
begin
    execute pg_catalog.format('revoke app_breakglass from %I', new.database_role);
    return null;
end
$$;
comment on function ops.take_glass_back() is 'Ends the membership that ops.lend_glass began, before the transaction can commit.';
create constraint trigger take_glass_back after insert on audit.glass_entries deferrable initially deferred
    for each row execute function ops.take_glass_back();
alter table audit.glass_entries enable always trigger take_glass_back;
comment on trigger take_glass_back on audit.glass_entries is 'No membership of app_breakglass is ever committed.';

create or replace procedure ops.break_glass(reason text)
language plpgsql
as $$
begin
    perform pg_catalog.set_config('app.current_org_id', '00000000-0000-0000-0000-000000000000', true);
    insert into audit.accesses (organization_id, kind, reason)
    values ('00000000-0000-0000-0000-000000000000', 'break_glass', break_glass.reason);
    commit;
    perform ops.lend_glass();
    perform pg_catalog.set_config('role', 'app_breakglass', false);
    commit;
end
$$;
comment on procedure ops.break_glass(text) is
    'Enters app_breakglass, which sees every organization, after writing who and why; only responders can, and in no other way. `reset role` leaves it.';

create or replace view ops.role_reach with (security_invoker = true) as
select r.rolname::text as role, r.rolcanlogin as can_login, r.rolsuper as is_superuser, r.rolbypassrls as bypasses_row_security,
       coalesce(reached.names, '{}') as reaches,
       case
           when r.rolsuper then 'UNSAFE: superuser'
           when r.rolname in ('app_migrator', 'app_breakglass', 'usage_recorder', 'audit_writer', 'glass_keeper') and not r.rolcreaterole then 'privileged by design'
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
where setting like 'app.%' or setting like 'row_security=%' or setting like 'session_replication_role=%';

create or replace view ops.glass_findings with (security_invoker = true) as
select 'break glass' as rule, r.rolname::text as object, 'could enter app_breakglass without a reason: make it a member of app_responder instead' as detail
from pg_catalog.pg_roles r
where not r.rolsuper and r.rolname not in ('app_breakglass', 'glass_keeper', 'app_migrator') and pg_catalog.pg_has_role(r.oid, 'app_breakglass', 'MEMBER')
union all
select 'break glass', r.rolname::text, 'may break the glass, and not every statement of this role is logged'
from pg_catalog.pg_roles r
where not r.rolsuper and r.rolname <> 'app_responder' and pg_catalog.pg_has_role(r.oid, 'app_responder', 'MEMBER') and (
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
)
union all
select 'break glass', 'audit.glass_entries', 'the membership would outlive the transaction: take_glass_back is gone or off'
where not exists (
    select from pg_catalog.pg_trigger g
    where g.tgrelid = 'audit.glass_entries'::regclass and g.tgfoid = 'ops.take_glass_back()'::regprocedure and g.tgenabled = 'A' and g.tginitdeferred
);
comment on view ops.glass_findings is
    'Who could break the glass unseen: without a reason, with statements that are not logged, or for longer than was said.';

insert into ops.reviewed_functions (function, owner, reason) values
    ('ops.lend_glass()', 'glass_keeper', 'Lends app_breakglass for one transaction to a responder whose reason is committed and whose statements are logged.'),
    ('ops.take_glass_back()', 'glass_keeper', 'A trigger: takes the membership back before the transaction that lent it can commit.');

grant usage on schema audit to glass_keeper;
grant select (id, kind, database_role, created_at) on audit.accesses to glass_keeper;
grant select (access_id), insert (access_id, database_role) on audit.glass_entries to glass_keeper;
revoke execute on function ops.lend_glass(), ops.take_glass_back() from public;
grant execute on function ops.lend_glass() to app_responder;
revoke execute on procedure ops.break_glass(text) from app_auditor;
grant usage on schema ops to app_responder;
grant execute on procedure ops.break_glass(text) to app_responder;

reset role;
call app.hand_over('ops.lend_glass()'::regprocedure, 'glass_keeper');
call app.hand_over('ops.take_glass_back()'::regprocedure, 'glass_keeper');
