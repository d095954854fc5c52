-- depends: 0005_usage
-- Plans and prices as rows, closed months as invoices with lines, payments and the providers' inbox.

set local role app_owner;

create schema billing;
comment on schema billing is 'Plans, invoices, payments and the webhook inbox.';

-- A price is a row that holds from its day on; a change of price is a new row.
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
insert into billing.plans (plan, valid_from, base_minor, included, overage_minor, is_hard_quota, per_minute, max_api_keys, rank)
values
    ('free',    '2000-01-01',    0,  1000, 0, true,   10,  5, 1),
    ('starter', '2000-01-01', 1000, 10000, 1, false,  60, 25, 2),
    ('pro',     '2000-01-01', 5000,  null, 0, false, 300, 100, 3);

-- Which plan was in force from when on: append-only; closing a month never reads the organization's current plan.
create table billing.plan_segments (
    organization_id uuid not null,
    starts_at       timestamptz not null,
    plan            text not null,
    created_at      timestamptz not null default now(),
    constraint plan_segments_pkey primary key (organization_id, starts_at),
    constraint plan_segments_organization_id_fkey foreign key (organization_id) references tenancy.organizations (organization_id),
    constraint plan_segments_plan_check check (plan in ('free', 'starter', 'pro'))
);

create table billing.billing_cycles (
    organization_id     uuid not null,
    id                  uuid not null,
    period_start        timestamptz not null,
    period_end          timestamptz not null,
    number              bigint not null,
    organization_name   text not null,
    organization_email  text not null,
    plan                text not null,
    currency            text not null,
    total_requests      bigint not null,
    total_amount_minor  bigint not null,
    paid_minor          bigint not null default 0,
    status              text not null default 'pending',
    issued_at           timestamptz not null,
    due_date            timestamptz not null,
    paid_at             timestamptz,
    created_at          timestamptz not null default now(),
    constraint billing_cycles_pkey primary key (organization_id, id),
    constraint billing_cycles_period_key unique (organization_id, period_start),
    constraint billing_cycles_number_key unique (organization_id, number),
    constraint billing_cycles_organization_id_fkey foreign key (organization_id) references tenancy.organizations (organization_id),
    constraint billing_cycles_status_check check (status in ('pending', 'paid', 'overdue', 'parked', 'void')),
    constraint billing_cycles_total_check check (total_amount_minor >= 0),
    constraint billing_cycles_paid_check check ((status = 'paid') = (paid_at is not null)),
    constraint billing_cycles_period_check check (period_start < period_end)
);
create index billing_cycles_status_idx on billing.billing_cycles (organization_id, status);

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
    constraint billing_cycle_lines_kind_check check (kind in ('base', 'included', 'overage', 'carry', 'credit', 'tax'))
);

create table billing.invoice_counters (
    organization_id uuid not null,
    last_number     bigint not null default 0,
    constraint invoice_counters_pkey primary key (organization_id),
    constraint invoice_counters_organization_id_fkey foreign key (organization_id) references tenancy.organizations (organization_id)
);

-- An attempt to pay one invoice with one provider; it exists before the provider hears of it.
create table billing.payments (
    organization_id     uuid not null,
    id                  uuid not null,
    billing_cycle_id    uuid not null,
    provider            text not null,
    reference           text,
    provider_payment_id text,
    url                 text,
    amount_minor        bigint not null,
    currency            text not null,
    status              text not null default 'open',
    succeeded_minor     bigint not null default 0,
    refunded_minor      bigint not null default 0,
    expires_at          timestamptz not null,
    settled_at          timestamptz,
    created_at          timestamptz not null default now(),
    constraint payments_pkey primary key (organization_id, id),
    constraint payments_billing_cycle_id_fkey
        foreign key (organization_id, billing_cycle_id) references billing.billing_cycles (organization_id, id),
    constraint payments_provider_check check (provider in ('stripe', 'paystack')),
    constraint payments_status_check check (status in ('open', 'succeeded', 'failed', 'expired', 'refunded')),
    constraint payments_amounts_check check (amount_minor > 0 and succeeded_minor >= 0 and refunded_minor between 0 and succeeded_minor)
);
create unique index payments_live_key on billing.payments (organization_id, billing_cycle_id) where status = 'open';
create index payments_billing_cycle_id_idx on billing.payments (organization_id, billing_cycle_id);

-- What a provider told us, whole and once; handled by a job. Global: an event has no organization until it is matched.
create table billing.payment_events (
    provider        text not null,
    event_id        text not null,
    type            text not null,
    reference       text,
    is_live         boolean not null,
    payload         jsonb not null,
    received_at     timestamptz not null default now(),
    organization_id uuid,
    outcome         text,
    handled_at      timestamptz,
    constraint payment_events_pkey primary key (provider, event_id),
    constraint payment_events_provider_check check (provider in ('stripe', 'paystack'))
);
create index payment_events_unhandled_idx on billing.payment_events (received_at) where handled_at is null;

do $$ begin
    perform app.secure_tenant_table(tenant_table)
    from unnest(array['billing.plan_segments', 'billing.billing_cycles', 'billing.billing_cycle_lines', 'billing.invoice_counters',
    'billing.payments']::regclass[]) as tenant_table;
end $$;

grant usage on schema billing to app_rw, app_ro, app_resolver;
grant select on billing.plans to app_rw, app_ro;
grant select, insert on billing.plan_segments, billing.billing_cycles, billing.billing_cycle_lines, billing.invoice_counters, billing.payments to app_rw;
grant update (status, paid_minor, paid_at) on billing.billing_cycles to app_rw;
grant update (last_number) on billing.invoice_counters to app_rw;
grant update (reference, provider_payment_id, url, status, succeeded_minor, refunded_minor, expires_at, settled_at) on billing.payments to app_rw;
grant select on billing.plan_segments, billing.billing_cycles, billing.billing_cycle_lines, billing.invoice_counters, billing.payments to app_ro;
grant insert on billing.payment_events to app_api;
grant select on billing.payment_events to app_worker;
grant update (organization_id, outcome, handled_at) on billing.payment_events to app_worker;
