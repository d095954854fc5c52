-- depends: 0005_usage
-- Plans and prices as rows, closed months as invoices with lines, payments, every movement of money, and the providers' inbox.

set local role app_owner;

create schema billing;
comment on schema billing is 'Plans, invoices, payments and the webhook inbox.';

create table billing.plans (
    plan           text not null,
    valid_from     date not null,
    currency       text not null default 'USD',
    base_minor     bigint not null,
    included       bigint,
    overage_minor  bigint not null default 0,
    overage_per    bigint not null default 1,
    is_hard_quota  boolean not null default false,
    per_minute     integer not null,
    max_api_keys   integer not null,
    rank           integer not null,
    constraint plans_pkey primary key (plan, valid_from),
    constraint plans_plan_check check (plan in ('free', 'starter', 'pro')),
    constraint plans_amounts_check check (base_minor >= 0 and included >= 0 and overage_minor >= 0 and overage_per > 0),
    constraint plans_quota_check check (not is_hard_quota or included is not null)
);
comment on table billing.plans is 'A price holds from its day on, for the months that begin then or later; a change of price is a new row.';
comment on column billing.plans.plan is 'free, starter or pro.';
comment on column billing.plans.valid_from is 'First day on which the row holds.';
comment on column billing.plans.currency is 'ISO 4217 code of the amounts.';
comment on column billing.plans.base_minor is 'Price of a whole month in minor units.';
comment on column billing.plans.included is 'Requests of a whole month that the base pays for; null is unlimited.';
comment on column billing.plans.overage_minor is 'Minor units for each overage_per requests over the included ones.';
comment on column billing.plans.overage_per is 'Requests that overage_minor pays for: 1000 makes a price per thousand.';
comment on column billing.plans.is_hard_quota is 'Whether requests over the included ones are refused rather than charged.';
comment on column billing.plans.per_minute is 'Requests a minute.';
comment on column billing.plans.max_api_keys is 'Active API keys at once.';
comment on column billing.plans.rank is 'Order of the plans: a change to a higher one acts at once, to a lower one with the next month.';
insert into billing.plans (plan, valid_from, base_minor, included, overage_minor, is_hard_quota, per_minute, max_api_keys, rank)
values
    ('free',    '2000-01-01',    0,  1000, 0, true,   10,   5, 1),
    ('starter', '2000-01-01', 1000, 10000, 1, false,  60,  25, 2),
    ('pro',     '2000-01-01', 5000,  null, 0, false, 300, 100, 3);

create table billing.agreed_prices (
    organization_id uuid not null,
    plan            text not null,
    valid_from      date not null,
    base_minor      bigint not null,
    included        bigint,
    overage_minor   bigint not null default 0,
    overage_per     bigint not null default 1,
    constraint agreed_prices_pkey primary key (organization_id, plan, valid_from),
    constraint agreed_prices_organization_id_fkey foreign key (organization_id) references tenancy.organizations (organization_id),
    constraint agreed_prices_plan_check check (plan in ('free', 'starter', 'pro')),
    constraint agreed_prices_amounts_check check (base_minor >= 0 and included >= 0 and overage_minor >= 0 and overage_per > 0)
);
comment on table billing.agreed_prices is 'What one organization pays instead of the list price; written by an operator.';
comment on column billing.agreed_prices.organization_id is 'Whose price it is.';
comment on column billing.agreed_prices.plan is 'The plan it replaces the price of.';
comment on column billing.agreed_prices.valid_from is 'First day on which it holds; it holds for the months that begin then or later.';
comment on column billing.agreed_prices.base_minor is 'As in billing.plans.';
comment on column billing.agreed_prices.included is 'As in billing.plans; limits and hard quotas stay the plan''s.';
comment on column billing.agreed_prices.overage_minor is 'As in billing.plans.';
comment on column billing.agreed_prices.overage_per is 'As in billing.plans.';

create table billing.plan_segments (
    organization_id uuid not null,
    position        bigint not null,
    starts_at       timestamptz not null,
    plan            text not null,
    created_at      timestamptz not null default now(),
    constraint plan_segments_pkey primary key (organization_id, position),
    constraint plan_segments_organization_id_fkey foreign key (organization_id) references tenancy.organizations (organization_id),
    constraint plan_segments_plan_check check (plan in ('free', 'starter', 'pro')),
    constraint plan_segments_position_check check (position > 0)
);
create index plan_segments_starts_at_idx on billing.plan_segments (organization_id, starts_at, position);
comment on table billing.plan_segments is
    'Which plan is in force from when on; append-only. Of rows with the same start the last written holds: a planned change is taken back by another row.';
comment on column billing.plan_segments.organization_id is 'Whose plan it is.';
comment on column billing.plan_segments.position is 'Order of writing, from 1.';
comment on column billing.plan_segments.starts_at is 'From when on; in the future for a change that waits for the next month.';
comment on column billing.plan_segments.plan is 'The plan in force from then on.';
comment on column billing.plan_segments.created_at is 'When the row was written.';

create table billing.billing_cycles (
    organization_id     uuid not null,
    id                  uuid not null,
    period_start        timestamptz not null,
    period_end          timestamptz not null,
    number              bigint,
    organization_name   text not null,
    organization_email  text not null,
    plan                text not null,
    currency            text not null,
    total_requests      bigint not null,
    total_amount_minor  bigint not null,
    paid_minor          bigint not null default 0,
    credited_minor      bigint not null default 0,
    status              text not null default 'pending',
    remark              text,
    issued_at           timestamptz,
    due_date            timestamptz,
    paid_at             timestamptz,
    created_at          timestamptz not null default now(),
    constraint billing_cycles_pkey primary key (organization_id, id),
    constraint billing_cycles_period_key unique (organization_id, period_start),
    constraint billing_cycles_number_key unique (organization_id, number),
    constraint billing_cycles_organization_id_fkey foreign key (organization_id) references tenancy.organizations (organization_id),
    constraint billing_cycles_status_check check (status in ('pending', 'paid', 'overdue', 'parked', 'void')),
    constraint billing_cycles_total_check check (total_amount_minor >= 0 and paid_minor >= 0 and credited_minor between 0 and total_amount_minor),
    constraint billing_cycles_issued_check check (
        num_nulls(number, issued_at, due_date) in (0, 3) and (issued_at is not null or status in ('parked', 'void'))
        and (status <> 'parked' or issued_at is null)
    ),
    constraint billing_cycles_covered_check check (
        status in ('parked', 'void') or (status = 'paid') = (paid_minor + credited_minor >= total_amount_minor)
    ),
    constraint billing_cycles_paid_check check ((status = 'paid') = (paid_at is not null)),
    constraint billing_cycles_period_check check (period_start < period_end)
);
create index billing_cycles_status_idx on billing.billing_cycles (organization_id, status);
comment on table billing.billing_cycles is
    'One invoice for each closed month: name, plan and prices as they were, never changed once issued. Its state follows from what was paid.';
comment on column billing.billing_cycles.organization_id is 'Who owes it.';
comment on column billing.billing_cycles.id is 'Names the invoice in URLs.';
comment on column billing.billing_cycles.period_start is 'First moment of the month, UTC.';
comment on column billing.billing_cycles.period_end is 'First moment of the next month, UTC; it does not belong to the period.';
comment on column billing.billing_cycles.number is 'Counts the organization''s invoices from 1 without gaps; null while parked.';
comment on column billing.billing_cycles.organization_name is 'The organization''s name when the month was closed.';
comment on column billing.billing_cycles.organization_email is 'The billing contact when the month was closed.';
comment on column billing.billing_cycles.plan is 'The plan in force on the last day of the month.';
comment on column billing.billing_cycles.currency is 'ISO 4217 code of every amount of the invoice.';
comment on column billing.billing_cycles.total_requests is 'Billable requests on the invoice.';
comment on column billing.billing_cycles.total_amount_minor is 'Sum of the lines in minor units.';
comment on column billing.billing_cycles.paid_minor is 'Received minus given back, in minor units.';
comment on column billing.billing_cycles.credited_minor is 'Written off by credits, in minor units.';
comment on column billing.billing_cycles.status is
    'pending, paid (covered by payments and credits), overdue, parked (held back by a safety bound), void (nobody owes it).';
comment on column billing.billing_cycles.remark is 'Why it was parked, released or voided.';
comment on column billing.billing_cycles.issued_at is 'When it got its number; from then on only its state changes.';
comment on column billing.billing_cycles.due_date is 'When it must be paid.';
comment on column billing.billing_cycles.paid_at is 'When it was covered.';
comment on column billing.billing_cycles.created_at is 'When the row was written.';

create table billing.billing_cycle_lines (
    organization_id  uuid not null,
    billing_cycle_id uuid not null,
    position         integer not null,
    kind             text not null,
    plan             text,
    description      text not null,
    quantity         bigint not null,
    unit_minor       bigint not null,
    unit_per         bigint not null default 1,
    amount_minor     bigint not null,
    constraint billing_cycle_lines_pkey primary key (organization_id, billing_cycle_id, position),
    constraint billing_cycle_lines_billing_cycle_id_fkey
        foreign key (organization_id, billing_cycle_id) references billing.billing_cycles (organization_id, id),
    constraint billing_cycle_lines_kind_check check (kind in ('base', 'included', 'overage', 'late', 'carry', 'tax')),
    constraint billing_cycle_lines_position_check check (position > 0)
);
comment on table billing.billing_cycle_lines is 'What an invoice is made of; the amounts sum to its total.';
comment on column billing.billing_cycle_lines.organization_id is 'Whose invoice it belongs to.';
comment on column billing.billing_cycle_lines.billing_cycle_id is 'The invoice.';
comment on column billing.billing_cycle_lines.position is 'Place on the invoice, from 1.';
comment on column billing.billing_cycle_lines.kind is
    'base, included, overage, late (made in a month closed before), carry (to or from the next invoice, too small to be paid), tax.';
comment on column billing.billing_cycle_lines.plan is 'The plan that rated the line.';
comment on column billing.billing_cycle_lines.description is 'What the reader sees.';
comment on column billing.billing_cycle_lines.quantity is 'Requests, or days for a base.';
comment on column billing.billing_cycle_lines.unit_minor is 'Minor units for each unit_per of the quantity.';
comment on column billing.billing_cycle_lines.unit_per is 'How many the unit price is for.';
comment on column billing.billing_cycle_lines.amount_minor is 'Whole minor units, rounded once; negative when it is carried away.';

create table billing.invoice_counters (
    organization_id uuid not null,
    last_number     bigint not null default 0,
    constraint invoice_counters_pkey primary key (organization_id),
    constraint invoice_counters_organization_id_fkey foreign key (organization_id) references tenancy.organizations (organization_id)
);
comment on table billing.invoice_counters is 'The last number of each organization; a row, not a sequence, because a sequence leaves gaps.';
comment on column billing.invoice_counters.organization_id is 'Whose invoices are counted.';
comment on column billing.invoice_counters.last_number is 'The number of its newest invoice.';

create table billing.payments (
    organization_id     uuid not null,
    id                  uuid not null,
    billing_cycle_id    uuid not null,
    provider            text not null,
    reference           text,
    provider_payment_id text,
    url                 text,
    customer_email      text not null,
    amount_minor        bigint not null,
    currency            text not null,
    invoice_minor       bigint not null,
    status              text not null default 'open',
    failure             text,
    succeeded_minor     bigint not null default 0,
    refunded_minor      bigint not null default 0,
    charged_back_minor  bigint not null default 0,
    surplus_minor       bigint not null default 0,
    is_disputed         boolean not null default false,
    expires_at          timestamptz not null,
    asked_at            timestamptz not null,
    settled_at          timestamptz,
    updated_at          timestamptz not null,
    created_at          timestamptz not null,
    constraint payments_pkey primary key (organization_id, id),
    constraint payments_billing_cycle_id_fkey
        foreign key (organization_id, billing_cycle_id) references billing.billing_cycles (organization_id, id),
    constraint payments_provider_check check (provider in ('stripe', 'paystack')),
    constraint payments_status_check check (status in ('open', 'succeeded', 'failed', 'expired', 'refunded')),
    constraint payments_url_check check ((url is null) or reference is not null),
    constraint payments_amounts_check check (
        amount_minor > 0 and invoice_minor > 0 and succeeded_minor in (0, amount_minor)
        and refunded_minor >= 0 and charged_back_minor >= 0 and refunded_minor + charged_back_minor <= succeeded_minor
        and surplus_minor between 0 and amount_minor
    ),
    constraint payments_succeeded_check check ((succeeded_minor > 0) = (status in ('succeeded', 'refunded')))
);
create unique index payments_live_key on billing.payments (organization_id, billing_cycle_id) where status = 'open';
create index payments_billing_cycle_id_idx on billing.payments (organization_id, billing_cycle_id);
create index payments_status_idx on billing.payments (organization_id, status);
comment on table billing.payments is
    'An attempt to pay one invoice with one provider; it exists before the provider hears of it, its id is the idempotency key. One live attempt an invoice.';
comment on column billing.payments.organization_id is 'Who pays.';
comment on column billing.payments.id is 'The attempt; what the provider is told about it carries this id.';
comment on column billing.payments.billing_cycle_id is 'The invoice.';
comment on column billing.payments.provider is 'stripe or paystack.';
comment on column billing.payments.reference is 'How the provider calls the checkout; null until it answered.';
comment on column billing.payments.provider_payment_id is 'How the provider calls the money that came.';
comment on column billing.payments.url is 'Where the customer pays.';
comment on column billing.payments.customer_email is 'Told to the provider; kept because a repeated call must be identical.';
comment on column billing.payments.amount_minor is 'What the provider is asked to charge, in minor units of currency; never changed.';
comment on column billing.payments.currency is 'ISO 4217 code of the charge.';
comment on column billing.payments.invoice_minor is 'What it covers of the invoice, in the invoice''s currency: with amount_minor it is the quote.';
comment on column billing.payments.status is 'open, succeeded, failed, expired, refunded (all of it); moves forward only.';
comment on column billing.payments.failure is 'Why the provider refused, for operators.';
comment on column billing.payments.succeeded_minor is 'Nothing, or the whole amount.';
comment on column billing.payments.refunded_minor is 'Given back, in minor units of currency.';
comment on column billing.payments.charged_back_minor is 'Lost in a dispute, in minor units of currency.';
comment on column billing.payments.surplus_minor is 'What arrived although the invoice was covered, in minor units of currency; a job gives it back.';
comment on column billing.payments.is_disputed is 'Whether a dispute is open.';
comment on column billing.payments.expires_at is 'When the checkout closes.';
comment on column billing.payments.asked_at is 'When the provider was last asked about it.';
comment on column billing.payments.settled_at is 'When the money came, or when it was known that none will.';
comment on column billing.payments.updated_at is 'When anything here last changed.';
comment on column billing.payments.created_at is 'When the attempt was begun.';

create table billing.movements (
    organization_id  uuid not null,
    id               uuid not null default gen_random_uuid(),
    billing_cycle_id uuid not null,
    payment_id       uuid,
    kind             text not null,
    amount_minor     bigint not null,
    currency         text not null,
    occurred_at      timestamptz not null,
    created_at       timestamptz not null default now(),
    constraint movements_pkey primary key (organization_id, id),
    constraint movements_billing_cycle_id_fkey
        foreign key (organization_id, billing_cycle_id) references billing.billing_cycles (organization_id, id),
    constraint movements_payment_id_fkey foreign key (organization_id, payment_id) references billing.payments (organization_id, id),
    constraint movements_kind_check check (kind in ('charge', 'payment', 'refund', 'chargeback', 'credit')),
    constraint movements_payment_check check ((payment_id is not null) = (kind in ('payment', 'refund', 'chargeback'))),
    constraint movements_amount_check check (amount_minor > 0)
);
create index movements_billing_cycle_id_idx on billing.movements (organization_id, billing_cycle_id);
create index movements_payment_id_idx on billing.movements (organization_id, payment_id);
comment on table billing.movements is 'The ledger: every movement of money once, written by triggers, never changed.';
comment on column billing.movements.organization_id is 'Whose account it moves.';
comment on column billing.movements.id is 'Names the movement.';
comment on column billing.movements.billing_cycle_id is 'The invoice it belongs to.';
comment on column billing.movements.payment_id is 'The payment, when one moved.';
comment on column billing.movements.kind is 'charge (owed), payment (received), refund and chargeback (given back), credit (no longer owed).';
comment on column billing.movements.amount_minor is 'Minor units of currency, always positive: the kind tells the direction.';
comment on column billing.movements.currency is 'ISO 4217 code, the invoice''s.';
comment on column billing.movements.occurred_at is 'When it happened.';
comment on column billing.movements.created_at is 'When it was written.';

create table billing.payment_events (
    provider        text not null,
    event_id        text not null,
    type            text not null,
    reference       text,
    is_live         boolean not null,
    payload         jsonb not null,
    received_at     timestamptz not null,
    organization_id uuid,
    outcome         text,
    handled_at      timestamptz,
    constraint payment_events_pkey primary key (provider, event_id),
    constraint payment_events_provider_check check (provider in ('stripe', 'paystack')),
    constraint payment_events_handled_check check ((outcome is null) = (handled_at is null))
);
create index payment_events_reference_idx on billing.payment_events (provider, reference);
create index payment_events_unhandled_idx on billing.payment_events (received_at) where handled_at is null;
comment on table billing.payment_events is
    'The inbox: what a provider told us, whole and once, handled by a job. Global, because an event has no organization until it is matched.';
comment on column billing.payment_events.provider is 'stripe or paystack.';
comment on column billing.payment_events.event_id is 'The provider''s id of the event; for Paystack, which has none, its kind and the id of its subject.';
comment on column billing.payment_events.type is 'What it means to us, such as payment_succeeded.';
comment on column billing.payment_events.reference is 'The checkout or payment it speaks of, in the provider''s words.';
comment on column billing.payment_events.is_live is 'Whether it speaks of real money.';
comment on column billing.payment_events.payload is 'The whole event.';
comment on column billing.payment_events.received_at is 'When it arrived.';
comment on column billing.payment_events.organization_id is 'Whose payment it was matched to.';
comment on column billing.payment_events.outcome is 'What came of it, such as applied, ignored, unmatched or wrong_amount.';
comment on column billing.payment_events.handled_at is 'When the job was done with it.';

do $$ begin
    perform app.secure_tenant_table(tenant_table)
    from unnest(array['billing.agreed_prices', 'billing.plan_segments', 'billing.billing_cycles', 'billing.billing_cycle_lines',
    'billing.invoice_counters', 'billing.payments', 'billing.movements']::regclass[]) as tenant_table;
end $$;

grant usage on schema billing to app_rw, app_ro, app_resolver;
grant select on billing.plans, billing.agreed_prices, billing.plan_segments, billing.billing_cycles, billing.billing_cycle_lines,
    billing.invoice_counters, billing.payments, billing.movements to app_rw, app_ro;
grant insert on billing.plan_segments, billing.billing_cycles, billing.payments to app_rw;
grant update (reference, url, status, failure, expires_at, settled_at, updated_at) on billing.payments to app_rw;
-- Issuing invoices and moving money is the worker's.
grant insert on billing.billing_cycle_lines, billing.invoice_counters, billing.movements to app_worker;
grant update (number, total_requests, total_amount_minor, paid_minor, credited_minor, status, remark, issued_at, due_date, paid_at)
    on billing.billing_cycles to app_worker;
grant update (last_number) on billing.invoice_counters to app_worker;
grant update (provider_payment_id, succeeded_minor, refunded_minor, charged_back_minor, surplus_minor, is_disputed, asked_at)
    on billing.payments to app_worker;
grant insert on billing.payment_events to app_api;
grant select on billing.payment_events to app_worker;
grant update (organization_id, outcome, handled_at) on billing.payment_events to app_worker;

-- What must not change does not, whoever asks; an erasure of a whole organization says so by app.erasing.
create function billing.keep_rows() returns trigger
language plpgsql
set search_path = ''
as $$
begin
    if tg_op = 'DELETE' and current_setting('app.erasing', true) = old.organization_id::text then
        return old;
    end if;
    raise exception '% is append-only', tg_argv[0] using errcode = 'BIL01';
end
$$;
comment on function billing.keep_rows() is 'Refuses (BIL01) updates and deletes, but for the erasure of the organization named by app.erasing.';
create trigger keep_rows before update or delete on billing.plan_segments for each row execute function billing.keep_rows('billing.plan_segments');
create trigger keep_rows before update or delete on billing.billing_cycle_lines
    for each row execute function billing.keep_rows('billing.billing_cycle_lines');
create trigger keep_rows before update or delete on billing.movements for each row execute function billing.keep_rows('billing.movements');

create function billing.keep_invoice() returns trigger
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
        new.currency, new.total_requests, new.total_amount_minor, new.issued_at, new.due_date, new.created_at
    ) is distinct from (
        old.organization_id, old.id, old.period_start, old.period_end, old.number, old.organization_name, old.organization_email, old.plan,
        old.currency, old.total_requests, old.total_amount_minor, old.issued_at, old.due_date, old.created_at
    ) then
        raise exception 'an issued invoice is never changed' using errcode = 'BIL01';
    end if;
    if old.status = 'void' and new.status <> 'void' or old.credited_minor > new.credited_minor then
        raise exception 'an invoice does not go back' using errcode = 'BIL02';
    end if;
    return new;
end
$$;
comment on function billing.keep_invoice() is 'Refuses (BIL01) any change of an issued invoice but of its state, and (BIL02) a state that goes back.';
create trigger keep_invoice before update or delete on billing.billing_cycles for each row execute function billing.keep_invoice();

create function billing.keep_lines() returns trigger
language plpgsql
set search_path = ''
as $$
begin
    if exists (
        select from billing.billing_cycles c
        where c.organization_id = new.organization_id and c.id = new.billing_cycle_id and c.issued_at is not null
    ) then
        raise exception 'an issued invoice gets no more lines' using errcode = 'BIL01';
    end if;
    return new;
end
$$;
comment on function billing.keep_lines() is 'Refuses (BIL01) a line for an invoice that has been issued.';
create trigger keep_lines before insert on billing.billing_cycle_lines for each row execute function billing.keep_lines();

create function billing.keep_payment() returns trigger
language plpgsql
set search_path = ''
as $$
begin
    if tg_op = 'DELETE' then
        if current_setting('app.erasing', true) = old.organization_id::text then
            return old;
        end if;
        raise exception 'a payment is never deleted' using errcode = 'BIL01';
    end if;
    if (new.organization_id, new.id, new.billing_cycle_id, new.provider, new.customer_email, new.amount_minor, new.currency, new.invoice_minor,
        new.created_at, coalesce(old.reference, new.reference))
        is distinct from
        (old.organization_id, old.id, old.billing_cycle_id, old.provider, old.customer_email, old.amount_minor, old.currency, old.invoice_minor,
        old.created_at, new.reference) then
        raise exception 'an attempt to pay is never changed: another amount is another attempt' using errcode = 'BIL01';
    end if;
    if new.succeeded_minor < old.succeeded_minor or new.refunded_minor < old.refunded_minor or new.charged_back_minor < old.charged_back_minor
        or new.status <> old.status and (
            old.status = 'refunded'
            or old.status = 'succeeded' and new.status <> 'refunded'
            or old.status in ('failed', 'expired') and new.status not in ('succeeded', 'refunded')
        ) then
        raise exception 'a payment does not go back from % to %', old.status, new.status using errcode = 'BIL02';
    end if;
    return new;
end
$$;
comment on function billing.keep_payment() is 'Refuses (BIL01) a change of what is paid for, and (BIL02) a state or an amount that goes back.';
create trigger keep_payment before update or delete on billing.payments for each row execute function billing.keep_payment();

create function billing.keep_closed_prices() returns trigger
language plpgsql
set search_path = ''
as $$
begin
    if tg_op <> 'INSERT' and old.valid_from < usage.first_open_month() or tg_op <> 'DELETE' and new.valid_from < usage.first_open_month() then
        raise exception 'a price of a closed month is never changed: write a row that holds from a later day' using errcode = 'BIL01';
    end if;
    return case when tg_op = 'DELETE' then old else new end;
end
$$;
comment on function billing.keep_closed_prices() is 'Refuses (BIL01) to write or change a price that a closed month was rated with.';
create trigger keep_closed_prices before insert or update or delete on billing.plans
    for each row execute function billing.keep_closed_prices();
create trigger keep_closed_prices before insert or update or delete on billing.agreed_prices
    for each row execute function billing.keep_closed_prices();

-- The ledger follows the tables it speaks of: nobody can move money without it.
create function billing.write_charge() returns trigger
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
comment on function billing.write_charge() is 'Writes what an invoice charges into the ledger when it is issued.';
create trigger write_charge after update of issued_at on billing.billing_cycles for each row execute function billing.write_charge();

create function billing.worth(part_minor bigint, payment billing.payments) returns bigint
language sql immutable
set search_path = ''
as $$
    select part_minor * payment.invoice_minor / payment.amount_minor;
$$;
comment on function billing.worth(bigint, billing.payments) is
    'What a part of a payment is worth in the invoice''s currency, by the attempt''s own quote; whole minor units, rounded down.';

create function billing.write_payment() returns trigger
language plpgsql
set search_path = ''
as $$
begin
    insert into billing.movements (organization_id, billing_cycle_id, payment_id, kind, amount_minor, currency, occurred_at)
    select new.organization_id, new.billing_cycle_id, new.id, moved.kind, moved.amount_minor, c.currency, new.updated_at
    from billing.billing_cycles c
    cross join (values
        ('payment', billing.worth(new.succeeded_minor, new) - billing.worth(old.succeeded_minor, old)),
        ('refund', billing.worth(new.refunded_minor, new) - billing.worth(old.refunded_minor, old)),
        ('chargeback', billing.worth(new.charged_back_minor, new) - billing.worth(old.charged_back_minor, old))
    ) as moved (kind, amount_minor)
    where c.organization_id = new.organization_id and c.id = new.billing_cycle_id and moved.amount_minor > 0;
    return null;
end
$$;
comment on function billing.write_payment() is 'Writes into the ledger what a payment received or gave back.';
create trigger write_payment after update of succeeded_minor, refunded_minor, charged_back_minor on billing.payments
    for each row execute function billing.write_payment();

-- Plan segments follow the organization's row, so that no change of plan can be forgotten.
create function billing.number_segment() returns trigger
language plpgsql
set search_path = ''
as $$
begin
    new.position := coalesce(new.position, 1 + coalesce((
        select max(s.position) from billing.plan_segments s where s.organization_id = new.organization_id
    ), 0));
    return new;
end
$$;
comment on function billing.number_segment() is 'Gives a segment the next position of its organization.';
create trigger number_segment before insert on billing.plan_segments for each row execute function billing.number_segment();

create function billing.plan_at(organization uuid, at_time timestamptz) returns text
language sql stable
set search_path = ''
as $$
    select s.plan
    from billing.plan_segments s
    where s.organization_id = organization and s.starts_at <= at_time
    order by s.starts_at desc, s.position desc
    limit 1;
$$;
comment on function billing.plan_at(uuid, timestamptz) is 'The plan in force at a moment; null before the first.';

create function billing.follow_plan() returns trigger
language plpgsql
set search_path = ''
as $$
declare
    from_time timestamptz := case when tg_op = 'INSERT' then new.created_at
        else greatest(new.updated_at, usage.first_open_month()::timestamp at time zone 'utc') end;
    next_month timestamptz := (date_trunc('month', from_time at time zone 'utc') + interval '1 month') at time zone 'utc';
begin
    if billing.plan_at(new.organization_id, from_time) is distinct from new.plan then
        insert into billing.plan_segments (organization_id, starts_at, plan) values (new.organization_id, from_time, new.plan);
    end if;
    if billing.plan_at(new.organization_id, next_month) is distinct from coalesce(new.pending_plan, new.plan) then
        insert into billing.plan_segments (organization_id, starts_at, plan)
        values (new.organization_id, next_month, coalesce(new.pending_plan, new.plan));
    end if;
    return null;
end
$$;
comment on function billing.follow_plan() is
    'Appends the segments of a change of plan: now (never into a closed month), and from the next month on where a change is pending or taken back.';
create trigger follow_plan after insert or update of plan, pending_plan on tenancy.organizations
    for each row execute function billing.follow_plan();

revoke execute on all functions in schema billing from public;
grant execute on function billing.plan_at(uuid, timestamptz), billing.worth(bigint, billing.payments) to app_rw, app_ro;
