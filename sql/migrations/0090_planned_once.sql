-- depends: 0088_cheaper_records
-- What reads usage leaves out, when it begins, the partitions that hold nothing for it; no month is closed before it begins,
-- so that whoever reads knows the last one that a request can be billed in.

set local role app_owner;

-- In a language that keeps its plan: every request that is recorded asks twice.
create or replace function usage.first_open_month() returns date
language plpgsql stable
set search_path = ''
as $$
begin
    return (select coalesce((max(c.month) + interval '1 month')::date, date '-infinity') from usage.closed_months c);
end
$$;

create or replace function usage.close_month(closing date, at_time timestamptz) returns integer
language plpgsql
set search_path = ''
as $$
declare
    first_month date := greatest(usage.first_open_month(), (closing - interval '10 years')::date);
    newly_closed integer;
begin
    if closing > (at_time at time zone 'utc')::date then
        raise exception 'the month % has not begun', closing using errcode = 'USG03';
    end if;
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

create or replace function billing.rated(organization uuid, month date, supposed_plan text, supposed_at timestamptz) returns table (
    made_in date, plan text, rank integer, included bigint, overage_minor bigint, overage_per bigint, made bigint, over bigint, amount_minor bigint
)
language plpgsql stable
set search_path = '' set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
    -- Known before the statement below begins, which then opens no partition of an earlier month when nothing came late.
    first_late date := (
        select date_trunc('month', min(late.day)::timestamp)::date
        from (
            select min(d.day) as day
            from usage.daily_usage d
            where d.organization_id = rated.organization and d.billed_month = rated.month and d.day < rated.month and d.billable > 0
            union all
            select (min(u.occurred_at) at time zone 'utc')::date
            from usage.usage_records u
            where u.organization_id = rated.organization and u.billed_month = rated.month and u.is_billable
              and u.occurred_at >= usage.counted_until() and u.occurred_at < rated.month::timestamp at time zone 'utc'
        ) late
    );
begin
    return query
    with billed as (
        select u.day, u.plan, sum(u.billable)::bigint as made
        from usage.counted u
        where u.organization_id = rated.organization and u.billed_month = rated.month and u.billable > 0
        group by 1, 2
    ),
    -- Late records are rated on top of what their own month was billed for already.
    earlier as (
        select u.day, u.plan, sum(u.billable)::bigint as made
        from usage.counted u
        where u.organization_id = rated.organization and u.billable > 0
          and u.billed_month >= first_late and u.billed_month < rated.month
        group by 1, 2
    ),
    days as (
        select date_trunc('month', b.day::timestamp)::date as made_in, b.day, b.plan, b.made, 0::bigint as made_before from billed b
        union all
        select date_trunc('month', e.day::timestamp)::date, e.day, e.plan, 0, e.made from earlier e
    ),
    terms as (
        select m.made_in, t.*
        from (select distinct d.made_in from days d) m
        cross join lateral billing.terms(rated.organization, m.made_in, supposed_plan, supposed_at) t
    ),
    -- A plan that holds no day of the month (left on its first one) has no included requests: the plan of the day rates them.
    sums as (
        select d.made_in, coalesce(held.plan, billing.plan_on(rated.organization, d.day, supposed_plan, supposed_at), d.plan) as plan,
               sum(d.made)::bigint as made, sum(d.made_before)::bigint as made_before
        from days d
        left join terms held on held.made_in = d.made_in and held.plan = d.plan and held.days > 0
        group by 1, 2
    )
    select s.made_in, s.plan, t.rank, t.included, t.overage_minor, t.overage_per, s.made, o.after - o.before,
           billing.rounded(o.after * t.overage_minor, t.overage_per) - billing.rounded(o.before * t.overage_minor, t.overage_per)
    from sums s
    join terms t on t.made_in = s.made_in and t.plan = s.plan
    cross join lateral (
        select case when t.included is null or t.overage_minor = 0 then 0 else greatest(0, s.made_before + s.made - t.included) end as after,
               case when t.included is null or t.overage_minor = 0 then 0 else greatest(0, s.made_before - t.included) end as before
    ) o
    where s.made > 0;
end
$$;

reset role;
