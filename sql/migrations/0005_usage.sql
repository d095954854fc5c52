-- depends: 0004_tenancy
-- One record for each answered request, counted in the month that was open when it arrived.

set local role app_owner;

create schema usage;
comment on schema usage is 'Metered requests and what is counted from them.';

create table usage.closed_months (
    month     date not null,
    closed_at timestamptz not null,
    listed_at timestamptz,
    constraint closed_months_pkey primary key (month),
    constraint closed_months_month_check check (extract(day from month) = 1)
);
comment on column usage.closed_months.listed_at is 'When every organization had its closing job; null until then.';

create table usage.usage_records (
    organization_id uuid not null,
    id              uuid not null,
    billed_month    date not null,
    api_key_id      uuid not null,
    endpoint        text not null,
    method          text not null,
    status_code     integer not null,
    duration_us     bigint not null,
    plan            text not null,
    is_billable     boolean not null,
    occurred_at     timestamptz not null,
    created_at      timestamptz not null default now(),
    constraint usage_records_pkey primary key (organization_id, billed_month, id),
    constraint usage_records_api_key_id_fkey foreign key (organization_id, api_key_id) references tenancy.api_keys (organization_id, id)
) partition by range (billed_month);
create index usage_records_occurred_at_idx on usage.usage_records (organization_id, occurred_at);
create index usage_records_api_key_id_idx on usage.usage_records (organization_id, api_key_id, occurred_at);

create function usage.create_partition(first_day date) returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    partition text := 'usage_records_' || to_char(first_day, 'YYYY_MM');
begin
    if to_regclass('usage.' || partition) is not null then
        return;
    end if;
    execute format('create table usage.%I partition of usage.usage_records for values from (%L) to (%L)',
        partition, first_day, (first_day + interval '1 month')::date);
    execute format('comment on table usage.%I is %L', partition, 'Usage billed in the month from ' || first_day || '.');
    perform app.secure_tenant_table(format('usage.%I', partition)::regclass);
end
$$;
comment on function usage.create_partition(date) is 'The partition of a month, secured like its parent; nothing when it exists.';

-- Twenty-four months back, for histories that are brought along, and three ahead; a job makes the next ones.
do $$ begin
    perform usage.create_partition((date_trunc('month', now() at time zone 'utc') + make_interval(months => n))::date)
    from generate_series(-24, 3) as n;
end $$;
create table usage.usage_records_default partition of usage.usage_records default;
comment on table usage.usage_records_default is 'Months without a partition of their own: nothing is lost when the job that makes them is late.';
do $$ begin perform app.secure_tenant_table('usage.usage_records_default'); end $$;

create function usage.first_open_month() returns date
language sql stable
set search_path = ''
as $$
    select coalesce((max(month) + interval '1 month')::date, date '-infinity') from usage.closed_months;
$$;
comment on function usage.first_open_month() is 'The earliest month that still takes records: closed months never reopen.';

create function usage.month_lock(month date) returns bigint
language sql immutable
set search_path = ''
as $$
    select 7267000000 + extract(year from month)::bigint * 100 + extract(month from month)::bigint;
$$;
comment on function usage.month_lock(date) is 'Key of the advisory lock of a month: recorders share it, closing takes it alone.';

create function usage.open_month(at_time timestamptz) returns date
language plpgsql
set search_path = ''
as $$
declare
    month date;
begin
    loop
        month := greatest(date_trunc('month', at_time at time zone 'utc')::date, usage.first_open_month());
        perform pg_advisory_xact_lock_shared(usage.month_lock(month));
        exit when usage.first_open_month() <= month;
    end loop;
    return month;
end
$$;
comment on function usage.open_month(timestamptz) is
    'The month in which a request made then is billed, held open until the end of this transaction.';

create function usage.close_month(closing date, at_time timestamptz) returns integer
language plpgsql
set search_path = ''
as $$
declare
    first_month date := greatest(usage.first_open_month(), (closing - interval '10 years')::date);
    newly_closed integer;
begin
    -- Every month up to this one, in the order in which recorders take their locks: nobody still writes to an earlier one.
    perform pg_advisory_xact_lock(usage.month_lock(month::date))
    from generate_series(first_month::timestamp, closing::timestamp, interval '1 month') as month;
    insert into usage.closed_months (month, closed_at)
    select month::date, at_time
    from generate_series(
        case when exists (select from usage.closed_months) then first_month else closing end::timestamp, closing::timestamp, interval '1 month'
    ) as month
    on conflict (month) do nothing;
    get diagnostics newly_closed = row_count;
    return newly_closed;
end
$$;
comment on function usage.close_month(date, timestamptz) is
    'Waits for the recorders of a month and of those before it, then closes them for the whole installation; closing again changes nothing. Returns how many it closed.';

create function usage.record(
    organization_ids uuid[], ids uuid[], api_key_ids uuid[], endpoints text[], methods text[],
    status_codes integer[], durations_us bigint[], plans text[], billables boolean[], occurred_ats timestamptz[]
) returns integer
language plpgsql security definer
set search_path = ''
as $$
declare
    written integer;
begin
    with months as (
        select distinct date_trunc('month', occurred_at at time zone 'utc') as calendar_month from unnest(occurred_ats) as occurred_at
    ),
    open_months as materialized (
        select calendar_month, usage.open_month(calendar_month at time zone 'utc') as billed_month
        from (select calendar_month from months order by calendar_month) oldest_first
    )
    insert into usage.usage_records
        (organization_id, id, billed_month, api_key_id, endpoint, method, status_code, duration_us, plan, is_billable, occurred_at)
    select r.organization_id, r.id, m.billed_month, r.api_key_id, r.endpoint, r.method, r.status_code, r.duration_us, r.plan,
           r.is_billable, r.occurred_at
    from unnest(organization_ids, ids, api_key_ids, endpoints, methods, status_codes, durations_us, plans, billables, occurred_ats)
        as r (organization_id, id, api_key_id, endpoint, method, status_code, duration_us, plan, is_billable, occurred_at)
    join open_months m on m.calendar_month = date_trunc('month', r.occurred_at at time zone 'utc')
    on conflict do nothing;
    get diagnostics written = row_count;
    return written;
end
$$;
comment on function usage.record(uuid[], uuid[], uuid[], text[], text[], integer[], bigint[], text[], boolean[], timestamptz[]) is
    'Writes the records of one group of requests, of any organizations, once each; a key of another organization is refused by the foreign key.';

do $$ begin perform app.secure_tenant_table('usage.usage_records'); end $$;

revoke execute on all functions in schema usage from public;
grant usage on schema usage to app_rw, app_ro, usage_recorder;
grant select on usage.usage_records, usage.closed_months to app_rw, app_ro;
grant insert on usage.usage_records to usage_recorder;
grant select on usage.closed_months to usage_recorder;
grant execute on function usage.first_open_month(), usage.month_lock(date), usage.open_month(timestamptz) to usage_recorder;
grant execute on function usage.first_open_month() to app_rw;
grant execute on function usage.record(uuid[], uuid[], uuid[], text[], text[], integer[], bigint[], text[], boolean[], timestamptz[]) to app_rw;
grant execute on function usage.close_month(date, timestamptz), usage.month_lock(date), usage.create_partition(date) to app_worker;
grant insert, update (listed_at) on usage.closed_months to app_worker;

reset role;
call app.hand_over(
    'usage.record(uuid[], uuid[], uuid[], text[], text[], integer[], bigint[], text[], boolean[], timestamptz[])'::regprocedure, 'usage_recorder');
