-- depends: 0011_audit
-- What a DBA opens: the posture of every table, role and function, the lint over the catalog, and the way into one organization.

set local role app_owner;

create schema ops;
comment on schema ops is 'Posture views, the catalog lint, the self-test and the operators'' doors.';

create table ops.waivers (
    rule   text not null,
    object text not null,
    reason text not null,
    constraint waivers_pkey primary key (rule, object),
    constraint waivers_reason_check check (length(reason) >= 20)
);
comment on table ops.waivers is 'Every exception from a rule of the catalog lint, with its reason.';
comment on column ops.waivers.rule is 'Name of the rule as ops.findings prints it; global table says that no organization owns the rows.';
comment on column ops.waivers.object is 'The object as ops.findings prints it.';
comment on column ops.waivers.reason is 'Why the rule does not hold here.';

insert into ops.waivers (rule, object, reason) values
    ('global table', 'usage.closed_months', 'A month closes for the whole installation; the row names no organization.'),
    ('global table', 'billing.plans', 'Prices are the same for every organization; nobody can write them.'),
    ('global table', 'billing.payment_events', 'What a provider sent, before it is matched to an organization; only the worker reads it.'),
    ('audit trigger', 'usage.usage_records', 'Append-only and of high volume: each row is its own record.'),
    ('audit trigger', 'messaging.messages', 'Of high volume: the row itself tells what became of the message.'),
    ('audit trigger', 'messaging.emails', 'The row itself tells what became of the mail.'),
    ('audit trigger', 'tenancy.idempotency_keys', 'A stored answer, gone after a day; the effect it speaks of is in the trail.'),
    ('audit trigger', 'billing.invoice_counters', 'The number is on the invoice, which is in the trail.'),
    ('audit trigger', 'audit.events', 'This is the trail itself.'),
    ('audit trigger', 'audit.chain_heads', 'The newest link of the trail itself.');

create table ops.reviewed_functions (
    function text not null,
    owner    text not null,
    reason   text not null,
    constraint reviewed_functions_pkey primary key (function),
    constraint reviewed_functions_reason_check check (length(reason) >= 20)
);
comment on table ops.reviewed_functions is 'Every SECURITY DEFINER function that was read by a person, with the reason it must be one.';
comment on column ops.reviewed_functions.function is 'Schema, name and argument types.';
comment on column ops.reviewed_functions.owner is 'The narrow role whose rights it runs with.';
comment on column ops.reviewed_functions.reason is 'Why the caller''s own rights would not do.';

create view ops.tables with (security_invoker = true) as
select c.oid as table_id, n.nspname::text as schema_name, format('%s.%s', n.nspname, c.relname) as name, c.relispartition as is_partition,
       case
           when n.nspname = 'identity' then 'directory'
           when n.nspname = 'jobs' then 'queue'
           when n.nspname in ('ops', 'migrations') then 'operations'
           when w.object is not null then 'global'
           else 'tenant'
       end as kind
from pg_catalog.pg_class c
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
left join ops.waivers w on w.rule = 'global table' and w.object = format('%s.%s', n.nspname, c.relname)
where c.relkind in ('r', 'p', 'f') and n.nspname <> 'information_schema' and n.nspname not like 'pg\_%';
comment on view ops.tables is 'Every table and its kind; whatever is not declared otherwise is a tenant table and must obey the rules of one.';

create view ops.rls_coverage with (security_invoker = true) as
select t.name, t.kind, t.is_partition, c.relrowsecurity as has_row_security, c.relforcerowsecurity as is_forced,
       coalesce(p.is_canonical, false) as has_canonical_policies, coalesce(p.names, '{}') as policies,
       case
           when t.kind <> 'tenant' then 'not a tenant table'
           when not c.relrowsecurity then 'OPEN: row security is off'
           when not c.relforcerowsecurity then 'OPEN: row security does not bind the owner'
           when not coalesce(p.is_canonical, false) then 'OPEN: the policies are not the canonical pair'
           else 'secured'
       end as verdict
from ops.tables t
join pg_catalog.pg_class c on c.oid = t.table_id
left join lateral (
    select array_agg(p.polname::text order by p.polname) as names,
           count(*) = 2 and bool_and(
               p.polcmd = '*'
               and pg_catalog.pg_get_expr(p.polqual, p.polrelid) is not distinct from '(organization_id = app.current_org_id())'
               and pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid) is not distinct from '(organization_id = app.current_org_id())'
               and case p.polname
                   when 'tenant_access' then p.polpermissive and (
                       select array_agg(r.rolname::text order by r.rolname::text) from pg_catalog.pg_roles r where r.oid = any (p.polroles)
                   ) is not distinct from array['app_ro', 'app_rw']
                   when 'tenant_guard' then not p.polpermissive and p.polroles = array[0::oid]
                   else false
               end
           ) as is_canonical
    from pg_catalog.pg_policy p
    where p.polrelid = t.table_id
) p on true;
comment on view ops.rls_coverage is 'For every table: is row security on, forced, and exactly the canonical pair of policies?';

create view ops.role_reach with (security_invoker = true) as
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
comment on view ops.role_reach is 'For every role: which roles can it become, and is any of them above row security?';

create view ops.definer_functions with (security_invoker = true) as
select format('%s.%s(%s)', n.nspname, p.proname, pg_catalog.oidvectortypes(p.proargtypes)) as function,
       pg_catalog.pg_get_userbyid(p.proowner)::text as owner,
       exists (select from unnest(p.proconfig) as setting where setting like 'search_path=%') as has_pinned_search_path,
       case
           when r.function is null then 'UNREVIEWED: not in ops.reviewed_functions'
           when r.owner <> pg_catalog.pg_get_userbyid(p.proowner) then 'WRONG OWNER: reviewed as ' || r.owner
           when not exists (select from unnest(p.proconfig) as setting where setting in ('search_path=pg_catalog, pg_temp', 'search_path=jobs, pg_temp'))
               then 'OPEN: search_path is not pinned'
           when exists (
               select from pg_catalog.aclexplode(coalesce(p.proacl, pg_catalog.acldefault('f', p.proowner))) a where a.grantee = 0
           ) then 'OPEN: everybody may call it'
           else 'reviewed'
       end as verdict,
       r.reason
from pg_catalog.pg_proc p
join pg_catalog.pg_namespace n on n.oid = p.pronamespace
left join ops.reviewed_functions r on r.function = format('%s.%s(%s)', n.nspname, p.proname, pg_catalog.oidvectortypes(p.proargtypes))
where p.prosecdef and n.nspname not in ('pg_catalog', 'information_schema');
comment on view ops.definer_functions is 'Every function that runs with its owner''s rights, and whether a person reviewed it.';

create view ops.constraint_shape with (security_invoker = true) as
select t.name as table_name, i.relname::text as name, case when x.indisprimary then 'primary key' when x.indisunique then 'unique' else 'index' end as kind,
       array(
           select coalesce(a.attname::text, '(expression)')
           from unnest(x.indkey::smallint[]) with ordinality as k (attnum, place)
           left join pg_catalog.pg_attribute a on a.attrelid = x.indrelid and a.attnum = k.attnum and k.attnum > 0
           where k.place <= x.indnkeyatts order by k.place
       ) as columns,
       null::text as referenced_table, '{}'::text[] as referenced_columns
from pg_catalog.pg_index x
join ops.tables t on t.table_id = x.indrelid and t.kind = 'tenant'
join pg_catalog.pg_class i on i.oid = x.indexrelid
union all
select t.name, k.conname::text, 'foreign key',
       array(select a.attname::text from unnest(k.conkey) with ordinality as c (attnum, place)
             join pg_catalog.pg_attribute a on a.attrelid = k.conrelid and a.attnum = c.attnum order by c.place),
       r.name,
       array(select a.attname::text from unnest(k.confkey) with ordinality as c (attnum, place)
             join pg_catalog.pg_attribute a on a.attrelid = k.confrelid and a.attnum = c.attnum order by c.place)
from pg_catalog.pg_constraint k
join ops.tables t on t.table_id = k.conrelid
join ops.tables r on r.table_id = k.confrelid
where k.contype = 'f' and 'tenant' in (t.kind, r.kind);
comment on view ops.constraint_shape is 'Every key, index and foreign key of tenant tables with its columns in order: organization_id must lead.';

create function ops.explain_acl(acl aclitem[], kind "char", owner oid) returns table (grantee oid, privilege text, is_grantable boolean)
language sql stable
set search_path = ''
as $$
    select a.grantee, a.privilege_type, a.is_grantable
    from pg_catalog.aclexplode(coalesce(acl, pg_catalog.acldefault(kind, owner))) a
    where a.grantee <> owner;
$$;
comment on function ops.explain_acl(aclitem[], "char", oid) is 'The rights that others than the owner hold, defaults included.';

create view ops.grants with (security_invoker = true) as
select r.rolname::text as role, g.kind, g.object,
       string_agg(g.privilege || coalesce(' (' || g.columns || ')', '') || case when g.is_grantable then '*' else '' end, ', '
           order by g.privilege, g.columns) as rights
from (
    select 'table' as kind, format('%s.%s', n.nspname, c.relname) as object, a.grantee, lower(a.privilege) as privilege, null as columns, a.is_grantable
    from pg_catalog.pg_class c
    join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    cross join lateral ops.explain_acl(c.relacl, case c.relkind when 'S' then 's'::"char" else 'r'::"char" end, c.relowner) a
    where c.relkind in ('r', 'p', 'v', 'm', 'f', 'S') and n.nspname not in ('pg_catalog', 'information_schema') and n.nspname not like 'pg\_%'
    union all
    select 'table', format('%s.%s', n.nspname, c.relname), a.grantee, lower(a.privilege_type), string_agg(t.attname, ', ' order by t.attname), a.is_grantable
    from pg_catalog.pg_attribute t
    join pg_catalog.pg_class c on c.oid = t.attrelid
    join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    cross join lateral pg_catalog.aclexplode(t.attacl) a
    where n.nspname not in ('pg_catalog', 'information_schema')
    group by n.nspname, c.relname, a.grantee, a.privilege_type, a.is_grantable
    union all
    select 'function', format('%s.%s(%s)', n.nspname, p.proname, pg_catalog.oidvectortypes(p.proargtypes)), a.grantee, lower(a.privilege), null, a.is_grantable
    from pg_catalog.pg_proc p
    join pg_catalog.pg_namespace n on n.oid = p.pronamespace
    cross join lateral ops.explain_acl(p.proacl, 'f', p.proowner) a
    where n.nspname not in ('pg_catalog', 'information_schema')
    union all
    select 'schema', n.nspname::text, a.grantee, lower(a.privilege), null, a.is_grantable
    from pg_catalog.pg_namespace n cross join lateral ops.explain_acl(n.nspacl, 'n', n.nspowner) a
    where n.nspname not in ('pg_catalog', 'information_schema') and n.nspname not like 'pg\_%'
    union all
    select 'database', 'this database', a.grantee, lower(a.privilege), null, a.is_grantable
    from pg_catalog.pg_database d cross join lateral ops.explain_acl(d.datacl, 'd', d.datdba) a
    where d.datname = pg_catalog.current_database()
) g
left join pg_catalog.pg_roles r on r.oid = g.grantee
group by r.rolname, g.kind, g.object;
comment on view ops.grants is 'Every right that somebody other than the owner holds, null meaning everybody; sql/grants/manifest.toml says which should be.';

create view ops.table_findings with (security_invoker = true) as
select 'row security' as rule, c.name as object, c.verdict as detail from ops.rls_coverage c where c.verdict like 'OPEN%'
union all
select 'queue boundary', t.name, 'a table of the queue without forced row security or without a policy'
from ops.tables t join pg_catalog.pg_class c on c.oid = t.table_id
where t.kind = 'queue' and (
    not c.relrowsecurity or not c.relforcerowsecurity or not exists (select from pg_catalog.pg_policy p where p.polrelid = t.table_id)
)
union all
select 'tenant column', t.name, 'organization_id uuid not null is missing'
from ops.tables t
where t.kind = 'tenant' and not exists (
    select from pg_catalog.pg_attribute a
    where a.attrelid = t.table_id and a.attname = 'organization_id' and a.atttypid = 'uuid'::regtype and a.attnotnull and not a.attisdropped
)
union all
select 'exact type', format('%s.%s', t.name, a.attname), format('%s has no exact, leakproof comparison', format_type(a.atttypid, a.atttypmod))
from ops.tables t
join pg_catalog.pg_attribute a on a.attrelid = t.table_id and a.attnum > 0 and not a.attisdropped
join pg_catalog.pg_type y on y.oid = a.atttypid
where t.kind in ('tenant', 'global') and not t.is_partition and (
    y.typtype in ('e', 'd', 'r', 'm') or y.typname in ('numeric', 'float4', 'float8', 'money', 'timestamp', 'time', 'timetz', 'bpchar', 'varchar', 'citext')
    or a.attidentity <> '' or pg_catalog.pg_get_serial_sequence(format('%I.%I', t.schema_name, split_part(t.name, '.', 2)), a.attname) is not null
)
union all
select 'inheritance', t.name, 'a child table that is no partition'
from ops.tables t join pg_catalog.pg_inherits i on i.inhrelid = t.table_id
where not t.is_partition
union all
select 'rewrite rule', t.name, 'a rule changes what statements do'
from ops.tables t join pg_catalog.pg_rewrite r on r.ev_class = t.table_id
union all
select 'foreign table', t.name, 'rows live where no policy holds'
from ops.tables t join pg_catalog.pg_class c on c.oid = t.table_id and c.relkind = 'f'
union all
select 'view security', format('%s.%s', n.nspname, c.relname), 'a view must be security_invoker'
from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where c.relkind = 'v' and n.nspname not in ('pg_catalog', 'information_schema') and not coalesce('security_invoker=true' = any (c.reloptions), false)
union all
select 'materialized view', format('%s.%s', n.nspname, c.relname), 'nobody but the owner may read it: no policy holds there'
from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where c.relkind = 'm' and exists (select from ops.explain_acl(c.relacl, 'r', c.relowner))
union all
select 'audit trigger', t.name, 'changes leave no trace: `select audit.watch(…)`'
from ops.tables t
where t.kind = 'tenant' and not t.is_partition and not exists (
    select from pg_catalog.pg_trigger g
    where g.tgrelid = t.table_id and g.tgfoid = 'audit.write_event()'::regprocedure and g.tgenabled = 'A' and g.tgdeferrable
)
union all
select 'append only', t.name, 'the trail could be changed: `select audit.protect(…)`'
from ops.tables t
where t.schema_name = 'audit' and t.name <> 'audit.chain_heads' and (
    select count(*) from pg_catalog.pg_trigger g
    where g.tgrelid = t.table_id and g.tgfoid = 'audit.refuse()'::regprocedure and g.tgenabled = 'A'
) < 2;
comment on view ops.table_findings is 'What the lint finds wrong with tables and views.';

create view ops.key_findings with (security_invoker = true) as
select 'tenant first' as rule, format('%s.%s', s.table_name, s.name) as object, format('%s on (%s)', s.kind, array_to_string(s.columns, ', ')) as detail
from ops.constraint_shape s
where s.columns[1] <> 'organization_id' and s.kind <> 'foreign key'
union all
select 'primary key', t.name, 'a table without a primary key'
from ops.tables t
where t.kind <> 'operations' and not exists (select from pg_catalog.pg_index x where x.indrelid = t.table_id and x.indisprimary)
union all
select 'foreign key', format('%s.%s', s.table_name, s.name),
       format('(%s) references %s (%s)', array_to_string(s.columns, ', '), s.referenced_table, array_to_string(s.referenced_columns, ', '))
from ops.constraint_shape s
join ops.tables t on t.name = s.table_name
join ops.tables r on r.name = s.referenced_table
where s.kind = 'foreign key' and not (t.kind = 'tenant' and r.kind = 'global')
    and (t.kind <> r.kind or s.columns[1] <> 'organization_id' or s.referenced_columns[1] <> 'organization_id')
union all
select 'foreign key action', format('%s.%s', t.name, k.conname), 'set null or set default would touch organization_id'
from pg_catalog.pg_constraint k
join ops.tables t on t.table_id = k.conrelid and t.kind = 'tenant'
where k.contype = 'f' and (k.confdeltype in ('n', 'd') or k.confupdtype in ('n', 'd', 'c'))
union all
select 'foreign key index', format('%s.%s', t.name, k.conname), 'no index leads with its columns'
from pg_catalog.pg_constraint k
join ops.tables t on t.table_id = k.conrelid and t.kind <> 'queue'
where k.contype = 'f' and not exists (
    select from pg_catalog.pg_index x
    where x.indrelid = k.conrelid and x.indisvalid and x.indpred is null
      and (x.indkey::smallint[])[0:cardinality(k.conkey) - 1] @> k.conkey
      and (x.indkey::smallint[])[0:cardinality(k.conkey) - 1] <@ k.conkey
)
union all
select 'index type', format('%s.%s', s.table_name, s.name), 'an expression is never an index condition under row security'
from ops.constraint_shape s where '(expression)' = any (s.columns)
union all
select distinct 'index type', format('%s.%s', t.name, i.relname), format('%s is not leakproof', o.oprcode::regproc)
from pg_catalog.pg_index x
join ops.tables t on t.table_id = x.indrelid and t.kind = 'tenant'
join pg_catalog.pg_class i on i.oid = x.indexrelid
cross join lateral unnest(x.indclass::oid[]) as class (id)
join pg_catalog.pg_opclass c on c.oid = class.id
join pg_catalog.pg_amop m on m.amopfamily = c.opcfamily and m.amoplefttype = c.opcintype and m.amoprighttype = c.opcintype and m.amoppurpose = 's'
join pg_catalog.pg_operator o on o.oid = m.amopopr
join pg_catalog.pg_proc f on f.oid = o.oprcode
where not f.proleakproof
union all
select 'chosen name', format('%s.%s', t.name, k.conname), 'a constraint is named after its table and its kind'
from pg_catalog.pg_constraint k
join ops.tables t on t.table_id = k.conrelid and t.kind <> 'queue' and t.schema_name <> 'migrations' and not t.is_partition
where k.contype in ('p', 'u', 'f', 'c', 'x') and k.conname !~ ('^' || split_part(t.name, '.', 2) || case k.contype
    when 'p' then '_pkey$' when 'u' then '_[a-z0-9_]+_key$' when 'f' then '_[a-z0-9_]+_fkey$' when 'c' then '_[a-z0-9_]+_check$' else '_[a-z0-9_]+_excl$' end)
union all
select 'constraint', format('%s.%s', t.name, k.conname), 'not valid: old rows were never checked'
from pg_catalog.pg_constraint k join ops.tables t on t.table_id = k.conrelid
where not k.convalidated;
comment on view ops.key_findings is 'What the lint finds wrong with keys, foreign keys and indexes.';

create view ops.grant_findings with (security_invoker = true) as
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
comment on view ops.grant_findings is 'What the lint finds wrong with roles and rights.';

create view ops.function_findings with (security_invoker = true) as
select 'definer function' as rule, d.function as object, d.verdict as detail from ops.definer_functions d where d.verdict <> 'reviewed'
union all
select 'definer function', r.function, 'GONE: reviewed, but there is no such function'
from ops.reviewed_functions r where not exists (select from ops.definer_functions d where d.function = r.function)
union all
select 'function right', format('%s.%s(%s)', n.nspname, p.proname, pg_catalog.oidvectortypes(p.proargtypes)),
       format('EXECUTE for %s%s', coalesce(r.rolname, 'PUBLIC'), case when a.is_grantable then ' with grant option' else '' end)
from pg_catalog.pg_proc p
join pg_catalog.pg_namespace n on n.oid = p.pronamespace
cross join lateral ops.explain_acl(p.proacl, 'f', p.proowner) a
left join pg_catalog.pg_roles r on r.oid = a.grantee
where n.nspname not in ('pg_catalog', 'information_schema') and (a.grantee = 0 or a.is_grantable)
union all
select 'search path', format('%s.%s(%s)', n.nspname, p.proname, pg_catalog.oidvectortypes(p.proargtypes)), 'search_path is not pinned'
from pg_catalog.pg_proc p
join pg_catalog.pg_namespace n on n.oid = p.pronamespace
where n.nspname not in ('pg_catalog', 'information_schema', 'jobs') and p.prokind <> 'a'
    and not coalesce(p.proconfig && array['search_path=""', 'search_path=pg_catalog, pg_temp'], false)
union all
select 'context function', 'app.current_org_id()', 'not the reviewed function: plpgsql, stable, parallel safe, pinned, raising ORG01'
where not exists (
    select
    from pg_catalog.pg_proc p
    join pg_catalog.pg_namespace n on n.oid = p.pronamespace
    join pg_catalog.pg_language l on l.oid = p.prolang
    where n.nspname = 'app' and p.proname = 'current_org_id' and p.pronargs = 0 and l.lanname = 'plpgsql' and p.provolatile = 's'
      and p.proparallel = 's' and not p.prosecdef and p.proconfig = array['search_path=""']
      and encode(sha256(convert_to(p.prosrc, 'UTF8')), 'hex') = '818913985f2e7bbd70a2707c330fda7083911ea376576df156c0c76ff1d9898f'
);
comment on view ops.function_findings is 'What the lint finds wrong with functions.';

create view ops.comment_findings with (security_invoker = true) as
select 'comment' as rule, n.nspname::text as object, 'a schema without a comment' as detail
from pg_catalog.pg_namespace n
where n.nspname not in ('pg_catalog', 'information_schema', 'public') and n.nspname not like 'pg\_%'
    and pg_catalog.obj_description(n.oid, 'pg_namespace') is null
union all
select 'comment', format('%s.%s', n.nspname, c.relname), 'a table or view without a comment'
from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where n.nspname not in ('pg_catalog', 'information_schema', 'migrations') and n.nspname not like 'pg\_%' and c.relkind in ('r', 'p', 'v', 'm', 'f')
    and pg_catalog.obj_description(c.oid, 'pg_class') is null
union all
select 'comment', format('%s.%s.%s', n.nspname, c.relname, a.attname), 'a column without a comment'
from pg_catalog.pg_class c
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
where n.nspname not in ('pg_catalog', 'information_schema', 'migrations', 'jobs') and n.nspname not like 'pg\_%'
    and c.relkind in ('r', 'p', 'f') and not c.relispartition and pg_catalog.col_description(c.oid, a.attnum) is null
union all
select 'comment', format('%s.%s(%s)', n.nspname, p.proname, pg_catalog.oidvectortypes(p.proargtypes)), 'a function without a comment'
from pg_catalog.pg_proc p join pg_catalog.pg_namespace n on n.oid = p.pronamespace
where n.nspname not in ('pg_catalog', 'information_schema') and pg_catalog.obj_description(p.oid, 'pg_proc') is null
union all
select 'comment', format('%s on %s', p.polname, t.name), 'a policy without a comment'
from pg_catalog.pg_policy p join ops.tables t on t.table_id = p.polrelid
where pg_catalog.obj_description(p.oid, 'pg_policy') is null;
comment on view ops.comment_findings is 'What the lint finds undocumented.';

-- The rules that others stand on: ops.findings is empty, or the installation is not as designed.
create view ops.findings with (security_invoker = true) as
select f.rule, f.object, f.detail
from (
    select * from ops.table_findings
    union all select * from ops.key_findings
    union all select * from ops.grant_findings
    union all select * from ops.function_findings
    union all select * from ops.comment_findings
    union all
    select 'waiver', w.object, 'waived, but there is no such table'
    from ops.waivers w where w.rule in ('global table', 'audit trigger') and not exists (select from ops.tables t where t.name = w.object)
) f
where not exists (select from ops.waivers w where w.rule = f.rule and w.object = f.object);
comment on view ops.findings is 'The catalog lint: every broken rule without a waiver. Empty means that the installation is as designed.';

insert into ops.reviewed_functions (function, owner, reason)
select function, 'app_resolver', 'Before an organization is known somebody has to look: reads the directories, on which no other role has a right.'
from unnest(array[
    'identity.find_account(text)', 'identity.get_account(uuid)', 'identity.seats_of(uuid)', 'identity.resolve_key(bytea)',
    'identity.resolve_invitation(bytea)', 'identity.resolve_payment(text, text)', 'identity.list_organizations(uuid, integer)',
    'identity.waiting_organizations(text, uuid, integer)', 'identity.list_sessions(uuid, timestamp with time zone)'
]) as function;
insert into ops.reviewed_functions (function, owner, reason)
select function, 'app_resolver', 'Writes or reads for a person, named by the id or the secret in its arguments; secrets'' hashes are nobody else''s to see.'
from unnest(array[
    'identity.create_account(uuid, text, text, text, text)', 'identity.set_password(uuid, text, text)', 'identity.hold_password(uuid, text)',
    'identity.mark_verified(uuid, timestamp with time zone)', 'identity.issue_token(uuid, uuid, text, bytea, timestamp with time zone)',
    'identity.consume_token(bytea, text, timestamp with time zone)', 'identity.peek_token(bytea, text, timestamp with time zone)',
    'identity.revoke_session(uuid, uuid)',
    'identity.revoke_sessions(uuid, uuid)', 'identity.queue_account_mail(uuid, uuid, text, timestamp with time zone)',
    'identity.queue_reset_mail(uuid, text)', 'identity.take_attempt(bytea, integer, timestamp with time zone)',
    'identity.give_attempt_back(bytea, boolean)', 'identity.prune(timestamp with time zone)',
    'identity.claim_account_mail(uuid, timestamp with time zone)', 'identity.settle_account_mail(uuid, timestamp with time zone, text)'
]) as function;
insert into ops.reviewed_functions (function, owner, reason)
select function, 'app_resolver', 'Keeps the directory in step with a tenant''s row, for the organization in context alone, in the same transaction.'
from unnest(array[
    'identity.open_organization()', 'identity.organization_status()', 'identity.set_organization_status(text)', 'identity.add_seat(uuid, uuid)',
    'identity.remove_seat(uuid)', 'identity.members()', 'identity.register_key(bytea, uuid)', 'identity.forget_key(uuid)',
    'identity.register_invitation(bytea, uuid)', 'identity.forget_invitation(uuid)', 'identity.register_payment(text, text, uuid)',
    'identity.open_session(uuid, uuid, uuid, text, text, timestamp with time zone, timestamp with time zone)',
    'identity.session_seat(uuid, timestamp with time zone)', 'identity.touch_session(uuid, timestamp with time zone)',
    'identity.announce_work(text)', 'identity.withdraw_work(text)'
]) as function;
insert into ops.reviewed_functions (function, owner, reason) values
    ('usage.record(uuid[], uuid[], uuid[], text[], text[], integer[], bigint[], text[], boolean[], timestamp with time zone[])', 'usage_recorder',
     'One statement books the requests of many organizations; it can only insert, and the foreign key refuses another organization''s key.'),
    ('audit.write_event()', 'audit_writer', 'Writes the trail of whichever organization''s row changed; nobody else can write there.'),
    ('jobs.defer(text, text, jsonb, text, text, integer, timestamp with time zone)', 'job_writer',
     'Stamps the organization in context on a job and on its locks; no caller can insert a job by hand.'),
    ('jobs.defer_global(text, text, jsonb, text)', 'job_writer', 'Lets through only the few tasks that belong to no organization.'),
    ('usage.create_partition(date)', 'app_owner', 'Only the owner of a table can add a month to it; takes a date, secures what it makes, drops nothing.'),
    ('audit.create_partition(date)', 'app_owner', 'Only the owner of a table can add a month to it; takes a date, secures what it makes, drops nothing.'),
    ('ops.isolation_selftest()', 'isolation_probe', 'Attacks with exactly the rights of the application, whoever asks; everything it does is rolled back.');

-- A reason that could be rolled back would be none: the look begins after its record is committed, so this cannot run inside a transaction.
create procedure ops.as_org(organization uuid, reason text)
language plpgsql
as $$
begin
    perform pg_catalog.set_config('app.current_org_id', organization::pg_catalog.text, true);
    insert into audit.accesses (organization_id, kind, reason) values (as_org.organization, 'as_org', as_org.reason);
    commit;
    perform pg_catalog.set_config('app.current_org_id', organization::pg_catalog.text, false);
end
$$;
comment on procedure ops.as_org(uuid, text) is
    'Opens one organization for this session, after writing who and why into its audit trail; `reset app.current_org_id` leaves it.';

create procedure ops.break_glass(reason text)
language plpgsql
as $$
begin
    perform pg_catalog.set_config('app.current_org_id', '00000000-0000-0000-0000-000000000000', true);
    insert into audit.accesses (organization_id, kind, reason)
    values ('00000000-0000-0000-0000-000000000000', 'break_glass', break_glass.reason);
    commit;
    perform pg_catalog.set_config('role', 'app_breakglass', false);
end
$$;
comment on procedure ops.break_glass(text) is
    'Enters app_breakglass, which sees every organization, after writing who and why; only its named members can. `reset role` leaves it.';

insert into ops.waivers (rule, object, reason)
select 'search path', procedure, 'A procedure that commits cannot carry settings; it runs with its caller''s rights and every name in it is qualified.'
from unnest(array['ops.as_org(uuid, text)', 'ops.break_glass(text)']) as procedure;

create function ops.plant(organization uuid) returns void
language plpgsql
set search_path = ''
as $$
declare
    seat uuid := gen_random_uuid();
    key uuid := gen_random_uuid();
begin
    perform set_config('app.current_org_id', organization::text, true);
    insert into tenancy.organizations (organization_id, name, email) values (organization, 'Self-test', 'selftest@example.org');
    insert into tenancy.users (organization_id, id, account_id, email, role)
    values (organization, seat, gen_random_uuid(), 'selftest@example.org', 'owner');
    insert into tenancy.team_invitations (organization_id, id, email, email_key, role, invited_by, expires_at)
    values (organization, gen_random_uuid(), 'b@example.org', 'b@example.org', 'member', seat, now());
    insert into tenancy.api_keys (organization_id, id, name, first4, last4, scopes, created_by)
    values (organization, key, 'Self-test', 'aaaa', 'zzzz', '{}', seat);
    insert into messaging.messages (organization_id, id, api_key_id, type, recipient, body)
    values (organization, gen_random_uuid(), key, 'email', 'c@example.org', 'Self-test');
    insert into messaging.emails (organization_id, id, kind, subject_id, recipient)
    values (organization, gen_random_uuid(), 'welcome', seat, 'selftest@example.org');
end
$$;
comment on function ops.plant(uuid) is 'One organization with a row in the tables that matter most, for the self-test.';

create function ops.attempt(statement text) returns text
language plpgsql
set search_path = ''
as $$
declare
    touched bigint;
begin
    execute statement into touched;
    return touched || ' rows';
exception
    when others then
        return sqlstate || ' ' || sqlerrm;
end
$$;
comment on function ops.attempt(text) is 'Runs a statement that returns a count, and says what came of it: the number of rows or the error.';

create function ops.attack(target text, victim uuid, attacker uuid) returns table (object text, attack text, outcome text, held boolean)
language plpgsql
set search_path = ''
as $$
declare
    any_column text := (
        select quote_ident(a.attname) from pg_catalog.pg_attribute a
        where a.attrelid = target::regclass and a.attnum > 0 and not a.attisdropped
          and has_column_privilege(a.attrelid, a.attnum, 'UPDATE') and a.attname <> 'organization_id' limit 1
    );
begin
    object := target;
    attack := 'read without an organization';
    perform set_config('app.current_org_id', '', true);
    outcome := ops.attempt(format('select count(*) from %s', target));
    held := outcome like 'ORG01%' or outcome like '42501%';
    return next;
    attack := 'read with a malformed organization';
    perform set_config('app.current_org_id', 'x'' or true --', true);
    outcome := ops.attempt(format('select count(*) from %s', target));
    held := outcome like 'ORG01%' or outcome like '42501%';
    return next;

    perform set_config('app.current_org_id', attacker::text, true);
    attack := 'read another organization''s rows';
    outcome := ops.attempt(format('select count(*) from %s where organization_id <> %L', target, attacker));
    held := outcome = '0 rows' or outcome like '42501%';
    return next;
    attack := 'insert into another organization';
    outcome := ops.attempt(format('with w as (insert into %s (organization_id) values (%L) returning 1) select count(*) from w', target, victim));
    held := outcome like '42501%';
    return next;
    attack := 'update another organization''s rows';
    outcome := ops.attempt(format('with w as (update %s set %s = %2$s where organization_id = %L returning 1) select count(*) from w',
        target, coalesce(any_column, 'organization_id'), victim));
    held := outcome = '0 rows' or outcome like '42501%';
    return next;
    attack := 'delete another organization''s rows';
    outcome := ops.attempt(format('with w as (delete from %s where organization_id = %L returning 1) select count(*) from w', target, victim));
    held := outcome = '0 rows' or outcome like '42501%';
    return next;
end
$$;
comment on function ops.attack(text, uuid, uuid) is 'Tries to reach a victim''s rows in one table from the attacker''s context.';

create function ops.isolation_selftest() returns table (object text, attack text, outcome text, held boolean)
language plpgsql security definer
set search_path = ''
as $$
declare
    victim uuid := gen_random_uuid();
    attacker uuid := gen_random_uuid();
    results jsonb;
begin
    begin
        perform ops.plant(victim);
        perform ops.plant(attacker);
        select jsonb_agg(a) into results
        from ops.tables t cross join lateral ops.attack(t.name, victim, attacker) a
        where t.kind = 'tenant' and not t.is_partition;
        raise exception 'all of it is undone' using errcode = 'ORG06';
    exception
        when sqlstate 'ORG06' then null;
    end;
    return query
        select r.object, r.attack, r.outcome, r.held
        from jsonb_to_recordset(results) as r (object text, attack text, outcome text, held boolean)
        order by r.object, r.attack;
end
$$;
comment on function ops.isolation_selftest() is
    'Plants two organizations, attacks one from the other in every tenant table with the application''s rights, and rolls all of it back.';

create view ops.usage_reconciliation with (security_invoker = true) as
select c.number, c.period_start, c.total_requests as invoiced, counted.requests as recorded, c.total_requests - counted.requests as difference
from billing.billing_cycles c
cross join lateral (
    select count(*) as requests
    from usage.usage_records u
    where u.organization_id = c.organization_id and u.billed_month = (c.period_start at time zone 'utc')::date and u.is_billable
) counted
where c.organization_id = app.current_org_id();
comment on view ops.usage_reconciliation is 'For each invoice of the organization in context: requests on it against requests recorded; the difference is 0.';

create view ops.payment_reconciliation with (security_invoker = true) as
select c.number, c.status, c.total_amount_minor, c.paid_minor, coalesce(p.received_minor, 0) as received_minor,
       c.paid_minor - coalesce(p.received_minor, 0) as difference
from billing.billing_cycles c
left join lateral (
    select sum(p.succeeded_minor - p.refunded_minor)::bigint as received_minor
    from billing.payments p
    where p.organization_id = c.organization_id and p.billing_cycle_id = c.id
) p on true
where c.organization_id = app.current_org_id();
comment on view ops.payment_reconciliation is 'For each invoice of the organization in context: what it says is paid against the payments; the difference is 0.';

create view ops.webhook_reconciliation with (security_invoker = true) as
select e.provider, e.outcome, count(*) as events, min(e.received_at) filter (where e.handled_at is null) as waiting_since
from billing.payment_events e
group by e.provider, e.outcome;
comment on view ops.webhook_reconciliation is 'What became of the providers'' events; waiting_since is the oldest that no job has handled.';

create view ops.partitions with (security_invoker = true) as
select p.name as table_name, c.relname::text as partition, pg_catalog.pg_get_expr(c.relpartbound, c.oid) as bounds,
       pg_catalog.pg_total_relation_size(c.oid) as bytes
from ops.tables p
join pg_catalog.pg_inherits i on i.inhparent = p.table_id
join pg_catalog.pg_class c on c.oid = i.inhrelid;
comment on view ops.partitions is 'Every partition with its bounds and its size.';

-- Every tenant table is under audit but those of the waivers; a later one is put there by its own migration.
do $$
begin
    perform audit.watch(t.table_id::regclass, case t.name when 'tenancy.api_keys' then array['last_used_at'] else '{}' end)
    from ops.tables t
    where t.kind = 'tenant' and not t.is_partition
        and not exists (select from ops.waivers w where w.rule = 'audit trigger' and w.object = t.name);
end
$$;

revoke execute on all routines in schema ops from public;
grant usage on schema ops to app_rw, app_ro;
grant select on all tables in schema ops to app_ro;
grant select on ops.tables, ops.rls_coverage, ops.role_reach, ops.waivers to app_rw;
grant execute on function ops.explain_acl(aclitem[], "char", oid) to app_ro;
grant execute on procedure ops.as_org(uuid, text), ops.break_glass(text) to app_auditor;
grant execute on function ops.isolation_selftest() to app_auditor;
grant execute on function ops.plant(uuid), ops.attempt(text), ops.attack(text, uuid, uuid) to isolation_probe;
grant select (provider, event_id, type, reference, is_live, received_at, organization_id, outcome, handled_at) on billing.payment_events to app_auditor;

-- The glass is broken to look and to repair: every right on the tables of organizations, none on the trail, the directories or the queue.
grant usage on schema app, tenancy, usage, billing, messaging, audit to app_breakglass;
do $$
declare
    tenant_table text;
begin
    for tenant_table in select name from ops.tables where kind = 'tenant' and not is_partition and schema_name <> 'audit'
    loop
        execute format('grant select, insert, update, delete on %s to app_breakglass', tenant_table);
    end loop;
end
$$;
grant select on audit.events, audit.chain_heads, audit.accesses to app_breakglass;

reset role;
call app.hand_over('ops.isolation_selftest()'::regprocedure, 'isolation_probe');
set local role isolation_probe;
grant execute on function ops.isolation_selftest() to app_auditor;
reset role;
