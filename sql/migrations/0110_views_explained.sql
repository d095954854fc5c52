-- depends: 0102_closing_by_index
-- Every column of a view says what it is, and every function of the queue looks for its tables where they are; the lint asks for both.

set local role app_owner;

comment on column usage.counted.organization_id is 'Whose requests.';
comment on column usage.counted.billed_month is 'Month in which they are billed, by its first day.';
comment on column usage.counted.day is 'Day (UTC) on which they were made.';
comment on column usage.counted.api_key_id is 'The key that they came with.';
comment on column usage.counted.endpoint is 'Template of the route.';
comment on column usage.counted.method is 'HTTP method.';
comment on column usage.counted.plan is 'Plan in force when they were made.';
comment on column usage.counted.status_class is 'First digit of the HTTP status.';
comment on column usage.counted.requests is 'How many; 1 for a record that is not rolled up yet.';
comment on column usage.counted.billable is 'How many of them are charged.';
comment on column ops.tables.table_id is 'The table''s oid.';
comment on column ops.tables.schema_name is 'Its schema.';
comment on column ops.tables.name is 'Schema and table.';
comment on column ops.tables.is_partition is 'Whether it is a partition of another one.';
comment on column ops.tables.kind is 'tenant, directory, queue, operations, or global when a waiver says so.';
comment on column ops.rls_coverage.name is 'Schema and table.';
comment on column ops.rls_coverage.kind is 'As ops.tables says.';
comment on column ops.rls_coverage.is_partition is 'Whether it is a partition of another one.';
comment on column ops.rls_coverage.has_row_security is 'Whether row security is on.';
comment on column ops.rls_coverage.is_forced is 'Whether it binds the owner too.';
comment on column ops.rls_coverage.has_canonical_policies is 'Whether the policies are exactly the canonical pair.';
comment on column ops.rls_coverage.policies is 'Names of the policies that are there.';
comment on column ops.rls_coverage.verdict is 'secured, not a tenant table, or OPEN and why.';
comment on column ops.role_reach.role is 'The role.';
comment on column ops.role_reach.can_login is 'Whether it may log in.';
comment on column ops.role_reach.is_superuser is 'Whether nothing binds it.';
comment on column ops.role_reach.bypasses_row_security is 'Whether it has BYPASSRLS.';
comment on column ops.role_reach.reaches is 'Every role that it is a member of, directly or not.';
comment on column ops.role_reach.verdict is 'bound by row security, privileged by design, or UNSAFE and why.';
comment on column ops.definer_functions.function is 'Schema, name and argument types.';
comment on column ops.definer_functions.owner is 'The role whose rights it runs with.';
comment on column ops.definer_functions.has_pinned_search_path is 'Whether the caller''s search_path is kept out.';
comment on column ops.definer_functions.verdict is 'reviewed, or what is wrong with it.';
comment on column ops.definer_functions.reason is 'Why it must run with its owner''s rights, from ops.reviewed_functions.';
comment on column ops.constraint_shape.table_name is 'Schema and table.';
comment on column ops.constraint_shape.name is 'The constraint''s or the index''s name.';
comment on column ops.constraint_shape.kind is 'primary key, unique, index or foreign key.';
comment on column ops.constraint_shape.columns is 'Its columns in order.';
comment on column ops.constraint_shape.referenced_table is 'What a foreign key leads to; null for anything else.';
comment on column ops.constraint_shape.referenced_columns is 'The columns that it leads to, in the same order.';
comment on column ops.grants.role is 'Who holds the right; null means everybody.';
comment on column ops.grants.kind is 'table (views and sequences too), function, schema or database.';
comment on column ops.grants.object is 'What the right is on.';
comment on column ops.grants.rights is 'The rights, with columns in brackets when they are not on all of them; * means that they can be passed on.';
comment on column ops.partitions.table_name is 'The partitioned table.';
comment on column ops.partitions.partition is 'The partition''s name.';
comment on column ops.partitions.bounds is 'From and to, as PostgreSQL prints them.';
comment on column ops.partitions.bytes is 'Its size with indexes and toast.';
comment on column ops.usage_reconciliation.number is 'The invoice''s number; null while it has none.';
comment on column ops.usage_reconciliation.period_start is 'Begin of the month.';
comment on column ops.usage_reconciliation.invoiced is 'Requests on the invoice.';
comment on column ops.usage_reconciliation.recorded is 'Billable requests by the roll-ups and the records since.';
comment on column ops.usage_reconciliation.difference is 'Invoiced less recorded: 0 when they agree.';
comment on column ops.invoice_reconciliation.number is 'The invoice''s number; null while it has none.';
comment on column ops.invoice_reconciliation.month is 'Its month, by the first day.';
comment on column ops.invoice_reconciliation.status is 'Status of the invoice.';
comment on column ops.invoice_reconciliation.invoiced is 'Requests on the invoice.';
comment on column ops.invoice_reconciliation.recorded is 'Billable requests by the raw records; null where their partition was detached.';
comment on column ops.invoice_reconciliation.difference is 'Invoiced less recorded: 0 when they agree.';
comment on column ops.invoice_reconciliation.invoiced_minor is 'Sum of the lines as they were written, in minor units.';
comment on column ops.invoice_reconciliation.recomputed_minor is 'What the month costs computed anew, in minor units.';
comment on column ops.invoice_reconciliation.difference_minor is 'Written less computed: 0 when they agree.';
comment on column ops.payment_reconciliation.number is 'The invoice''s number; null while it has none.';
comment on column ops.payment_reconciliation.status is 'Status of the invoice.';
comment on column ops.payment_reconciliation.total_amount_minor is 'What it asks for, in minor units.';
comment on column ops.payment_reconciliation.paid_minor is 'What it says is paid, in minor units.';
comment on column ops.payment_reconciliation.received_minor is 'What its payments brought, less what went back, in minor units of the invoice''s currency.';
comment on column ops.payment_reconciliation.difference is 'Paid less received: 0 when they agree.';
comment on column ops.event_reconciliation.provider is 'stripe or paystack.';
comment on column ops.event_reconciliation.reference is 'The payment''s reference at the provider.';
comment on column ops.event_reconciliation.status is 'Status of the payment.';
comment on column ops.event_reconciliation.succeeded_minor is 'What it brought, in minor units.';
comment on column ops.event_reconciliation.events is 'How many of the provider''s events speak of it.';
comment on column ops.event_reconciliation.difference is 'What one side knows and the other does not; null when they agree.';
comment on column ops.webhook_reconciliation.provider is 'stripe or paystack.';
comment on column ops.webhook_reconciliation.outcome is 'What became of the events; null while they wait.';
comment on column ops.webhook_reconciliation.events is 'How many.';
comment on column ops.webhook_reconciliation.waiting_since is 'When the oldest that no job has handled came in.';

do $$
declare
    part text;
begin
    foreach part in array array['table', 'key', 'grant', 'function', 'comment', 'glass'] loop
        execute format('comment on column ops.%I.rule is %L', part || '_findings', 'Name of the broken rule.');
        execute format('comment on column ops.%I.object is %L', part || '_findings', 'What breaks it.');
        execute format('comment on column ops.%I.detail is %L', part || '_findings', 'How it breaks it.');
    end loop;
end
$$;
comment on column ops.findings.rule is 'Name of the broken rule.';
comment on column ops.findings.object is 'What breaks it; a row of ops.waivers with this rule and this object excuses it.';
comment on column ops.findings.detail is 'How it breaks it.';

-- Their text stays as Procrastinate ships it. All are plpgsql, so none was inlined: a call takes a microsecond more.
do $$
declare
    function regprocedure;
begin
    for function in
        select p.oid
        from pg_catalog.pg_proc p join pg_catalog.pg_namespace n on n.oid = p.pronamespace
        where n.nspname = 'jobs' and p.proname like 'procrastinate\_%'
    loop
        execute format('alter function %s set search_path = jobs, pg_temp', function);
    end loop;
end
$$;

-- The queue's triggers find their tables by themselves now.
alter function ops.forget_jobs(uuid) set search_path = '';
delete from ops.waivers where rule = 'search path' and object = 'ops.forget_jobs(uuid)';

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
    and c.relkind in ('r', 'p', 'f', 'v', 'm') and not c.relispartition and pg_catalog.col_description(c.oid, a.attnum) is null
union all
select 'comment', format('%s.%s(%s)', n.nspname, p.proname, pg_catalog.oidvectortypes(p.proargtypes)), 'a function without a comment'
from pg_catalog.pg_proc p join pg_catalog.pg_namespace n on n.oid = p.pronamespace
where n.nspname not in ('pg_catalog', 'information_schema') and pg_catalog.obj_description(p.oid, 'pg_proc') is null
union all
select 'comment', format('%s on %s', p.polname, t.name), 'a policy without a comment'
from pg_catalog.pg_policy p join ops.tables t on t.table_id = p.polrelid
where pg_catalog.obj_description(p.oid, 'pg_policy') is null;

reset role;
