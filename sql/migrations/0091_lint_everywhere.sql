-- depends: 0090_planned_once
-- The catalog lint looks at the directories and the queue too, with waivers where the queue's own tables differ; and nobody
-- breaks the glass while not every statement of his is logged.

set local role app_owner;

comment on column jobs.procrastinate_jobs.id is 'Number of the job.';
comment on column jobs.procrastinate_jobs.queue_name is 'Which workers take it.';
comment on column jobs.procrastinate_jobs.task_name is 'The function that runs.';
comment on column jobs.procrastinate_jobs.priority is 'Higher ones first.';
comment on column jobs.procrastinate_jobs.lock is 'Jobs of one lock run one after the other; led by the organization.';
comment on column jobs.procrastinate_jobs.queueing_lock is 'At most one job of it waits; led by the organization.';
comment on column jobs.procrastinate_jobs.args is 'What the task is called with: ids, among them the organization''s.';
comment on column jobs.procrastinate_jobs.status is 'Waiting, running or how it ended.';
comment on column jobs.procrastinate_jobs.scheduled_at is 'Not before; null for at once.';
comment on column jobs.procrastinate_jobs.attempts is 'How often it was begun.';
comment on column jobs.procrastinate_jobs.abort_requested is 'Whether somebody asked for its end.';
comment on column jobs.procrastinate_jobs.worker_id is 'The worker that runs it.';
comment on column jobs.procrastinate_events.id is 'Number of the event.';
comment on column jobs.procrastinate_events.job_id is 'Which job.';
comment on column jobs.procrastinate_events.type is 'What happened to it.';
comment on column jobs.procrastinate_events.at is 'When.';
comment on column jobs.procrastinate_periodic_defers.id is 'Number of the tick.';
comment on column jobs.procrastinate_periodic_defers.task_name is 'The scheduled function.';
comment on column jobs.procrastinate_periodic_defers.defer_timestamp is 'The tick, in seconds since 1970.';
comment on column jobs.procrastinate_periodic_defers.job_id is 'The job that it became.';
comment on column jobs.procrastinate_periodic_defers.periodic_id is 'Tells two schedules of one task apart.';
comment on column jobs.procrastinate_workers.id is 'Number of the worker.';
comment on column jobs.procrastinate_workers.last_heartbeat is 'When it was last heard of.';

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

create view ops.glass_findings with (security_invoker = true) as
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
grant select on ops.glass_findings to app_ro;

insert into ops.waivers (rule, object, reason) values
    ('foreign key action', 'jobs.procrastinate_jobs.procrastinate_jobs_worker_id_fkey',
     'Procrastinate''s own, left as it came: a worker that is gone is forgotten; no organization is in this key.'),
    ('foreign key index', 'jobs.procrastinate_jobs.procrastinate_jobs_worker_id_fkey',
     'Procrastinate''s own, left as it came: its index holds the jobs that run, the only ones with a worker.');

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
where n.nspname = 'auth';

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
    and not (n.nspname = 'jobs' and p.proname like 'procrastinate\_%')
    and not coalesce(p.proconfig && array['search_path=""', 'search_path=pg_catalog, pg_temp'], false)
    and not (n.nspname = 'jobs' and coalesce(p.proconfig && array['search_path=jobs, pg_temp'], false))
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

create or replace view ops.comment_findings with (security_invoker = true) as
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
where n.nspname not in ('pg_catalog', 'information_schema', 'migrations') and n.nspname not like 'pg\_%'
    and c.relkind in ('r', 'p', 'f') and not c.relispartition and pg_catalog.col_description(c.oid, a.attnum) is null
union all
select 'comment', format('%s.%s(%s)', n.nspname, p.proname, pg_catalog.oidvectortypes(p.proargtypes)), 'a function without a comment'
from pg_catalog.pg_proc p join pg_catalog.pg_namespace n on n.oid = p.pronamespace
where n.nspname not in ('pg_catalog', 'information_schema') and pg_catalog.obj_description(p.oid, 'pg_proc') is null
union all
select 'comment', format('%s on %s', p.polname, t.name), 'a policy without a comment'
from pg_catalog.pg_policy p join ops.tables t on t.table_id = p.polrelid
where pg_catalog.obj_description(p.oid, 'pg_policy') is null;

create or replace view ops.findings with (security_invoker = true) as
select f.rule, f.object, f.detail
from (
    select * from ops.table_findings
    union all select * from ops.key_findings
    union all select * from ops.grant_findings
    union all select * from ops.function_findings
    union all select * from ops.comment_findings
    union all select * from ops.glass_findings
    union all
    select 'waiver', w.object, 'waived, but there is no such table'
    from ops.waivers w where w.rule in ('global table', 'audit trigger') and not exists (select from ops.tables t where t.name = w.object)
) f
where not exists (select from ops.waivers w where w.rule = f.rule and w.object = f.object);

reset role;
