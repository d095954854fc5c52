-- Distributes a migrated installation by organization_id on Citus. EXPERIMENTAL: read README.md beside this file first.
-- Run once on the coordinator, as app_owner with LOGIN from the cluster's nodes, before the first organization exists.

-- Session settings travel with each statement's transaction to the workers: the context is one of them.
alter role app_api set citus.propagate_set_commands = 'local';
alter role app_worker set citus.propagate_set_commands = 'local';
alter role app_auditor set citus.propagate_set_commands = 'local';

-- Reference tables are copied to every node: small, read in joins with tenant tables, written rarely.
select create_reference_table('billing.plans');
select create_reference_table('usage.closed_months');

-- Every tenant table by organization_id, colocated: one organization's rows of all tables are on one node.
-- The list comes from the catalog, referenced tables first, so that no foreign key ever leads to a table not yet distributed.
do $$
declare
    tenant_table text;
begin
    for tenant_table in
        with recursive depth (name, level) as (
            select t.name, 0 from ops.tables t where t.kind = 'tenant' and not t.is_partition
            union
            select s.table_name, d.level + 1
            from depth d
            join ops.constraint_shape s on s.referenced_table = d.name and s.kind = 'foreign key' and s.table_name <> d.name
            join ops.tables t on t.name = s.table_name and not t.is_partition
            where d.level < 20
        )
        select name from depth group by name order by max(level), name
    loop
        perform create_distributed_table(tenant_table::regclass, 'organization_id', colocate_with =>
            case tenant_table when 'audit.accesses' then 'default' else 'audit.accesses' end);
    end loop;
end
$$;

-- Local tables stay on the coordinator but are known to the cluster, so that one transaction can hold a tenant's row and its job, or an
-- organization's erasure and its certificate. Whatever was not decided above is local.
select citus_add_local_table_to_metadata(t.table_id::regclass)
from ops.tables t
where t.kind in ('queue', 'directory') or t.kind = 'global' and t.name not in ('billing.plans', 'usage.closed_months');
