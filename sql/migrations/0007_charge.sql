-- depends: 0006_billing
-- What a month costs, computed in one place: the API's preview, the closing job and a DBA in psql call the same function.

set local role app_owner;

create function billing.plan_on(organization uuid, day date) returns text
language sql stable
set search_path = ''
as $$
    select s.plan
    from billing.plan_segments s
    where s.organization_id = organization and (s.starts_at at time zone 'utc')::date <= day
    order by s.starts_at desc
    limit 1;
$$;
comment on function billing.plan_on(uuid, date) is
    'The plan that a day is billed on: the last one begun by the end of that UTC day; null before the first.';

create function billing.price_on(wanted_plan text, day date) returns billing.plans
language sql stable
set search_path = ''
as $$
    select p.*
    from billing.plans p
    where p.plan = wanted_plan and p.valid_from <= day
    order by p.valid_from desc
    limit 1;
$$;
comment on function billing.price_on(text, date) is 'The price row of a plan that holds on a day.';

create function billing.charge(organization uuid, month date) returns table (
    "position" integer, kind text, plan text, description text, quantity bigint, unit_minor bigint, unit_per bigint, amount_minor bigint
)
language sql stable
set search_path = ''
as $$
    with bounds as (
        select charge.month as first_day,
               (charge.month + interval '1 month')::date as next_first_day,
               (charge.month + interval '1 month')::date - charge.month as days_in_month
    ),
    plan_days as (
        select billing.plan_on(charge.organization, day::date) as plan, count(*) as days
        from bounds, generate_series(first_day, next_first_day - 1, interval '1 day') as day
        group by 1
    ),
    requests as (
        select u.plan, count(*) as made
        from usage.usage_records u
        where u.organization_id = charge.organization and u.billed_month = charge.month and u.is_billable
        group by u.plan
    ),
    segments as (
        select price.plan, price.rank, coalesce(d.days, 0) as days, b.days_in_month, price.base_minor, price.overage_minor, price.overage_per,
               ceil(price.included * coalesce(d.days, 0) / b.days_in_month::numeric)::bigint as included,
               coalesce(r.made, 0) as made,
               price.base_minor * coalesce(d.days, 0) / b.days_in_month::numeric as exact_base
        from bounds b
        cross join lateral (
            select plan_days.plan from plan_days where plan_days.plan is not null union select requests.plan from requests
        ) used
        cross join lateral billing.price_on(used.plan, b.first_day) price
        left join plan_days d on d.plan = used.plan
        left join requests r on r.plan = used.plan
    ),
    -- Largest remainder: the shares of the base are whole minor units and sum to the rounded exact sum.
    shares as (
        select s.*, floor(exact_base)::bigint + (
            row_number() over (order by exact_base - floor(exact_base) desc, rank)
            <= round(sum(exact_base) over ()) - sum(floor(exact_base)) over ()
        )::integer as base_share
        from segments s
    ),
    lines as (
        select rank, 1 as step, 'base' as kind, plan,
               format('%s plan, %s of %s days', initcap(plan), days, days_in_month) as description,
               days::bigint as quantity, base_minor as unit_minor, days_in_month::bigint as unit_per, base_share as amount_minor
        from shares where days > 0
        union all
        select rank, 2, 'included', plan, format('%s plan, included requests', initcap(plan)),
               case when included is null or overage_minor = 0 then made else least(made, included) end, 0, 1, 0
        from shares
        union all
        select rank, 3, 'overage', plan, format('%s plan, requests over the included %s', initcap(plan), included),
               made - included, overage_minor, overage_per,
               round((made - included) * overage_minor / overage_per::numeric)::bigint
        from shares where made > included and overage_minor > 0
    )
    select row_number() over (order by rank, step)::integer, kind, plan, description, quantity, unit_minor, unit_per, amount_minor
    from lines
    order by rank, step;
$$;
comment on function billing.charge(uuid, date) is
    'The invoice lines of an organization''s month in minor units: base by the day, included requests by the day rounded up, each request rated by the plan in force when it was made.';

create function billing.close_cycle(organization uuid, month date, cycle_id uuid, at_time timestamptz, due_days integer) returns boolean
language plpgsql
set search_path = ''
as $$
declare
    next_number bigint;
    total bigint;
    requests bigint;
begin
    if exists (
        select from billing.billing_cycles c
        where c.organization_id = organization and c.period_start = month::timestamp at time zone 'utc'
    ) then
        return false;
    end if;
    -- The counter row serializes closers of one organization; whoever comes second finds the cycle above on its next try.
    insert into billing.invoice_counters (organization_id) values (organization) on conflict (organization_id) do nothing;
    update billing.invoice_counters c set last_number = last_number + 1
    where c.organization_id = organization
    returning last_number into next_number;
    if exists (
        select from billing.billing_cycles c
        where c.organization_id = organization and c.period_start = month::timestamp at time zone 'utc'
    ) then
        update billing.invoice_counters c set last_number = last_number - 1 where c.organization_id = organization;
        return false;
    end if;

    select coalesce(sum(l.amount_minor), 0), coalesce(sum(l.quantity) filter (where l.kind in ('included', 'overage')), 0)
    into total, requests
    from billing.charge(organization, month) l;

    insert into billing.billing_cycles
        (organization_id, id, period_start, period_end, number, organization_name, organization_email, plan, currency, total_requests,
         total_amount_minor, status, issued_at, due_date, paid_at)
    select o.organization_id, cycle_id, month::timestamp at time zone 'utc', (month + interval '1 month') at time zone 'utc', next_number,
           o.name, o.email, coalesce(billing.plan_on(organization, (month + interval '1 month')::date - 1), o.plan), 'USD', requests,
           total, case when total = 0 then 'paid' else 'pending' end, at_time, at_time + make_interval(days => due_days),
           case when total = 0 then at_time end
    from tenancy.organizations o
    where o.organization_id = organization;

    insert into billing.billing_cycle_lines
        (organization_id, billing_cycle_id, position, kind, plan, description, quantity, unit_minor, unit_per, amount_minor)
    select organization, cycle_id, l."position", l.kind, l.plan, l.description, l.quantity, l.unit_minor, l.unit_per, l.amount_minor
    from billing.charge(organization, month) l;
    return true;
end
$$;
comment on function billing.close_cycle(uuid, date, uuid, timestamptz, integer) is
    'Writes the cycle, its lines and its number for a closed month; false when the month has its cycle already. Nothing to pay is paid at once.';

revoke execute on all functions in schema billing from public;
grant execute on function billing.plan_on(uuid, date), billing.price_on(text, date), billing.charge(uuid, date) to app_rw, app_ro;
grant execute on function billing.close_cycle(uuid, date, uuid, timestamptz, integer) to app_worker;
