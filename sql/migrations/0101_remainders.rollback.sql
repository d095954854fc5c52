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
        select 'credit in the ledger', c.id, coalesce((
            select sum(n.amount_minor)::bigint from billing.credit_notes n where n.organization_id = organization and n.billing_cycle_id = c.id
        ), 0), coalesce((select l.minor from ledger l where l.billing_cycle_id = c.id and l.kind = 'credit'), 0)
        from cycles c
        union all
        select 'credit notes on the invoice', c.id, coalesce((
            select sum(n.settled_minor)::bigint from billing.credit_notes n where n.organization_id = organization and n.billing_cycle_id = c.id
        ), 0), c.credited_minor
        from cycles c
        union all
        select 'credit used in the ledger', c.id, coalesce((
            select -sum(l.amount_minor)::bigint
            from billing.billing_cycle_lines l
            where l.organization_id = organization and l.billing_cycle_id = c.id and l.kind = 'credit' and c.issued_at is not null
        ), 0), coalesce((select l.minor from ledger l where l.billing_cycle_id = c.id and l.kind = 'credit_used'), 0)
        from cycles c
        union all
        select 'more credit used than given', null, 0, greatest(0, -billing.credit_balance(organization))
        union all
        select 'numbers of credit notes without gaps', null, count(*), coalesce(max(n.number), 0)
        from billing.credit_notes n where n.organization_id = organization
        union all
        select 'counter of credit notes', null,
               coalesce((select max(n.number) from billing.credit_notes n where n.organization_id = organization), 0),
               coalesce((select k.last_credit_note from billing.invoice_counters k where k.organization_id = organization), 0)
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

create or replace function billing.credit(
    organization uuid, cycle uuid, minor bigint, reason text, at_time timestamptz, note uuid default null,
    seller_name text default null, seller_address text default null, seller_tax_number text default null,
    key text default null
) returns text
language plpgsql
set search_path = ''
as $$
declare
    c billing.billing_cycles;
    twin billing.credit_notes;
    the_key constant text := coalesce(nullif(btrim(credit.key), ''), billing.credit_key(minor, reason));
    settled bigint;
    next_number bigint;
begin
    if coalesce(length(btrim(reason)), 0) < 4 or minor <= 0 then
        raise exception 'a credit has a positive amount and a reason' using errcode = 'BIL03';
    end if;
    select * into c from billing.billing_cycles x where x.organization_id = organization and x.id = cycle for no key update;
    if not found then
        raise exception 'only an issued invoice can be credited, and no more than its total' using errcode = 'BIL02';
    end if;
    select n.* into twin
    from billing.credit_notes n
    where n.organization_id = organization and n.billing_cycle_id = cycle
      and coalesce(n.key, billing.credit_key(n.amount_minor, n.reason)) = the_key
    order by n.number limit 1;
    if found then
        raise exception 'credit note CN-%-% of % credits this invoice with % already: to credit it once more, give another key',
            to_char(twin.issued_at at time zone 'utc', 'YYYY'), lpad(twin.number::text, 6, '0'), to_char(twin.issued_at at time zone 'utc', 'FMDD FMMonth YYYY'),
            billing.money(twin.amount_minor, twin.currency) using errcode = 'BIL04';
    end if;
    settled := least(minor, greatest(0, c.total_amount_minor - c.paid_minor - c.credited_minor));
    if c.total_amount_minor - c.paid_minor - c.credited_minor - settled between 1 and billing.smallest_payment() - 1 then
        raise exception 'it would leave less than can be paid (%): credit that as well',
            billing.money(c.total_amount_minor - c.paid_minor - c.credited_minor - settled, c.currency) using errcode = 'BIL03';
    end if;
    insert into billing.invoice_counters as k (organization_id, last_credit_note) values (organization, 1)
    on conflict (organization_id) do update set last_credit_note = k.last_credit_note + 1
    returning k.last_credit_note into next_number;
    insert into billing.credit_notes
        (organization_id, id, billing_cycle_id, number, amount_minor, settled_minor, balance_minor, currency, reason, organization_name,
         organization_email, seller_name, seller_address, seller_tax_number, issued_at, key)
    values (organization, coalesce(note, gen_random_uuid()), cycle, next_number, minor, settled, minor - settled, c.currency, reason,
            c.organization_name, c.organization_email, credit.seller_name, credit.seller_address, credit.seller_tax_number, at_time, the_key);
    update billing.billing_cycles x
    set credited_minor = x.credited_minor + settled,
        status = case when x.paid_minor + x.credited_minor + settled >= x.total_amount_minor then 'paid' else x.status end,
        paid_at = case when x.paid_minor + x.credited_minor + settled >= x.total_amount_minor then coalesce(x.paid_at, at_time) end
    where x.organization_id = organization and x.id = cycle;
    return billing.settle(organization, cycle, at_time);
end
$$;

drop function billing.apply_payment(uuid, uuid, text, bigint, bigint, boolean, text, timestamptz);
create function billing.apply_payment(
    organization uuid, payment uuid, new_status text, refunded bigint, charged_back bigint, disputed boolean, provider_payment text,
    at_time timestamptz, out cycle_id uuid, out is_newly_paid boolean, out surplus bigint
)
language plpgsql
set search_path = ''
as $$
declare
    p billing.payments;
    c billing.billing_cycles;
    has_come boolean;
    excess bigint;
begin
    select * into strict p from billing.payments where organization_id = organization and id = payment;
    -- The invoice first: two payments of one invoice are applied one after the other.
    select * into strict c from billing.billing_cycles where organization_id = organization and id = p.billing_cycle_id for no key update;
    select * into strict p from billing.payments where organization_id = organization and id = payment for no key update;
    cycle_id := c.id;
    has_come := p.succeeded_minor > 0 or new_status in ('succeeded', 'refunded');

    excess := case when has_come and p.succeeded_minor = 0 and new_status = 'succeeded' then
        least(p.invoice_minor, greatest(0, c.paid_minor + p.invoice_minor
            - case when c.status = 'void' then 0 else c.total_amount_minor - c.credited_minor end)) else 0 end;
    update billing.payments x
    set status = case
            when has_come and greatest(p.refunded_minor, refunded) >= p.amount_minor then 'refunded'
            when has_come then 'succeeded'
            when p.status = 'open' and new_status in ('failed', 'expired') then new_status
            else p.status
        end,
        succeeded_minor = case when has_come then p.amount_minor else 0 end,
        refunded_minor = case when has_come then least(p.amount_minor - p.charged_back_minor, greatest(p.refunded_minor, refunded)) else 0 end,
        charged_back_minor = case
            when has_come then least(p.amount_minor - greatest(p.refunded_minor, refunded), greatest(p.charged_back_minor, charged_back))
            else 0
        end,
        surplus_minor = p.surplus_minor + excess * p.amount_minor / p.invoice_minor,
        is_disputed = coalesce(disputed, p.is_disputed),
        provider_payment_id = coalesce(p.provider_payment_id, provider_payment),
        settled_at = case when has_come or new_status in ('failed', 'expired') then coalesce(p.settled_at, at_time) end,
        asked_at = at_time,
        updated_at = at_time
    where x.organization_id = organization and x.id = payment;
    is_newly_paid := billing.settle(organization, c.id, at_time) = 'paid' and c.status <> 'paid';
    surplus := greatest(0, coalesce(billing.surplus_of(organization, payment), 0));
end
$$;
comment on function billing.apply_payment(uuid, uuid, text, bigint, bigint, boolean, text, timestamptz) is
    'Writes what the provider says about a payment, forward only and harmless to repeat, and settles its invoice: whether it is paid by this, and what is left to give back of money that came too much.';

create or replace function billing.surplus_of(organization uuid, payment uuid) returns bigint
language sql stable
set search_path = ''
as $$
    select least(
        p.surplus_minor - p.refunded_minor,
        (c.paid_minor - case when c.status = 'void' then 0 else c.total_amount_minor - c.credited_minor end) * p.amount_minor / p.invoice_minor
    )
    from billing.payments p
    join billing.billing_cycles c on c.organization_id = p.organization_id and c.id = p.billing_cycle_id
    where p.organization_id = organization and p.id = payment
      and p.surplus_minor > p.refunded_minor and c.organization_id = organization;
$$;

create or replace function billing.settle(organization uuid, cycle uuid, at_time timestamptz) returns text
language sql
set search_path = ''
as $$
    update billing.billing_cycles c
    set paid_minor = received.minor,
        status = case
            when c.status in ('parked', 'void') then c.status
            when received.minor + c.credited_minor >= c.total_amount_minor then 'paid'
            when c.due_date < at_time then 'overdue'
            else 'pending'
        end,
        paid_at = case
            when c.status not in ('parked', 'void') and received.minor + c.credited_minor >= c.total_amount_minor
                then coalesce(c.paid_at, at_time)
        end
    from (
        select coalesce(sum(billing.worth(p.succeeded_minor, p) - billing.worth(p.refunded_minor, p)
            - billing.worth(p.charged_back_minor, p)), 0)::bigint as minor
        from billing.payments p
        where p.organization_id = organization and p.billing_cycle_id = cycle
    ) received
    where c.organization_id = organization and c.id = cycle
    returning c.status;
$$;
comment on function billing.settle(uuid, uuid, timestamptz) is
    'Derives an invoice''s state from its payments and credits; no event sets it. Returns the new status.';

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
    plain as (
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
    ),
    lines as (
        select p.* from plain p
        union all
        -- Last of all, because what is taken off was taxed with the invoice that was corrected.
        select 5, charge.month, 0, 8, 'credit', null, 'Credit of earlier invoices', 1, -c.amount, 1, -c.amount
        from billing.credit_for(charge.organization, charge.month, (select coalesce(sum(p.amount_minor), 0)::bigint from plain p)) as c (amount)
        where c.amount > 0
    )
    select row_number() over (order by l.part, l.made_in, l.rank, l.step)::integer, l.kind, l.plan, l.description, l.quantity, l.unit_minor,
           l.unit_per, l.amount_minor
    from lines l
    order by l.part, l.made_in, l.rank, l.step;
$$;

drop function billing.remainder_for(uuid, date);
drop function billing.remainder_balance(uuid);

create or replace function billing.keep_invoice() returns trigger
language plpgsql
set search_path = ''
as $$
begin
    if tg_op = 'DELETE' then
        if current_setting('app.erasing', true) = old.organization_id::text then
            return old;
        end if;
        raise exception 'an invoice is never deleted' using errcode = 'BIL01';
    end if;
    if old.issued_at is not null and (
        new.organization_id, new.id, new.period_start, new.period_end, new.number, new.organization_name, new.organization_email, new.plan,
        new.currency, new.total_requests, new.total_amount_minor, new.issued_at, new.due_date, new.created_at, new.seller_name,
        new.seller_address, new.seller_tax_number
    ) is distinct from (
        old.organization_id, old.id, old.period_start, old.period_end, old.number, old.organization_name, old.organization_email, old.plan,
        old.currency, old.total_requests, old.total_amount_minor, old.issued_at, old.due_date, old.created_at, old.seller_name,
        old.seller_address, old.seller_tax_number
    ) then
        raise exception 'an issued invoice is never changed' using errcode = 'BIL01';
    end if;
    if old.status = 'void' and new.status <> 'void' or old.credited_minor > new.credited_minor then
        raise exception 'an invoice does not go back' using errcode = 'BIL02';
    end if;
    return new;
end
$$;

alter table billing.billing_cycle_lines drop constraint billing_cycle_lines_kind_check;
alter table billing.billing_cycle_lines add constraint billing_cycle_lines_kind_check
    check (kind in ('base', 'included', 'overage', 'late', 'carry', 'tax', 'credit'));
alter table billing.movements drop constraint movements_kind_check;
alter table billing.movements add constraint movements_kind_check
    check (kind in ('charge', 'payment', 'refund', 'chargeback', 'credit', 'credit_used'));
comment on column billing.billing_cycle_lines.kind is
    'base, included, overage, late (made in a month closed before), carry (to or from the next invoice, too small to be paid), tax, credit (of credit notes for what had been paid).';
comment on column billing.movements.kind is
    'charge (owed), payment (received), refund and chargeback (given back), credit (a credit note), credit_used (a part of one, taken off a later invoice).';

alter table billing.billing_cycles drop constraint billing_cycles_covered_check;
alter table billing.billing_cycles add constraint billing_cycles_covered_check check (
    status in ('parked', 'void') or (status = 'paid') = (paid_minor + credited_minor >= total_amount_minor)
);
alter table billing.billing_cycles drop column remainder_minor;
comment on column billing.billing_cycles.status is
    'pending, paid (covered by payments and credits), overdue, parked (held back by a safety bound), void (nobody owes it).';

revoke execute on function billing.apply_payment(uuid, uuid, text, bigint, bigint, boolean, text, timestamptz) from public;
grant execute on function billing.apply_payment(uuid, uuid, text, bigint, bigint, boolean, text, timestamptz) to app_worker;
reset role;
