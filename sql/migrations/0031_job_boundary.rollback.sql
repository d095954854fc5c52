do $$
declare
    queue_table text;
    old_policy record;
begin
    for old_policy in
        select p.polname, format('%I.%I', n.nspname, c.relname) as name
        from pg_catalog.pg_policy p
        join pg_catalog.pg_class c on c.oid = p.polrelid
        join pg_catalog.pg_namespace n on n.oid = c.relnamespace
        where n.nspname = 'jobs'
    loop
        execute format('drop policy %I on %s', old_policy.polname, old_policy.name);
    end loop;
    for queue_table in select name from ops.tables where kind = 'queue'
    loop
        execute format('alter table %s no force row level security', queue_table);
        execute format('alter table %s disable row level security', queue_table);
    end loop;
end
$$;
revoke update on jobs.procrastinate_jobs from app_worker;
grant update on jobs.procrastinate_jobs to app_worker;
revoke select on jobs.procrastinate_jobs from app_ro;
revoke usage on schema jobs from app_ro;
