set local role app_owner;

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

insert into ops.waivers (rule, object, reason)
values ('search path', 'ops.forget_jobs(uuid)', 'The triggers of the queue look for their tables in jobs; it runs with its caller''s rights.');
alter function ops.forget_jobs(uuid) set search_path = jobs, pg_temp;

do $$
declare
    function regprocedure;
begin
    for function in
        select p.oid
        from pg_catalog.pg_proc p join pg_catalog.pg_namespace n on n.oid = p.pronamespace
        where n.nspname = 'jobs' and p.proname like 'procrastinate\_%'
    loop
        execute format('alter function %s reset search_path', function);
    end loop;
end
$$;

do $$
declare
    field record;
begin
    for field in
        select c.oid::regclass as view_name, a.attname
        from pg_catalog.pg_class c
        join pg_catalog.pg_namespace n on n.oid = c.relnamespace
        join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum > 0
        where c.relkind = 'v' and n.nspname in ('ops', 'usage')
    loop
        execute format('comment on column %s.%I is null', field.view_name, field.attname);
    end loop;
end
$$;

reset role;
