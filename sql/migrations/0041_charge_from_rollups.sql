-- depends: 0040_rollups
-- What a month costs is read from the roll-ups and the short tail of records: the same figures, whatever is detached.

set local role app_owner;

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

create or replace function billing.cost_by_day(organization uuid, first_day date, last_day date) returns table (
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
        select u.day, u.plan, sum(u.billable)::bigint as made
        from usage.counted u
        where u.organization_id = cost_by_day.organization and u.billable > 0
          and u.billed_month >= date_trunc('month', first_day::timestamp)::date
          and u.day >= date_trunc('month', first_day::timestamp)::date and u.day <= last_day
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

create or replace function billing.reconcile(organization uuid) returns table (finding text, subject uuid, expected bigint, found bigint)
language sql stable
set search_path = ''
as $$
    with cycles as (
        select c.*, (c.period_start at time zone 'utc')::date as month from billing.billing_cycles c where c.organization_id = organization
    ),
    paid as (
        select p.*, billing.worth(p.succeeded_minor, p) - billing.worth(p.refunded_minor, p) - billing.worth(p.charged_back_minor, p) as net_minor
        from billing.payments p
        where p.organization_id = organization
    ),
    ledger as (
        select m.billing_cycle_id, m.payment_id, m.kind, sum(m.amount_minor)::bigint as minor
        from billing.movements m
        where m.organization_id = organization
        group by 1, 2, 3
    ),
    compared as (
        select 'usage on the invoice' as finding, c.id as subject, counted.requests as expected, c.total_requests as found
        from cycles c
        cross join lateral (
            select coalesce(sum(u.billable), 0)::bigint as requests from usage.counted u
            where u.organization_id = organization and u.billed_month = c.month
        ) counted
        union all
        select 'amount computed anew', c.id, again.minor, stored.minor
        from cycles c
        cross join lateral (select coalesce(sum(l.amount_minor), 0)::bigint as minor from billing.charge(organization, c.month) l) again
        cross join lateral (
            select coalesce(sum(l.amount_minor), 0)::bigint as minor
            from billing.billing_cycle_lines l
            where l.organization_id = organization and l.billing_cycle_id = c.id and not (l.kind = 'carry' and l.amount_minor < 0)
        ) stored
        union all
        select 'lines against total', c.id, coalesce(sum(l.amount_minor), 0)::bigint, c.total_amount_minor
        from cycles c
        left join billing.billing_cycle_lines l on l.organization_id = organization and l.billing_cycle_id = c.id
        where c.issued_at is not null
        group by c.id, c.total_amount_minor
        union all
        select 'charge in the ledger', c.id, case when c.issued_at is null then 0 else c.total_amount_minor end,
               coalesce((select l.minor from ledger l where l.billing_cycle_id = c.id and l.kind = 'charge'), 0)
        from cycles c
        union all
        select 'credit in the ledger', c.id, c.credited_minor,
               coalesce((select l.minor from ledger l where l.billing_cycle_id = c.id and l.kind = 'credit'), 0)
        from cycles c
        union all
        select 'paid on the invoice', c.id, coalesce((select sum(p.net_minor)::bigint from paid p where p.billing_cycle_id = c.id), 0), c.paid_minor
        from cycles c
        union all
        select 'payment in the ledger', p.id, p.net_minor, coalesce((
            select sum(case when l.kind = 'payment' then l.minor else -l.minor end)::bigint from ledger l where l.payment_id = p.id
        ), 0)
        from paid p
        union all
        select 'surplus given back', p.id, 0, greatest(0, coalesce(billing.surplus_of(organization, p.id), 0))
        from paid p
        union all
        select 'numbers without gaps', null, count(*), coalesce(max(c.number), 0) from cycles c where c.number is not null
        union all
        select 'counter of numbers', null, coalesce((select max(c.number) from cycles c), 0),
               coalesce((select k.last_number from billing.invoice_counters k where k.organization_id = organization), 0)
        union all
        select 'closed months without a cycle', null, 0, count(*) from billing.missing_months(organization)
    )
    select * from compared c where c.expected is distinct from c.found;
$$;

reset role;
