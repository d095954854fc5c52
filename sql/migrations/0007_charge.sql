-- depends: 0006_billing
-- What a month costs, computed in one place: the API's preview, the closing job and a DBA in psql call the same functions.

set local role app_owner;

create function billing.rounded(numerator bigint, denominator bigint) returns bigint
language sql immutable
set search_path = ''
as $$
    select (2 * numerator + denominator) / (2 * denominator);
$$;
comment on function billing.rounded(bigint, bigint) is 'A fraction of whole numbers, not negative, rounded half up.';

create function billing.plan_on(organization uuid, day date) returns text
language sql stable
set search_path = ''
as $$
    select billing.plan_at(organization, ((day + 1)::timestamp at time zone 'utc') - interval '1 microsecond');
$$;
comment on function billing.plan_on(uuid, date) is
    'The plan that a day is billed on: the last one begun by the end of that UTC day; null before the first.';

create function billing.price_on(wanted_plan text, day date) returns billing.plans
language sql stable
set search_path = ''
as $$
    select p.*
    from billing.plans p
    where p.plan = wanted_plan
    order by p.valid_from <= day desc, abs(p.valid_from - day)
    limit 1;
$$;
comment on function billing.price_on(text, date) is 'The list price of a plan that holds on a day; before the first, the first.';

create function billing.price_for(organization uuid, wanted_plan text, day date) returns billing.plans
language sql stable
set search_path = ''
as $$
    select p.plan, p.valid_from, p.currency,
           case when a.plan is null then p.base_minor else a.base_minor end,
           case when a.plan is null then p.included else a.included end,
           case when a.plan is null then p.overage_minor else a.overage_minor end,
           case when a.plan is null then p.overage_per else a.overage_per end,
           p.is_hard_quota, p.per_minute, p.max_api_keys, p.rank
    from billing.price_on(wanted_plan, day) p
    left join lateral (
        select g.*
        from billing.agreed_prices g
        where g.organization_id = organization and g.plan = wanted_plan and g.valid_from <= day
        order by g.valid_from desc
        limit 1
    ) a on true;
$$;
comment on function billing.price_for(uuid, text, date) is 'The price of a plan for one organization: what was agreed, else the list price.';

create function billing.terms(organization uuid, month date) returns table (
    plan text, rank integer, per_minute integer, currency text, days bigint, days_in_month bigint, base_minor bigint, included bigint,
    overage_minor bigint, overage_per bigint
)
language sql stable
set search_path = ''
as $$
    with bounds as (
        select terms.month as first_day, (terms.month + interval '1 month')::date as next_first_day
    ),
    begun as (
        select distinct on ((s.starts_at at time zone 'utc')::date) (s.starts_at at time zone 'utc')::date as first_day, s.plan
        from billing.plan_segments s
        where s.organization_id = terms.organization
        order by (s.starts_at at time zone 'utc')::date, s.starts_at desc, s.position desc
    ),
    spans as (
        select b.plan, b.first_day, lead(b.first_day, 1, 'infinity'::date) over (order by b.first_day) as end_day from begun b
    ),
    held as (
        select s.plan, sum(least(s.end_day, b.next_first_day) - greatest(s.first_day, b.first_day))::bigint as days
        from spans s, bounds b
        where s.first_day < b.next_first_day and s.end_day > b.first_day
        group by s.plan
    )
    select price.plan, price.rank, price.per_minute, price.currency, coalesce(h.days, 0), m.days, price.base_minor,
           (price.included * coalesce(h.days, 0) + m.days - 1) / m.days, price.overage_minor, price.overage_per
    from (select distinct p.plan from billing.plans p) known
    cross join bounds b
    cross join lateral (select (b.next_first_day - b.first_day)::bigint as days) m
    cross join lateral billing.price_for(terms.organization, known.plan, b.first_day) price
    left join held h on h.plan = known.plan;
$$;
comment on function billing.terms(uuid, date) is
    'For each plan: the days of a month it was held (the day of a change counts as new), its prices, and the included requests of those days, rounded up.';

create function billing.rated(organization uuid, month date) returns table (
    made_in date, plan text, rank integer, included bigint, overage_minor bigint, overage_per bigint, made bigint, over bigint, amount_minor bigint
)
language sql stable
set search_path = ''
as $$
    with billed as (
        select (u.occurred_at at time zone 'utc')::date as day, u.plan, count(*) as made
        from usage.usage_records u
        where u.organization_id = rated.organization and u.billed_month = rated.month and u.is_billable
        group by 1, 2
    ),
    -- Late records are rated on top of what their own month was billed for already.
    late as (
        select date_trunc('month', min(b.day)::timestamp)::date as since from billed b having min(b.day) < rated.month
    ),
    earlier as (
        select (u.occurred_at at time zone 'utc')::date as day, u.plan, count(*) as made
        from usage.usage_records u
        where u.organization_id = rated.organization and u.is_billable
          and u.billed_month >= (select l.since from late l) and u.billed_month < rated.month
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
        cross join lateral billing.terms(rated.organization, m.made_in) t
    ),
    -- A plan that holds no day of the month (left on its first one) has no included requests: the plan of the day rates them.
    sums as (
        select d.made_in, coalesce(held.plan, billing.plan_on(rated.organization, d.day), d.plan) as plan,
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
$$;
comment on function billing.rated(uuid, date) is
    'The billable requests billed in a month, by the month and the plan they were made in: how many, how many of them over the included ones, and their price.';

create function billing.charge(organization uuid, month date) returns table (
    "position" integer, kind text, plan text, description text, quantity bigint, unit_minor bigint, unit_per bigint, amount_minor bigint
)
language sql stable
set search_path = ''
as $$
    with held as (
        select t.*, t.base_minor * t.days / t.days_in_month as share, t.base_minor * t.days % t.days_in_month as remainder
        from billing.terms(charge.organization, charge.month) t
        where t.days > 0
    ),
    -- Largest remainder: the shares of the base are whole minor units and sum to the rounded exact sum.
    bases as (
        select h.*, h.share + (
            row_number() over (order by h.remainder desc, h.rank)
            <= billing.rounded((sum(h.base_minor * h.days) over ())::bigint, h.days_in_month) - sum(h.share) over ()
        )::integer as amount
        from held h
    ),
    rated as materialized (
        select * from billing.rated(charge.organization, charge.month)
    ),
    carried as (
        select coalesce(sum(-l.amount_minor), 0)::bigint as amount
        from billing.billing_cycle_lines l
        where l.organization_id = charge.organization and l.kind = 'carry' and l.amount_minor < 0 and l.billing_cycle_id = (
            select c.id
            from billing.billing_cycles c
            where c.organization_id = charge.organization and c.period_start < charge.month::timestamp at time zone 'utc'
            order by c.period_start desc
            limit 1
        )
    ),
    lines as (
        select 1 as part, charge.month as made_in, b.rank, 1 as step, 'base' as kind, b.plan,
               format('%s plan, %s of %s days', initcap(b.plan), b.days, b.days_in_month) as description,
               b.days as quantity, b.base_minor as unit_minor, b.days_in_month as unit_per, b.amount as amount_minor
        from bases b
        union all
        select 1, r.made_in, r.rank, 2, 'included', r.plan, format('%s plan, included requests', initcap(r.plan)), r.made - r.over, 0, 1, 0
        from rated r where r.made_in = charge.month
        union all
        select 1, r.made_in, r.rank, 3, 'overage', r.plan,
               format('%s plan, requests over the included %s', initcap(r.plan), to_char(r.included, 'FM999,999,999,999,990')),
               r.over, r.overage_minor, r.overage_per, r.amount_minor
        from rated r where r.made_in = charge.month and r.over > 0
        union all
        select 2, r.made_in, r.rank, 4, 'late', r.plan,
               format('Late requests of %s, %s plan, included', to_char(r.made_in::timestamp, 'FMMonth YYYY'), r.plan), r.made - r.over, 0, 1, 0
        from rated r where r.made_in < charge.month and r.made > r.over
        union all
        select 2, r.made_in, r.rank, 5, 'late', r.plan,
               format('Late requests of %s, %s plan, over the included %s', to_char(r.made_in::timestamp, 'FMMonth YYYY'), r.plan,
                   to_char(r.included, 'FM999,999,999,999,990')),
               r.over, r.overage_minor, r.overage_per, r.amount_minor
        from rated r where r.made_in < charge.month and r.over > 0
        union all
        select 3, charge.month, 0, 6, 'carry', null, 'Carried over from the invoice before', 1, c.amount, 1, c.amount
        from carried c where c.amount > 0
    )
    select row_number() over (order by l.part, l.made_in, l.rank, l.step)::integer, l.kind, l.plan, l.description, l.quantity, l.unit_minor,
           l.unit_per, l.amount_minor
    from lines l
    order by l.part, l.made_in, l.rank, l.step;
$$;
comment on function billing.charge(uuid, date) is
    'The invoice lines of an organization''s month in minor units: base by the day, included requests by the day rounded up, each request rated by the plan in force when it was made, late requests, and what was carried over.';

create function billing.cost_by_day(organization uuid, first_day date, last_day date) returns table (
    day date, base_minor bigint, usage_minor bigint
)
language sql stable
set search_path = ''
as $$
    with whole as (
        select g::date as day, date_trunc('month', g)::date as month
        from generate_series(date_trunc('month', first_day::timestamp), last_day::timestamp, interval '1 day') as g
    ),
    terms as (
        select m.month, t.*
        from (select distinct w.month from whole w) m
        cross join lateral billing.terms(cost_by_day.organization, m.month) t
    ),
    bases as (
        select w.day, w.month, coalesce(t.base_minor, 0) as base_minor, known.days_in_month
        from whole w
        join (select distinct t.month, t.days_in_month from terms t) known on known.month = w.month
        left join terms t on t.month = w.month and t.plan = billing.plan_on(cost_by_day.organization, w.day)
    ),
    base_so_far as (
        select b.*, (sum(b.base_minor) over (partition by b.month order by b.day))::bigint as total from bases b
    ),
    made as (
        select (u.occurred_at at time zone 'utc')::date as day, u.plan, count(*) as made
        from usage.usage_records u
        where u.organization_id = cost_by_day.organization and u.is_billable
          and u.billed_month >= date_trunc('month', first_day::timestamp)::date
          and u.occurred_at >= date_trunc('month', first_day::timestamp) at time zone 'utc'
          and u.occurred_at < (last_day + 1)::timestamp at time zone 'utc'
        group by 1, 2
    ),
    counted as (
        select w.month, m.day, coalesce(held.plan, billing.plan_on(cost_by_day.organization, m.day), m.plan) as plan, sum(m.made)::bigint as made
        from made m
        join whole w on w.day = m.day
        left join terms held on held.month = w.month and held.plan = m.plan and held.days > 0
        group by 1, 2, 3
    ),
    so_far as (
        select c.*, (sum(c.made) over (partition by c.month, c.plan order by c.day))::bigint as total from counted c
    ),
    priced as (
        select s.day, sum(
                   billing.rounded(greatest(0, s.total - t.included) * t.overage_minor, t.overage_per)
                   - billing.rounded(greatest(0, s.total - s.made - t.included) * t.overage_minor, t.overage_per)
               )::bigint as usage_minor
        from so_far s
        join terms t on t.month = s.month and t.plan = s.plan
        where t.included is not null
        group by s.day
    )
    select b.day,
           billing.rounded(b.total, b.days_in_month) - billing.rounded(b.total - b.base_minor, b.days_in_month),
           coalesce(p.usage_minor, 0)
    from base_so_far b
    left join priced p on p.day = b.day
    where b.day between first_day and last_day
    order by b.day;
$$;
comment on function billing.cost_by_day(uuid, date, date) is
    'What each day cost by when requests were made: its share of the base, and its requests over the included ones; a whole month sums to its charge exactly.';

create function billing.absurdity(organization uuid, month date, total_minor bigint, requests bigint) returns text
language sql stable
set search_path = ''
as $$
    with limits as (
        select greatest(max(t.per_minute), max(o.rate_limit_override)) * max(t.days_in_month) * 1440 as requests
        from billing.terms(organization, month) t
        join tenancy.organizations o on o.organization_id = absurdity.organization
        where t.days > 0
    ),
    before as (
        select max(recent.total_amount_minor) as highest
        from (
            select c.total_amount_minor
            from billing.billing_cycles c
            where c.organization_id = absurdity.organization and c.issued_at is not null
              and c.period_start < absurdity.month::timestamp at time zone 'utc'
            order by c.period_start desc
            limit 6
        ) recent
    )
    select case
        when total_minor < 0 then 'the total is negative'
        when requests > coalesce(l.requests, 0) and requests > 0 and l.requests is not null
            then format('%s requests are more than the rate limit lets through in a month (%s)', requests, l.requests)
        when total_minor > 100000 and total_minor > 10 * b.highest
            then format('the total is more than ten times the highest of the last six invoices (%s)', b.highest)
    end
    from limits l, before b;
$$;
comment on function billing.absurdity(uuid, date, bigint, bigint) is
    'Why an invoice must be looked at by a person before it goes out, or null: a negative total, more requests than the limit allows, or more than $1,000 and ten times the highest of the six before.';

create function billing.missing_months(organization uuid) returns setof date
language sql stable
set search_path = ''
as $$
    select m::date
    from tenancy.organizations o
    cross join lateral generate_series(
        date_trunc('month', o.created_at at time zone 'utc'), (select max(c.month) from usage.closed_months c)::timestamp, interval '1 month'
    ) as m
    where o.organization_id = missing_months.organization and not exists (
        select from billing.billing_cycles c
        where c.organization_id = missing_months.organization and c.period_start = m at time zone 'utc'
    )
    order by m;
$$;
comment on function billing.missing_months(uuid) is 'The closed months, from the organization''s first on, that have no cycle yet, oldest first.';

create function billing.issue(organization uuid, cycle uuid, at_time timestamptz, due_days integer) returns text
language plpgsql
set search_path = ''
as $$
declare
    next_number bigint;
    new_status text;
begin
    -- Last in the transaction: the counter row is held as shortly as possible, and a rollback gives the number back.
    insert into billing.invoice_counters as k (organization_id, last_number) values (organization, 1)
    on conflict (organization_id) do update set last_number = k.last_number + 1
    returning k.last_number into next_number;
    update billing.billing_cycles c
    set number = next_number, issued_at = at_time, due_date = at_time + make_interval(days => due_days),
        status = case when c.total_amount_minor = 0 then 'paid' else 'pending' end,
        paid_at = case when c.total_amount_minor = 0 then at_time end
    where c.organization_id = organization and c.id = cycle and c.issued_at is null and c.status = 'parked'
    returning c.status into new_status;
    if not found then
        raise exception 'only a parked invoice can be issued' using errcode = 'BIL02';
    end if;
    return new_status;
end
$$;
comment on function billing.issue(uuid, uuid, timestamptz, integer) is
    'Gives an invoice its number and its due date; nothing to pay is paid at once. From now on it cannot be changed.';

create function billing.close_cycle(organization uuid, month date, cycle_id uuid, at_time timestamptz, due_days integer) returns text
language plpgsql
set search_path = ''
as $$
declare
    -- Minor units below which no provider takes a payment: such an amount goes to the next invoice.
    smallest constant bigint := 50;
    total bigint;
    requests bigint;
    lines integer;
    reason text;
begin
    if month >= usage.first_open_month() then
        raise exception 'the month % is open', month using errcode = 'BIL03';
    end if;
    if (select min(m) from billing.missing_months(organization) m) < month then
        raise exception 'an earlier month of the organization has no cycle yet' using errcode = 'BIL03';
    end if;
    -- The unique period decides between two closers; whoever comes second finds the month done.
    insert into billing.billing_cycles
        (organization_id, id, period_start, period_end, organization_name, organization_email, plan, currency, total_requests,
         total_amount_minor, status)
    select o.organization_id, cycle_id, month::timestamp at time zone 'utc', (month + interval '1 month') at time zone 'utc',
           o.name, o.email, coalesce(billing.plan_on(organization, (month + interval '1 month')::date - 1), o.plan), price.currency, 0, 0, 'parked'
    from tenancy.organizations o
    cross join lateral billing.price_for(organization, o.plan, month) price
    where o.organization_id = organization
    on conflict (organization_id, period_start) do nothing;
    if not found then
        return null;
    end if;

    insert into billing.billing_cycle_lines
        (organization_id, billing_cycle_id, position, kind, plan, description, quantity, unit_minor, unit_per, amount_minor)
    select organization, cycle_id, l."position", l.kind, l.plan, l.description, l.quantity, l.unit_minor, l.unit_per, l.amount_minor
    from billing.charge(organization, month) l;
    select coalesce(sum(l.amount_minor), 0), coalesce(sum(l.quantity) filter (where l.kind in ('included', 'overage', 'late')), 0), count(*)
    into total, requests, lines
    from billing.billing_cycle_lines l
    where l.organization_id = organization and l.billing_cycle_id = cycle_id;

    reason := billing.absurdity(organization, month, total, requests);
    if reason is null and total between 1 and smallest - 1 then
        insert into billing.billing_cycle_lines
            (organization_id, billing_cycle_id, position, kind, description, quantity, unit_minor, amount_minor)
        values (organization, cycle_id, lines + 1, 'carry', 'Carried to the next invoice', 1, -total, -total);
        total := 0;
    end if;
    update billing.billing_cycles c
    set total_requests = requests, total_amount_minor = greatest(total, 0), remark = reason
    where c.organization_id = organization and c.id = cycle_id;
    return case when reason is null then billing.issue(organization, cycle_id, at_time, due_days) else 'parked' end;
end
$$;
comment on function billing.close_cycle(uuid, date, uuid, timestamptz, integer) is
    'Writes the cycle of a closed month with its lines and, unless a safety bound parks it, its number: returns its status, or null when the month has its cycle already.';

revoke execute on all functions in schema billing from public;
grant execute on function billing.rounded(bigint, bigint), billing.plan_on(uuid, date), billing.price_on(text, date),
    billing.price_for(uuid, text, date), billing.terms(uuid, date), billing.rated(uuid, date), billing.charge(uuid, date),
    billing.cost_by_day(uuid, date, date), billing.absurdity(uuid, date, bigint, bigint), billing.missing_months(uuid) to app_rw, app_ro;
grant execute on function billing.issue(uuid, uuid, timestamptz, integer), billing.close_cycle(uuid, date, uuid, timestamptz, integer) to app_worker;
