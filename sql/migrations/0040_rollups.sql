-- depends: 0031_job_boundary
-- Usage counted by the hour and by the day: whole hours once by a job, what comes late by the record itself.

set local role app_owner;

create table usage.rolled_up (
    id            boolean not null default true,
    sealed_until  timestamptz not null,
    counted_until timestamptz not null,
    constraint rolled_up_pkey primary key (id),
    constraint rolled_up_id_check check (id),
    constraint rolled_up_order_check check (counted_until <= sealed_until)
);
comment on table usage.rolled_up is 'How far usage is rolled up, for the whole installation: one row.';
comment on column usage.rolled_up.id is 'Always true: there is one row.';
comment on column usage.rolled_up.sealed_until is 'Hours before this one take no more records without a look at counted_until.';
comment on column usage.rolled_up.counted_until is 'Requests made before this hour are in the roll-ups; those since are read from the records.';
insert into usage.rolled_up (sealed_until, counted_until) values ('-infinity', '-infinity');

create table usage.hourly_usage (
    organization_id uuid not null,
    billed_month    date not null,
    hour            timestamptz not null,
    api_key_id      uuid not null,
    endpoint        text not null,
    method          text not null,
    plan            text not null,
    status_class    integer not null,
    requests        bigint not null,
    billable        bigint not null,
    duration_us     bigint not null,
    constraint hourly_usage_pkey primary key (organization_id, billed_month, hour, api_key_id, endpoint, method, plan, status_class)
);
comment on table usage.hourly_usage is 'Requests by the hour they were made in, and all that an answer is told apart by.';
comment on column usage.hourly_usage.hour is 'Beginning of the hour, UTC.';

create table usage.daily_usage (
    organization_id uuid not null,
    billed_month    date not null,
    day             date not null,
    api_key_id      uuid not null,
    endpoint        text not null,
    method          text not null,
    plan            text not null,
    status_class    integer not null,
    requests        bigint not null,
    billable        bigint not null,
    duration_us     bigint not null,
    constraint daily_usage_pkey primary key (organization_id, billed_month, day, api_key_id, endpoint, method, plan, status_class)
);
comment on table usage.daily_usage is 'Requests by the UTC day they were made on: the sums of usage.hourly_usage.';
comment on column usage.daily_usage.day is 'UTC day.';

do $$
declare
    rollup text;
begin
    foreach rollup in array array['usage.hourly_usage', 'usage.daily_usage']
    loop
        execute format('comment on column %s.organization_id is %L', rollup, 'Who made the requests.');
        execute format('comment on column %s.billed_month is %L', rollup, 'First day of the month they are invoiced in.');
        execute format('comment on column %s.api_key_id is %L', rollup, 'Key that signed them.');
        execute format('comment on column %s.endpoint is %L', rollup, 'Template of the route.');
        execute format('comment on column %s.method is %L', rollup, 'HTTP method.');
        execute format('comment on column %s.plan is %L', rollup, 'Plan in force when they were made.');
        execute format('comment on column %s.status_class is %L', rollup, 'First digit of the HTTP status.');
        execute format('comment on column %s.requests is %L', rollup, 'How many.');
        execute format('comment on column %s.billable is %L', rollup, 'How many of them are charged.');
        execute format('comment on column %s.duration_us is %L', rollup, 'Sum of the times until the answer, in microseconds.');
        perform app.secure_tenant_table(rollup::regclass);
        execute format('grant select on %s to app_rw, app_ro', rollup);
        execute format('grant select, insert, update on %s to usage_recorder', rollup);
        execute format('grant select, insert, update, delete on %s to app_breakglass', rollup);
        insert into ops.waivers (rule, object, reason)
        values ('audit trigger', rollup, 'Sums of the records, which are their own trail; a job compares them every night.');
    end loop;
end
$$;
insert into ops.waivers (rule, object, reason)
values ('global table', 'usage.rolled_up', 'Hours are counted for the whole installation; the row names no organization.');

create view usage.counted with (security_invoker = true) as
select d.organization_id, d.billed_month, d.day, d.api_key_id, d.endpoint, d.method, d.plan, d.status_class, d.requests, d.billable
from usage.daily_usage d
union all
select u.organization_id, u.billed_month, (u.occurred_at at time zone 'utc')::date, u.api_key_id, u.endpoint, u.method, u.plan,
       u.status_code / 100, 1::bigint, u.is_billable::integer::bigint
from usage.usage_records u
where u.occurred_at >= (select r.counted_until from usage.rolled_up r);
comment on view usage.counted is
    'Every request once: the days of the roll-ups, and the records that are not rolled up yet. Sums over it equal sums over the records.';

create function usage.add_late() returns trigger
language plpgsql
set search_path = ''
as $$
begin
    if current_setting('transaction_isolation') <> 'read committed' then
        raise exception 'usage is recorded in read committed transactions' using errcode = 'USG01';
    end if;
    -- Whoever seals an hour waits for this transaction; whoever is after the seal sees it in the next statement.
    perform pg_advisory_xact_lock_shared(7266000001);
    if not exists (select from added a where a.occurred_at < (select r.sealed_until from usage.rolled_up r)) then
        return null;
    end if;
    -- Late: an hour that is being counted at this moment is waited for.
    perform pg_advisory_xact_lock_shared(7266000002);
    with late as (
        select a.organization_id, a.billed_month, date_trunc('hour', a.occurred_at, 'UTC') as hour, a.api_key_id, a.endpoint, a.method, a.plan,
               a.status_code / 100 as status_class, count(*) as requests, count(*) filter (where a.is_billable) as billable,
               sum(a.duration_us)::bigint as duration_us
        from added a
        where a.occurred_at < (select r.counted_until from usage.rolled_up r)
        group by 1, 2, 3, 4, 5, 6, 7, 8
    ),
    hours as (
        insert into usage.hourly_usage as h
            (organization_id, billed_month, hour, api_key_id, endpoint, method, plan, status_class, requests, billable, duration_us)
        select l.organization_id, l.billed_month, l.hour, l.api_key_id, l.endpoint, l.method, l.plan, l.status_class, l.requests, l.billable,
               l.duration_us
        from late l
        order by 1, 2, 3, 4, 5, 6, 7, 8
        on conflict (organization_id, billed_month, hour, api_key_id, endpoint, method, plan, status_class) do update
        set requests = h.requests + excluded.requests, billable = h.billable + excluded.billable,
            duration_us = h.duration_us + excluded.duration_us
    )
    insert into usage.daily_usage as d
        (organization_id, billed_month, day, api_key_id, endpoint, method, plan, status_class, requests, billable, duration_us)
    select l.organization_id, l.billed_month, (l.hour at time zone 'utc')::date, l.api_key_id, l.endpoint, l.method, l.plan, l.status_class,
           sum(l.requests)::bigint, sum(l.billable)::bigint, sum(l.duration_us)::bigint
    from late l
    group by 1, 2, 3, 4, 5, 6, 7, 8
    order by 1, 2, 3, 4, 5, 6, 7, 8
    on conflict (organization_id, billed_month, day, api_key_id, endpoint, method, plan, status_class) do update
    set requests = d.requests + excluded.requests, billable = d.billable + excluded.billable,
        duration_us = d.duration_us + excluded.duration_us;
    return null;
end
$$;
comment on function usage.add_late() is
    'Adds records of hours that are rolled up already to their hour and day, in the transaction that writes them.';
create trigger usage_records_add_late after insert on usage.usage_records
    referencing new table as added for each statement execute function usage.add_late();
alter table usage.usage_records enable always trigger usage_records_add_late;

create function usage.seal_hours(at_time timestamptz) returns timestamptz
language plpgsql
set search_path = ''
as $$
declare
    sealed timestamptz;
begin
    -- Waits for the recorders under way, who may have found the hour open; new ones wait behind for as long as that takes.
    perform set_config('lock_timeout', '2s', true);
    perform pg_advisory_xact_lock(7266000001);
    update usage.rolled_up r
    set sealed_until = greatest(r.sealed_until, date_trunc('hour', at_time, 'UTC'))
    returning r.sealed_until into sealed;
    return sealed;
end
$$;
comment on function usage.seal_hours(timestamptz) is
    'Declares every whole hour before a time sealed: a record made in one is from now on late. A transaction of its own; returns where open hours begin.';

create function usage.count_hours() returns boolean
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    mark usage.rolled_up;
    first_hour timestamptz;
    next_hour timestamptz;
begin
    -- One counter at a time, and no late record in between.
    perform pg_advisory_xact_lock(7266000002);
    select r.* into mark from usage.rolled_up r;
    if mark.counted_until >= mark.sealed_until then
        return false;
    end if;
    first_hour := mark.counted_until;
    if first_hour = '-infinity' then
        select coalesce(date_trunc('hour', min(u.occurred_at), 'UTC'), mark.sealed_until) into first_hour from usage.usage_records u;
    end if;
    next_hour := least(mark.sealed_until, first_hour + interval '1 day');
    with hours as (
        insert into usage.hourly_usage
            (organization_id, billed_month, hour, api_key_id, endpoint, method, plan, status_class, requests, billable, duration_us)
        select o.organization_id, c.billed_month, c.hour, c.api_key_id, c.endpoint, c.method, c.plan, c.status_class, c.requests, c.billable,
               c.duration_us
        from tenancy.organizations o
        cross join lateral (
            select u.billed_month, date_trunc('hour', u.occurred_at, 'UTC') as hour, u.api_key_id, u.endpoint, u.method, u.plan,
                   u.status_code / 100 as status_class, count(*) as requests, count(*) filter (where u.is_billable) as billable,
                   sum(u.duration_us)::bigint as duration_us
            from usage.usage_records u
            where u.organization_id = o.organization_id and u.occurred_at >= first_hour and u.occurred_at < next_hour
              and u.billed_month >= date_trunc('month', first_hour at time zone 'utc')::date
            group by 1, 2, 3, 4, 5, 6, 7
        ) c
        returning *
    )
    insert into usage.daily_usage as d
        (organization_id, billed_month, day, api_key_id, endpoint, method, plan, status_class, requests, billable, duration_us)
    select h.organization_id, h.billed_month, (h.hour at time zone 'utc')::date, h.api_key_id, h.endpoint, h.method, h.plan, h.status_class,
           sum(h.requests)::bigint, sum(h.billable)::bigint, sum(h.duration_us)::bigint
    from hours h
    group by 1, 2, 3, 4, 5, 6, 7, 8
    on conflict (organization_id, billed_month, day, api_key_id, endpoint, method, plan, status_class) do update
    set requests = d.requests + excluded.requests, billable = d.billable + excluded.billable,
        duration_us = d.duration_us + excluded.duration_us;
    update usage.rolled_up r set counted_until = next_hour where r.id;
    return next_hour < mark.sealed_until;
end
$$;
comment on function usage.count_hours() is
    'Counts sealed hours, a day of them at most, in one transaction with the mark that says so: a killed or repeated run counts nothing twice. Returns whether more wait.';

create function usage.differences(organization uuid, first_day date) returns table (
    rollup text, since timestamptz, api_key_id uuid, endpoint text, method text, plan text, status_class integer, recorded bigint, rolled_up bigint
)
language sql stable
set search_path = ''
as $$
    with recorded as (
        select u.billed_month, date_trunc('hour', u.occurred_at, 'UTC') as hour, u.api_key_id, u.endpoint, u.method, u.plan,
               u.status_code / 100 as status_class, count(*) as requests, count(*) filter (where u.is_billable) as billable
        from usage.usage_records u
        where u.organization_id = differences.organization and u.occurred_at >= first_day::timestamp at time zone 'utc'
          and u.occurred_at < (select r.counted_until from usage.rolled_up r)
          and u.billed_month >= date_trunc('month', first_day::timestamp)::date
        group by 1, 2, 3, 4, 5, 6, 7
    ),
    hours as (
        select h.* from usage.hourly_usage h
        where h.organization_id = differences.organization and h.hour >= first_day::timestamp at time zone 'utc'
          and h.billed_month >= date_trunc('month', first_day::timestamp)::date
    ),
    by_day as (
        select r.billed_month, (r.hour at time zone 'utc')::date as day, r.api_key_id, r.endpoint, r.method, r.plan, r.status_class,
               sum(r.requests)::bigint as requests, sum(r.billable)::bigint as billable
        from recorded r
        group by 1, 2, 3, 4, 5, 6, 7
    ),
    days as (
        select d.* from usage.daily_usage d
        where d.organization_id = differences.organization and d.day >= first_day
          and d.billed_month >= date_trunc('month', first_day::timestamp)::date
    )
    select 'hour', hour, api_key_id, endpoint, method, plan, status_class, coalesce(r.requests, 0), coalesce(h.requests, 0)
    from recorded r full join hours h using (billed_month, hour, api_key_id, endpoint, method, plan, status_class)
    where (r.requests, r.billable) is distinct from (h.requests, h.billable)
    union all
    select 'day', day::timestamp at time zone 'utc', api_key_id, endpoint, method, plan, status_class, coalesce(r.requests, 0), coalesce(d.requests, 0)
    from by_day r full join days d using (billed_month, day, api_key_id, endpoint, method, plan, status_class)
    where (r.requests, r.billable) is distinct from (d.requests, d.billable);
$$;
comment on function usage.differences(uuid, date) is
    'Where the roll-ups of an organization differ from its records since a day; nothing when all of it agrees. Days whose records were detached are not compared.';

create function usage.detach_partition(month date) returns boolean
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    partition text := 'usage_records_' || to_char(month, 'YYYY_MM');
    field record;
begin
    if not exists (select from pg_catalog.pg_class c where c.oid = to_regclass('usage.' || partition) and c.relispartition) then
        return false;
    end if;
    if month >= usage.first_open_month() or (month + interval '1 month') at time zone 'utc' > (select r.counted_until from usage.rolled_up r) then
        raise exception 'the month % is not closed and rolled up', month using errcode = 'USG02';
    end if;
    perform set_config('lock_timeout', '2s', true);
    execute format('alter table usage.usage_records detach partition usage.%I', partition);
    execute format('alter table usage.%I rename constraint usage_records_api_key_id_fkey to %I', partition, partition || '_api_key_id_fkey');
    for field in
        select a.attname, pg_catalog.col_description(a.attrelid, a.attnum) as sentence
        from pg_catalog.pg_attribute a
        where a.attrelid = 'usage.usage_records'::regclass and a.attnum > 0 and not a.attisdropped
    loop
        execute format('comment on column usage.%I.%I is %L', partition, field.attname, field.sentence);
    end loop;
    insert into ops.waivers (rule, object, reason)
    values ('audit trigger', 'usage.' || partition, 'Detached by retention; its sums stay in the roll-ups.');
    return true;
end
$$;
comment on function usage.detach_partition(date) is
    'Takes a closed, rolled up month out of the records: its sums stay, its table is a DBA''s to store away or to drop. False when it is out already.';

create or replace view ops.usage_reconciliation with (security_invoker = true) as
select c.number, c.period_start, c.total_requests as invoiced, counted.requests as recorded, c.total_requests - counted.requests as difference
from billing.billing_cycles c
cross join lateral (
    select coalesce(sum(u.billable), 0)::bigint as requests
    from usage.counted u
    where u.organization_id = c.organization_id and u.billed_month = (c.period_start at time zone 'utc')::date
) counted
where c.organization_id = app.current_org_id();

revoke execute on function usage.add_late(), usage.seal_hours(timestamptz), usage.count_hours(), usage.differences(uuid, date),
    usage.detach_partition(date) from public;
grant select on usage.rolled_up, usage.counted to app_rw, app_ro;
grant select on usage.rolled_up to usage_recorder;
grant update (sealed_until) on usage.rolled_up to app_worker;
grant update (counted_until) on usage.rolled_up to usage_recorder;
grant select on usage.usage_records to usage_recorder;
grant select (organization_id) on tenancy.organizations to usage_recorder;
grant execute on function usage.seal_hours(timestamptz), usage.detach_partition(date) to app_worker;
grant execute on function usage.count_hours() to app_worker;
grant execute on function usage.differences(uuid, date) to app_rw, app_ro;

insert into ops.reviewed_functions (function, owner, reason) values
    ('usage.count_hours()', 'usage_recorder',
     'Sums the records of all organizations, each into rows of its own; takes no argument, and no caller can write a sum by hand.'),
    ('usage.detach_partition(date)', 'app_owner',
     'Only the owner of a table can take a month out of it; refuses one that is open or not rolled up, and drops nothing.');

reset role;
call app.hand_over('usage.count_hours()'::regprocedure, 'usage_recorder');
