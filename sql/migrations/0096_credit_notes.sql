-- depends: 0095_sellers
-- Corrections are documents of their own: credit notes, numbered without gaps and never changed. What an invoice does not owe
-- any more is taken off it; what has been paid for it already is taken off the next ones, as a line.

-- Two constraints let one kind more in, which every row there is fits; the function dropped here comes back with arguments more.
-- squawk-ignore-file ban-drop-function, ban-drop-constraint, constraint-missing-not-valid

set local role app_owner;

create table billing.credit_notes (
    organization_id    uuid not null,
    id                 uuid not null,
    billing_cycle_id   uuid not null,
    number             bigint not null,
    amount_minor       bigint not null,
    settled_minor      bigint not null,
    balance_minor      bigint not null,
    currency           text not null,
    reason             text not null,
    organization_name  text not null,
    organization_email text not null,
    seller_name        text,
    seller_address     text,
    seller_tax_number  text,
    issued_at          timestamptz not null,
    created_at         timestamptz not null default now(),
    constraint credit_notes_pkey primary key (organization_id, id),
    constraint credit_notes_number_key unique (organization_id, number),
    constraint credit_notes_billing_cycle_id_fkey
        foreign key (organization_id, billing_cycle_id) references billing.billing_cycles (organization_id, id),
    constraint credit_notes_number_check check (number > 0),
    constraint credit_notes_amounts_check check (
        amount_minor > 0 and settled_minor >= 0 and balance_minor >= 0 and settled_minor + balance_minor = amount_minor
    )
);
create index credit_notes_billing_cycle_id_idx on billing.credit_notes (organization_id, billing_cycle_id);
comment on table billing.credit_notes is
    'Corrections of issued invoices, documents of their own that never change: name, seller and reason as they were.';
comment on column billing.credit_notes.organization_id is 'Who owes less.';
comment on column billing.credit_notes.id is 'Names the credit note in URLs.';
comment on column billing.credit_notes.billing_cycle_id is 'The invoice that it corrects.';
comment on column billing.credit_notes.number is 'Counts the organization''s credit notes from 1 without gaps.';
comment on column billing.credit_notes.amount_minor is 'Minor units of currency, tax included; those of one invoice are never more than its total.';
comment on column billing.credit_notes.settled_minor is 'The part that was still owed for the invoice, and is not any more.';
comment on column billing.credit_notes.balance_minor is 'The part that was paid already, and is taken off the next invoices.';
comment on column billing.credit_notes.currency is 'ISO 4217 code, the invoice''s.';
comment on column billing.credit_notes.reason is 'Why, as the document prints it.';
comment on column billing.credit_notes.organization_name is 'The name on the corrected invoice.';
comment on column billing.credit_notes.organization_email is 'The billing contact on the corrected invoice.';
comment on column billing.credit_notes.seller_name is 'Who sold, as it was when the note was issued; null on those written before the seller was kept.';
comment on column billing.credit_notes.seller_address is 'The seller''s address as it was then, a line each.';
comment on column billing.credit_notes.seller_tax_number is 'The seller''s tax number as it was then.';
comment on column billing.credit_notes.issued_at is 'When it was issued.';
comment on column billing.credit_notes.created_at is 'When the row was written.';

alter table billing.invoice_counters add column last_credit_note bigint not null default 0;
comment on column billing.invoice_counters.last_credit_note is 'The number of its newest credit note.';

alter table billing.billing_cycle_lines drop constraint billing_cycle_lines_kind_check;
alter table billing.billing_cycle_lines add constraint billing_cycle_lines_kind_check
    check (kind in ('base', 'included', 'overage', 'late', 'carry', 'tax', 'credit'));
comment on column billing.billing_cycle_lines.kind is
    'base, included, overage, late (made in a month closed before), carry (to or from the next invoice, too small to be paid), tax, credit (of credit notes for what had been paid).';
comment on column billing.billing_cycle_lines.amount_minor is 'Whole minor units, rounded once; negative when it is carried away or a credit.';
alter table billing.movements drop constraint movements_kind_check;
alter table billing.movements add constraint movements_kind_check
    check (kind in ('charge', 'payment', 'refund', 'chargeback', 'credit', 'credit_used'));
comment on column billing.movements.kind is
    'charge (owed), payment (received), refund and chargeback (given back), credit (a credit note), credit_used (a part of one, taken off a later invoice).';

-- Whatever was written off before there were notes gets its note, by the role that sees every organization.
reset role;
insert into billing.credit_notes
    (organization_id, id, billing_cycle_id, number, amount_minor, settled_minor, balance_minor, currency, reason, organization_name,
     organization_email, seller_name, seller_address, seller_tax_number, issued_at)
select m.organization_id, gen_random_uuid(), m.billing_cycle_id,
       row_number() over (partition by m.organization_id order by m.occurred_at, m.id), m.amount_minor, m.amount_minor, 0, m.currency,
       coalesce(regexp_replace(c.remark, ' \(by [^()]*\)$', ''), 'Credit'), c.organization_name, c.organization_email, c.seller_name, c.seller_address, c.seller_tax_number,
       m.occurred_at
from billing.movements m
join billing.billing_cycles c on c.organization_id = m.organization_id and c.id = m.billing_cycle_id
where m.kind = 'credit';
update billing.invoice_counters k set last_credit_note = n.last
from (select organization_id, max(number) as last from billing.credit_notes group by organization_id) n
where n.organization_id = k.organization_id;
set local role app_owner;

do $$ begin perform app.secure_tenant_table('billing.credit_notes'), audit.watch('billing.credit_notes'); end $$;
grant select on billing.credit_notes to app_rw, app_ro;
grant insert on billing.credit_notes to app_worker;
grant update (last_credit_note) on billing.invoice_counters to app_worker;
grant select, insert, update, delete on billing.credit_notes to app_breakglass;

create trigger keep_rows before update or delete on billing.credit_notes for each row execute function billing.keep_rows('billing.credit_notes');
comment on trigger keep_rows on billing.credit_notes is 'A credit note never changes.';

create function billing.check_credit_note() returns trigger
language plpgsql
set search_path = ''
as $$
declare
    c billing.billing_cycles;
begin
    -- The invoice is locked: two notes of one invoice are written one after the other. One that cannot be seen is the policies' to refuse.
    select * into c from billing.billing_cycles x where x.organization_id = new.organization_id and x.id = new.billing_cycle_id for no key update;
    if found and (c.issued_at is null or c.status = 'void' or c.total_amount_minor < new.amount_minor + coalesce((
        select sum(n.amount_minor)
        from billing.credit_notes n
        where n.organization_id = new.organization_id and n.billing_cycle_id = new.billing_cycle_id
    ), 0)) then
        raise exception 'only an issued invoice can be credited, and no more than its total' using errcode = 'BIL02';
    end if;
    return new;
end
$$;
comment on function billing.check_credit_note() is 'Refuses (BIL02) a credit note for what is not issued, or for more than the invoice''s total.';
create trigger check_credit_note before insert on billing.credit_notes for each row execute function billing.check_credit_note();
comment on trigger check_credit_note on billing.credit_notes is 'Nothing is credited but an issued invoice, and no more than its total.';

create function billing.write_credit() returns trigger
language plpgsql
set search_path = ''
as $$
begin
    insert into billing.movements (organization_id, billing_cycle_id, kind, amount_minor, currency, occurred_at)
    values (new.organization_id, new.billing_cycle_id, 'credit', new.amount_minor, new.currency, new.issued_at);
    return null;
end
$$;
comment on function billing.write_credit() is 'Writes a credit note into the ledger.';
create trigger write_credit after insert on billing.credit_notes for each row execute function billing.write_credit();
comment on trigger write_credit on billing.credit_notes is 'The ledger follows the credit notes.';

create function billing.credit_balance(organization uuid) returns bigint
language sql stable
set search_path = ''
as $$
    select coalesce((
        select sum(n.balance_minor) from billing.credit_notes n where n.organization_id = organization
    ), 0)::bigint + coalesce((
        select sum(l.amount_minor)
        from billing.billing_cycle_lines l
        join billing.billing_cycles c on c.organization_id = l.organization_id and c.id = l.billing_cycle_id
        where l.organization_id = organization and c.organization_id = organization and l.kind = 'credit' and c.status <> 'void'
    ), 0)::bigint;
$$;
comment on function billing.credit_balance(uuid) is
    'What credit notes gave back of invoices that had been paid, and no later invoice has used yet, in minor units.';

create function billing.credit_for(organization uuid, month date, gross_minor bigint) returns bigint
language sql stable
set search_path = ''
as $$
    with written as (
        select l.kind, l.amount_minor
        from billing.billing_cycle_lines l
        join billing.billing_cycles c on c.organization_id = l.organization_id and c.id = l.billing_cycle_id
        where l.organization_id = organization and c.organization_id = organization
          and c.period_start = credit_for.month::timestamp at time zone 'utc'
    )
    select case
        when not exists (select from billing.credit_notes n where n.organization_id = organization) then 0
        -- An invoice that is written keeps what it has taken off, whatever was credited since.
        when exists (select from written) then coalesce((select -sum(w.amount_minor) from written w where w.kind = 'credit'), 0)::bigint
        else greatest(0, least(gross_minor, billing.credit_balance(organization)))
    end;
$$;
comment on function billing.credit_for(uuid, date, bigint) is
    'What credit notes take off a month''s invoice, no more than the sum of its other lines; of a written invoice what it did take off.';

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

create function billing.smallest_payment() returns bigint
language sql immutable
set search_path = ''
as $$
    select 50::bigint;
$$;
comment on function billing.smallest_payment() is 'Minor units below which no provider takes a payment: such an amount goes to the next invoice.';

create or replace function billing.close_cycle(organization uuid, month date, cycle_id uuid, at_time timestamptz, due_days integer,
    seller_name text default null, seller_address text default null, seller_tax_number text default null
) returns text
language plpgsql
set search_path = ''
as $$
declare
    smallest constant bigint := billing.smallest_payment();
    total bigint;
    gross bigint;
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
    select coalesce(sum(l.amount_minor), 0), coalesce(sum(l.amount_minor) filter (where l.kind <> 'credit'), 0),
           coalesce(sum(l.quantity) filter (where l.kind in ('included', 'overage', 'late')), 0), count(*)
    into total, gross, requests, lines
    from billing.billing_cycle_lines l
    where l.organization_id = organization and l.billing_cycle_id = cycle_id;

    reason := billing.absurdity(organization, month, gross, requests);
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

create function billing.fate(organization uuid, month date) returns table (total_minor bigint, status text, reason text)
language sql stable
set search_path = ''
as $$
    with sums as (
        select coalesce(sum(l.amount_minor), 0)::bigint as total, coalesce(sum(l.amount_minor) filter (where l.kind <> 'credit'), 0)::bigint as gross,
               coalesce(sum(l.quantity) filter (where l.kind in ('included', 'overage', 'late')), 0)::bigint as requests
        from billing.charge(fate.organization, fate.month) l
    )
    select s.total, case
            when a.reason is not null then 'parked'
            when s.total = 0 then 'paid'
            when s.total < billing.smallest_payment() then 'carried'
            else 'pending'
        end, a.reason
    from sums s
    cross join lateral (select billing.absurdity(fate.organization, fate.month, s.gross, s.requests) as reason) a;
$$;
comment on function billing.fate(uuid, date) is
    'What closing a month would make of its invoice: the sum of its lines, and whether it would be pending, paid (nothing to pay), carried (too small to be paid) or parked, and why.';

create or replace function billing.write_charge() returns trigger
language plpgsql
set search_path = ''
as $$
begin
    if old.issued_at is null and new.issued_at is not null and new.total_amount_minor > 0 then
        insert into billing.movements (organization_id, billing_cycle_id, kind, amount_minor, currency, occurred_at)
        values (new.organization_id, new.id, 'charge', new.total_amount_minor, new.currency, new.issued_at);
    end if;
    if old.issued_at is null and new.issued_at is not null then
        insert into billing.movements (organization_id, billing_cycle_id, kind, amount_minor, currency, occurred_at)
        select new.organization_id, new.id, 'credit_used', -sum(l.amount_minor), new.currency, new.issued_at
        from billing.billing_cycle_lines l
        where l.organization_id = new.organization_id and l.billing_cycle_id = new.id and l.kind = 'credit'
        having sum(l.amount_minor) < 0;
    end if;
    return null;
end
$$;

drop function billing.credit(uuid, uuid, bigint, text, timestamptz);
create function billing.credit(
    organization uuid, cycle uuid, minor bigint, reason text, at_time timestamptz, note uuid default null,
    seller_name text default null, seller_address text default null, seller_tax_number text default null
) returns text
language plpgsql
set search_path = ''
as $$
declare
    c billing.billing_cycles;
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
         organization_email, seller_name, seller_address, seller_tax_number, issued_at)
    values (organization, coalesce(note, gen_random_uuid()), cycle, next_number, minor, settled, minor - settled, c.currency, reason,
            c.organization_name, c.organization_email, credit.seller_name, credit.seller_address, credit.seller_tax_number, at_time);
    update billing.billing_cycles x
    set credited_minor = x.credited_minor + settled,
        status = case when x.paid_minor + x.credited_minor + settled >= x.total_amount_minor then 'paid' else x.status end,
        paid_at = case when x.paid_minor + x.credited_minor + settled >= x.total_amount_minor then coalesce(x.paid_at, at_time) end
    where x.organization_id = organization and x.id = cycle;
    return billing.settle(organization, cycle, at_time);
end
$$;
comment on function billing.credit(uuid, uuid, bigint, text, timestamptz, uuid, text, text, text) is
    'Writes a credit note for an issued invoice, which itself never changes: what it still owes is not owed any more, the rest is taken off the next ones. Returns its status.';

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

revoke execute on function billing.check_credit_note(), billing.write_credit(), billing.credit_balance(uuid),
    billing.credit_for(uuid, date, bigint), billing.smallest_payment(), billing.fate(uuid, date), billing.credit(uuid, uuid, bigint, text, timestamptz, uuid, text, text, text) from public;
grant execute on function billing.credit_balance(uuid), billing.credit_for(uuid, date, bigint), billing.smallest_payment(),
    billing.fate(uuid, date) to app_rw, app_ro;
grant execute on function billing.credit(uuid, uuid, bigint, text, timestamptz, uuid, text, text, text) to app_worker;
reset role;
