-- depends: 0113_no_large_objects
-- Our own functions beside the queue need nothing of it on their path; the lint finds indexes without a chosen name, and secrets.

set local role app_owner;

alter function jobs.rescue_stalled(interval) set search_path = '';
alter function jobs.forget_finished(interval) set search_path = '';

create or replace view ops.definer_functions with (security_invoker = true) as
select format('%s.%s(%s)', n.nspname, p.proname, pg_catalog.oidvectortypes(p.proargtypes)) as function,
       pg_catalog.pg_get_userbyid(p.proowner)::text as owner,
       exists (select from unnest(p.proconfig) as setting where setting like 'search_path=%') as has_pinned_search_path,
       case
           when r.function is null then 'UNREVIEWED: not in ops.reviewed_functions'
           when r.owner <> pg_catalog.pg_get_userbyid(p.proowner) then 'WRONG OWNER: reviewed as ' || r.owner
           when not exists (select from unnest(p.proconfig) as setting where setting = 'search_path=pg_catalog, pg_temp')
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

create or replace view ops.table_findings with (security_invoker = true) as
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
where t.kind in ('tenant', 'global', 'directory') and not t.is_partition and (
    y.typtype in ('e', 'd', 'r', 'm') or y.typname in ('numeric', 'float4', 'float8', 'money', 'timestamp', 'time', 'timetz', 'bpchar', 'varchar', 'citext')
    or a.attidentity <> '' or exists (
        select from pg_catalog.pg_attrdef d
        where d.adrelid = a.attrelid and d.adnum = a.attnum and pg_catalog.pg_get_expr(d.adbin, d.adrelid) like '%nextval(%'
    )
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
) < 2
union all
select 'schema name', n.nspname::text, 'public linters skip a schema of this name'
from pg_catalog.pg_namespace n
where n.nspname = 'auth'
union all
select 'secret', format('%s.%s', t.name, a.attname), 'secrets and their digests are kept in identity alone'
from ops.tables t join pg_catalog.pg_attribute a on a.attrelid = t.table_id and a.attnum > 0 and not a.attisdropped
where t.kind in ('tenant', 'global') and not t.is_partition and a.attname ~ '(secret|password|passphrase|token|digest|cipher|private|pepper|credential)';

create or replace view ops.key_findings with (security_invoker = true) as
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
join ops.tables t on t.table_id = k.conrelid
where k.contype = 'f' and (k.confdeltype in ('n', 'd') or k.confupdtype in ('n', 'd', 'c'))
union all
select 'foreign key index', format('%s.%s', t.name, k.conname), 'no index leads with its columns'
from pg_catalog.pg_constraint k
join ops.tables t on t.table_id = k.conrelid
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
join ops.tables t on t.table_id = x.indrelid
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
select 'chosen name', format('%s.%s', t.name, i.relname), 'an index is named after its table and ends in _idx, a unique one in _key'
from pg_catalog.pg_index x
join ops.tables t on t.table_id = x.indrelid and t.kind <> 'queue' and t.schema_name <> 'migrations' and not t.is_partition
join pg_catalog.pg_class i on i.oid = x.indexrelid
where not exists (select from pg_catalog.pg_constraint k where k.conindid = x.indexrelid and k.contype in ('p', 'u', 'x'))
    and i.relname !~ ('^' || split_part(t.name, '.', 2) || '_[a-z0-9_]+_' || case when x.indisunique then 'key$' else 'idx$' end)
union all
select 'constraint', format('%s.%s', t.name, k.conname), 'not valid: old rows were never checked'
from pg_catalog.pg_constraint k join ops.tables t on t.table_id = k.conrelid
where not k.convalidated;

create or replace view ops.function_findings with (security_invoker = true) as
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
where n.nspname not in ('pg_catalog', 'information_schema') and p.prokind <> 'a'
    and not coalesce(p.proconfig && array['search_path=""', 'search_path=pg_catalog, pg_temp'], false)
    and not (n.nspname = 'jobs' and p.proname like 'procrastinate\_%' and coalesce(p.proconfig && array['search_path=jobs, pg_temp'], false))
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

reset role;

alter function jobs.defer(text, text, jsonb, text, text, integer, timestamptz) set search_path = pg_catalog, pg_temp;
alter function jobs.defer_global(text, text, jsonb, text) set search_path = pg_catalog, pg_temp;

create or replace function jobs.figures() returns table (figure text, label text, value double precision)
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
    with queues as (
        select name from unnest(array['mail', 'messages', 'billing', 'maintenance']) as name
    ),
    counted as (
        select j.queue_name,
               count(*) filter (where j.status = 'todo' and coalesce(j.scheduled_at <= now(), true)) as waiting,
               count(*) filter (where j.status = 'todo' and j.scheduled_at > now()) as scheduled,
               count(*) filter (where j.status = 'doing') as running,
               count(*) filter (where j.status = 'failed') as failed,
               min(j.id) filter (where j.status = 'todo' and j.scheduled_at is null) as oldest,
               min(j.scheduled_at) filter (where j.status = 'todo' and j.scheduled_at <= now()) as due_since
        from jobs.procrastinate_jobs j
        where j.status in ('todo', 'doing', 'failed')
        group by j.queue_name
    )
    select f.figure, q.name, f.value
    from queues q
    left join counted c on c.queue_name = q.name
    cross join lateral (
        values
            ('jobs_waiting', coalesce(c.waiting, 0)::double precision),
            ('jobs_scheduled', coalesce(c.scheduled, 0)::double precision),
            ('jobs_running', coalesce(c.running, 0)::double precision),
            ('jobs_failed', coalesce(c.failed, 0)::double precision),
            ('jobs_oldest_seconds', coalesce(extract(epoch from now() - least(c.due_since, (
                select min(e.at) from jobs.procrastinate_events e where e.job_id = c.oldest and e.type = 'deferred'
            ))), 0)::double precision)
    ) as f (figure, value)
    union all
    select 'mails_waiting', '', count(*)
    from jobs.procrastinate_jobs j
    where j.queue_name = 'mail' and j.status in ('todo', 'doing') and j.task_name in ('email.send', 'email.account_mail')
    union all
    select g.name, '', g.value
    from jobs.gauges g;
$$;
