-- depends: 0061_reconciliation
-- What a month would cost on another plan, taxes as rows, and what made an overage: all beside billing.charge.

set local role app_owner;

create table billing.tax_rates (
    organization_id uuid not null,
    name            text not null,
    valid_from      date not null,
    rate_ppm        bigint not null,
    constraint tax_rates_pkey primary key (organization_id, name, valid_from),
    constraint tax_rates_organization_id_fkey foreign key (organization_id) references tenancy.organizations (organization_id),
    constraint tax_rates_name_check check (length(name) between 1 and 60),
    constraint tax_rates_rate_check check (rate_ppm between 0 and 1000000)
);
comment on table billing.tax_rates is
    'The hook for taxes: each row adds a line to the organization''s invoices; written by an operator, empty by default. A tax ends with a row of rate 0.';
comment on column billing.tax_rates.organization_id is 'Whose invoices it is on.';
comment on column billing.tax_rates.name is 'As the invoice prints it, such as VAT.';
comment on column billing.tax_rates.valid_from is 'First day on which the rate holds; it holds for the months that begin then or later.';
comment on column billing.tax_rates.rate_ppm is 'Millionths of the net amount: 75000 is 7.5 percent.';
do $$ begin perform app.secure_tenant_table('billing.tax_rates'), audit.watch('billing.tax_rates'); end $$;
create trigger keep_closed_prices before insert or update or delete on billing.tax_rates
    for each row execute function billing.keep_closed_prices();
comment on trigger keep_closed_prices on billing.tax_rates is 'The rates of a closed month never change.';
grant select on billing.tax_rates to app_rw, app_ro;
grant select, insert, update, delete on billing.tax_rates to app_breakglass;

create function billing.taxes_on(organization uuid, month date) returns table (name text, rate_ppm bigint)
language sql stable
set search_path = ''
as $$
    select r.name, r.rate_ppm
    from (
        select distinct on (t.name) t.name, t.rate_ppm
        from billing.tax_rates t
        where t.organization_id = organization and t.valid_from <= month
        order by t.name, t.valid_from desc
    ) r
    where r.rate_ppm > 0;
$$;
comment on function billing.taxes_on(uuid, date) is 'The taxes of an organization''s month with their rates; each is rounded once, on the net amount of the month.';

create function billing.money(minor bigint, currency text) returns text
language sql immutable
set search_path = ''
as $$
    select to_char(minor / 100.0, 'FM999,999,999,999,999,990.00') || ' ' || currency;
$$;
comment on function billing.money(bigint, text) is 'Minor units as people read them: 1,234.50 USD.';

create or replace function billing.absurdity(organization uuid, month date, total_minor bigint, requests bigint) returns text
language sql stable
set search_path = ''
as $$
    with limits as (
        select greatest(max(t.per_minute), max(o.rate_limit_override)) * max(t.days_in_month) * 1440 as requests, max(t.currency) as currency
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
            then format('the total is more than ten times the highest of the last six invoices (%s)', billing.money(b.highest, coalesce(l.currency, 'USD')))
    end
    from limits l, before b;
$$;

create function billing.plan_on(organization uuid, day date, supposed_plan text, supposed_at timestamptz) returns text
language sql stable
set search_path = ''
as $$
    select case when supposed_at < (day + 1)::timestamp at time zone 'utc' then supposed_plan else billing.plan_on(organization, day) end;
$$;
comment on function billing.plan_on(uuid, date, text, timestamptz) is 'As billing.plan_on, supposing a change of plan at a moment.';

create function billing.terms(organization uuid, month date, supposed_plan text, supposed_at timestamptz) returns table (
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
        from (
            select g.starts_at, g.position, g.plan
            from billing.plan_segments g
            where g.organization_id = terms.organization and (supposed_at is null or g.starts_at < supposed_at)
            union all
            select supposed_at, 9223372036854775807, supposed_plan where supposed_at is not null
        ) s
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
comment on function billing.terms(uuid, date, text, timestamptz) is 'As billing.terms, supposing a change of plan at a moment.';

create function billing.rated(organization uuid, month date, supposed_plan text, supposed_at timestamptz) returns table (
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
$$;
comment on function billing.rated(uuid, date, text, timestamptz) is 'As billing.rated, supposing a change of plan at a moment.';

create function billing.charge(organization uuid, month date, supposed_plan text, supposed_at timestamptz) returns table (
    "position" integer, kind text, plan text, description text, quantity bigint, unit_minor bigint, unit_per bigint, amount_minor bigint
)
language sql stable
set search_path = ''
as $$
    with held as (
        select t.*, t.base_minor * t.days / t.days_in_month as share, t.base_minor * t.days % t.days_in_month as remainder
        from billing.terms(charge.organization, charge.month, supposed_plan, supposed_at) t
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
        select * from billing.rated(charge.organization, charge.month, supposed_plan, supposed_at)
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
    net as (
        select (coalesce((select sum(b.amount) from bases b), 0) + coalesce((select sum(r.amount_minor) from rated r), 0))::bigint as amount
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
        union all
        -- What was carried over has been taxed already.
        select 4, charge.month, (row_number() over (order by x.name))::integer, 7, 'tax', null,
               format('%s %s %%', x.name, trim_scale(x.rate_ppm / 10000.0)), 1, taxed.amount, 1, taxed.amount
        from billing.taxes_on(charge.organization, charge.month) x
        cross join net n
        cross join lateral (select billing.rounded(n.amount * x.rate_ppm, 1000000) as amount) taxed
        where taxed.amount > 0
    )
    select row_number() over (order by l.part, l.made_in, l.rank, l.step)::integer, l.kind, l.plan, l.description, l.quantity, l.unit_minor,
           l.unit_per, l.amount_minor
    from lines l
    order by l.part, l.made_in, l.rank, l.step;
$$;
comment on function billing.charge(uuid, date, text, timestamptz) is
    'The invoice lines of a month supposing that the organization moves to a plan at a moment; without a supposition, what billing.charge gives.';

create or replace function billing.terms(organization uuid, month date) returns table (
    plan text, rank integer, per_minute integer, currency text, days bigint, days_in_month bigint, base_minor bigint, included bigint,
    overage_minor bigint, overage_per bigint
)
language sql stable
set search_path = ''
as $$
    select * from billing.terms(terms.organization, terms.month, null, null);
$$;

create or replace function billing.rated(organization uuid, month date) returns table (
    made_in date, plan text, rank integer, included bigint, overage_minor bigint, overage_per bigint, made bigint, over bigint, amount_minor bigint
)
language sql stable
set search_path = ''
as $$
    select * from billing.rated(rated.organization, rated.month, null, null);
$$;

create or replace function billing.charge(organization uuid, month date) returns table (
    "position" integer, kind text, plan text, description text, quantity bigint, unit_minor bigint, unit_per bigint, amount_minor bigint
)
language sql stable
set search_path = ''
as $$
    select * from billing.charge(charge.organization, charge.month, null, null);
$$;

create function billing.overage_shares(organization uuid, month date) returns table (
    place bigint, part text, api_key_id uuid, endpoint text, method text, requests bigint, amount_minor bigint
)
language sql stable
set search_path = ''
as $$
    with rated as (
        select r.made_in, r.plan, r.amount_minor, row_number() over (order by r.made_in < overage_shares.month, r.made_in, r.rank) as place
        from billing.rated(overage_shares.organization, overage_shares.month) r
        where r.over > 0
    ),
    used as (
        select date_trunc('month', u.day::timestamp)::date as made_in, u.day, u.plan, u.api_key_id, u.endpoint, u.method,
               sum(u.billable)::bigint as made
        from usage.counted u
        where u.organization_id = overage_shares.organization and u.billed_month = overage_shares.month and u.billable > 0
        group by 1, 2, 3, 4, 5, 6
    ),
    held as (
        select m.made_in, t.plan
        from (select distinct u.made_in from used u) m
        cross join lateral billing.terms(overage_shares.organization, m.made_in) t
        where t.days > 0
    ),
    placed as (
        select u.made_in, coalesce(h.plan, billing.plan_on(overage_shares.organization, u.day), u.plan) as plan, u.api_key_id, u.endpoint,
               u.method, u.made
        from used u
        left join held h on h.made_in = u.made_in and h.plan = u.plan
    ),
    parts as (
        select r.place, r.amount_minor as whole, 'api_key' as part, p.api_key_id, null::text as endpoint, null::text as method,
               sum(p.made) as made
        from rated r join placed p on p.made_in = r.made_in and p.plan = r.plan
        group by 1, 2, 3, 4, 5, 6
        union all
        select r.place, r.amount_minor, 'endpoint', null::uuid, p.endpoint, p.method, sum(p.made)
        from rated r join placed p on p.made_in = r.made_in and p.plan = r.plan
        group by 1, 2, 3, 4, 5, 6
    ),
    shared as (
        select p.*, div(p.whole * p.made, w.made) as share, mod(p.whole * p.made, w.made) as remainder
        from parts p
        cross join lateral (select sum(o.made) as made from parts o where o.place = p.place and o.part = p.part) w
    )
    select s.place, s.part, s.api_key_id, s.endpoint, s.method, s.made::bigint, (s.share + (
               row_number() over (partition by s.place, s.part order by s.remainder desc, s.api_key_id, s.endpoint, s.method)
               <= s.whole - sum(s.share) over (partition by s.place, s.part)
           )::integer)::bigint
    from shared s
    order by s.place, s.part, s.made desc, s.api_key_id, s.endpoint, s.method;
$$;
comment on function billing.overage_shares(uuid, date) is
    'Each price of requests over the included ones (place counts such lines of the invoice) shared among the keys, and among the endpoints, by their billable requests; largest remainders get the odd minor units, so that each sums to its line.';

revoke execute on function billing.taxes_on(uuid, date),
    billing.money(bigint, text),
    billing.plan_on(uuid, date, text, timestamptz),
    billing.terms(uuid, date, text, timestamptz),
    billing.rated(uuid, date, text, timestamptz),
    billing.charge(uuid, date, text, timestamptz),
    billing.overage_shares(uuid, date) from public;
grant execute on function billing.taxes_on(uuid, date),
    billing.money(bigint, text),
    billing.plan_on(uuid, date, text, timestamptz),
    billing.terms(uuid, date, text, timestamptz),
    billing.rated(uuid, date, text, timestamptz),
    billing.charge(uuid, date, text, timestamptz),
    billing.overage_shares(uuid, date) to app_rw, app_ro;
reset role;
