-- The policies as every shard on every worker has them. Run after distribution and after each shard move: each row is an open shard.
-- Citus 14.0.1 makes the restrictive guard permissive on workers, so "exactly the canonical pair" is the only barrier there.
select nodename, nodeport, result as shard
from run_command_on_workers($command$
    select string_agg(format('%s: %s', c.oid::regclass, p.policies), '; ')
    from pg_class c
    cross join lateral (
        select string_agg(format('%s%s %s', p.polname, case when p.polpermissive then '' else ' restrictive' end,
                   pg_get_expr(p.polqual, p.polrelid)), ', ' order by p.polname) as policies,
               count(*) = 2 and bool_and(
                   pg_get_expr(p.polqual, p.polrelid) is not distinct from '(organization_id = app.current_org_id())'
                   and pg_get_expr(p.polwithcheck, p.polrelid) is not distinct from '(organization_id = app.current_org_id())'
               ) as is_canonical
        from pg_policy p where p.polrelid = c.oid
    ) p
    where c.relname ~ '_[0-9]{6,}$' and exists (select from pg_attribute a where a.attrelid = c.oid and a.attname = 'organization_id')
      and (not c.relrowsecurity or not c.relforcerowsecurity or not coalesce(p.is_canonical, false))
$command$)
where result <> '';
