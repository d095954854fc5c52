set local role app_owner;

create or replace function billing.terms(organization uuid, month date) returns table (
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

create or replace function billing.rated(organization uuid, month date) returns table (
    made_in date, plan text, rank integer, included bigint, overage_minor bigint, overage_per bigint, made bigint, over bigint, amount_minor bigint
)
language sql stable
set search_path = ''
as $$
    with billed as (
        select u.day, u.plan, sum(u.billable)::bigint as made
        from usage.counted u
        where u.organization_id = rated.organization and u.billed_month = rated.month and u.billable > 0
        group by 1, 2
    ),
    -- Late records are rated on top of what their own month was billed for already.
    late as (
        select date_trunc('month', min(b.day)::timestamp)::date as since from billed b having min(b.day) < rated.month
    ),
    earlier as (
        select u.day, u.plan, sum(u.billable)::bigint as made
        from usage.counted u
        where u.organization_id = rated.organization and u.billable > 0
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

create or replace function billing.charge(organization uuid, month date) returns table (
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

create or replace function billing.absurdity(organization uuid, month date, total_minor bigint, requests bigint) returns text
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

drop function billing.overage_shares(uuid, date);
drop function billing.charge(uuid, date, text, timestamptz);
drop function billing.rated(uuid, date, text, timestamptz);
drop function billing.terms(uuid, date, text, timestamptz);
drop function billing.plan_on(uuid, date, text, timestamptz);
drop function billing.money(bigint, text);
drop function billing.taxes_on(uuid, date);
drop table billing.tax_rates;
