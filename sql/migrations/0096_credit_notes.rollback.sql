set local role app_owner;

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

drop function billing.credit(uuid, uuid, bigint, text, timestamptz, uuid, text, text, text);
create function billing.credit(organization uuid, cycle uuid, minor bigint, reason text, at_time timestamptz) returns text
language plpgsql
set search_path = ''
as $$
begin
    if coalesce(length(btrim(reason)), 0) < 4 or minor <= 0 then
        raise exception 'a credit has a positive amount and a reason' using errcode = 'BIL03';
    end if;
    update billing.billing_cycles c
    set credited_minor = c.credited_minor + minor, remark = reason,
        status = case when c.paid_minor + c.credited_minor + minor >= c.total_amount_minor then 'paid' else c.status end,
        paid_at = case when c.paid_minor + c.credited_minor + minor >= c.total_amount_minor then coalesce(c.paid_at, at_time) end
    where c.organization_id = organization and c.id = cycle and c.issued_at is not null and c.status <> 'void'
      and c.credited_minor + minor <= c.total_amount_minor;
    if not found then
        raise exception 'only an issued invoice can be credited, and no more than its total' using errcode = 'BIL02';
    end if;
    insert into billing.movements (organization_id, billing_cycle_id, kind, amount_minor, currency, occurred_at)
    select c.organization_id, c.id, 'credit', minor, c.currency, at_time
    from billing.billing_cycles c
    where c.organization_id = organization and c.id = cycle;
    return billing.settle(organization, cycle, at_time);
end
$$;
comment on function billing.credit(uuid, uuid, bigint, text, timestamptz) is
    'Writes off a part of an issued invoice: the invoice itself never changes. Returns its new status.';

create or replace function billing.write_charge() returns trigger
language plpgsql
set search_path = ''
as $$
begin
    if old.issued_at is null and new.issued_at is not null and new.total_amount_minor > 0 then
        insert into billing.movements (organization_id, billing_cycle_id, kind, amount_minor, currency, occurred_at)
        values (new.organization_id, new.id, 'charge', new.total_amount_minor, new.currency, new.issued_at);
    end if;
    return null;
end
$$;

create or replace function billing.close_cycle(organization uuid, month date, cycle_id uuid, at_time timestamptz, due_days integer,
    seller_name text default null, seller_address text default null, seller_tax_number text default null
) returns text
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
    return case when reason is null then billing.issue(organization, cycle_id, at_time, due_days, seller_name, seller_address, seller_tax_number) else 'parked' end;
end
$$;

create or replace function billing.charge(organization uuid, month date, supposed_plan text, supposed_at timestamptz) returns table (
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

drop function billing.fate(uuid, date);
drop function billing.smallest_payment();
drop function billing.credit_for(uuid, date, bigint);
drop function billing.credit_balance(uuid);
drop table billing.credit_notes;
drop function billing.check_credit_note();
drop function billing.write_credit();
alter table billing.invoice_counters drop column last_credit_note;

alter table billing.movements drop constraint movements_kind_check;
alter table billing.movements add constraint movements_kind_check
    check (kind in ('charge', 'payment', 'refund', 'chargeback', 'credit'));
comment on column billing.movements.kind is 'charge (owed), payment (received), refund and chargeback (given back), credit (no longer owed).';
alter table billing.billing_cycle_lines drop constraint billing_cycle_lines_kind_check;
alter table billing.billing_cycle_lines add constraint billing_cycle_lines_kind_check
    check (kind in ('base', 'included', 'overage', 'late', 'carry', 'tax'));
comment on column billing.billing_cycle_lines.kind is
    'base, included, overage, late (made in a month closed before), carry (to or from the next invoice, too small to be paid), tax.';
comment on column billing.billing_cycle_lines.amount_minor is 'Whole minor units, rounded once; negative when it is carried away.';

revoke execute on function billing.credit(uuid, uuid, bigint, text, timestamptz) from public;
grant execute on function billing.credit(uuid, uuid, bigint, text, timestamptz) to app_worker;
reset role;
