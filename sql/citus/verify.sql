-- The policies as every shard on every worker has them. Run after distribution and after each shard move: each row is an open shard.
-- Citus 14.0.1 makes the restrictive guard permissive on workers: such a shard is listed as long as that lasts, with "permissive"
-- beside tenant_guard. There "exactly the canonical pair" is the only barrier, so any other word of a row is an alarm.
select nodename, nodeport, result as shards
from run_command_on_workers($command$
    select string_agg(format('%s: %s', c.oid::regclass, coalesce(p.policies, 'no policy')), '; ' order by c.oid::regclass::text)
    from pg_class c
    cross join lateral (
        select string_agg(format('%s %s for %s to %s using %s check %s', p.polname, case when p.polpermissive then 'permissive' else 'restrictive' end,
                   p.polcmd, p.roles, pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid)), ', ' order by p.polname) as policies,
               count(*) = 2 and bool_and(
                   p.polcmd = '*'
                   and pg_get_expr(p.polqual, p.polrelid) is not distinct from '(organization_id = app.current_org_id())'
                   and pg_get_expr(p.polwithcheck, p.polrelid) is not distinct from '(organization_id = app.current_org_id())'
                   and (p.polname, p.polpermissive, p.roles) in (('tenant_access', true, 'app_ro, app_rw'), ('tenant_guard', false, 'public'))
               ) as is_canonical
        from (
            select p.*, (
                select string_agg(case r.id when 0 then 'public' else pg_get_userbyid(r.id) end, ', ' order by pg_get_userbyid(r.id))
                from unnest(p.polroles) as r (id)
            ) as roles
            from pg_policy p where p.polrelid = c.oid
        ) p
    ) p
    where c.relname ~ '_[0-9]{6,}$' and c.relkind in ('r', 'p')
      and exists (select from pg_attribute a where a.attrelid = c.oid and a.attname = 'organization_id')
      and (not c.relrowsecurity or not c.relforcerowsecurity or not coalesce(p.is_canonical, false))
$command$)
where result <> '';
