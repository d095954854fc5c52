set local role app_owner;

create or replace function usage.open_month(at_time timestamptz) returns date
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

reset role;

create or replace function usage.record(
    organization_ids uuid[], ids uuid[], api_key_ids uuid[], endpoints text[], methods text[],
    status_codes integer[], durations_us bigint[], plans text[], billables boolean[], occurred_ats timestamptz[]
) returns integer
language plpgsql security definer
set search_path = pg_catalog, pg_temp
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
