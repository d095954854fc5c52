-- depends: 0004_tenancy
-- Customers' messages, the product's own mail to organizations, and who must not be written to.

set local role app_owner;

create schema messaging;
comment on schema messaging is 'Messages of customers, mail to organizations, suppressions.';

create table messaging.messages (
    organization_id uuid not null,
    id              uuid not null,
    api_key_id      uuid not null,
    type            text not null,
    recipient       text not null,
    subject         text,
    body            text not null,
    metadata        jsonb not null default '{}',
    segments        integer not null default 1,
    is_test         boolean not null default false,
    status          text not null default 'queued',
    attempts        integer not null default 0,
    next_attempt_at timestamptz not null default now(),
    claimed_at      timestamptz,
    provider        text,
    provider_id     text,
    error           text,
    created_at      timestamptz not null default now(),
    sent_at         timestamptz,
    delivered_at    timestamptz,
    failed_at       timestamptz,
    constraint messages_pkey primary key (organization_id, id),
    constraint messages_api_key_id_fkey foreign key (organization_id, api_key_id) references tenancy.api_keys (organization_id, id),
    constraint messages_type_check check (type in ('sms', 'email')),
    constraint messages_status_check check (status in ('queued', 'sending', 'sent', 'delivered', 'failed', 'unknown'))
);
create index messages_waiting_idx on messaging.messages (organization_id, next_attempt_at) where status = 'queued';
create index messages_sending_idx on messaging.messages (organization_id, claimed_at) where status = 'sending';
create index messages_api_key_id_idx on messaging.messages (organization_id, api_key_id);
create unique index messages_provider_id_key on messaging.messages (organization_id, provider, provider_id) where provider_id is not null;

-- The outbox: one row for one mail, however often the cause is repeated; its content is made when it is sent.
create table messaging.emails (
    organization_id uuid not null,
    id              uuid not null,
    kind            text not null,
    subject_id      uuid not null,
    step            integer not null default 0,
    recipient       text not null,
    status          text not null default 'queued',
    attempts        integer not null default 0,
    claimed_at      timestamptz,
    sent_at         timestamptz,
    error           text,
    created_at      timestamptz not null default now(),
    constraint emails_pkey primary key (organization_id, id),
    constraint emails_once_key unique (organization_id, kind, subject_id, recipient, step),
    constraint emails_organization_id_fkey foreign key (organization_id) references tenancy.organizations (organization_id),
    constraint emails_status_check check (status in ('queued', 'sending', 'sent', 'failed', 'dropped'))
);
create index emails_created_at_idx on messaging.emails (organization_id, created_at);

create table messaging.suppressions (
    organization_id uuid not null,
    channel         text not null,
    recipient       text not null,
    reason          text not null,
    created_at      timestamptz not null default now(),
    constraint suppressions_pkey primary key (organization_id, channel, recipient),
    constraint suppressions_organization_id_fkey foreign key (organization_id) references tenancy.organizations (organization_id),
    constraint suppressions_channel_check check (channel in ('sms', 'email'))
);

do $$ begin
    perform app.secure_tenant_table(tenant_table)
    from unnest(array['messaging.messages', 'messaging.emails', 'messaging.suppressions']::regclass[]) as tenant_table;
end $$;

grant usage on schema messaging to app_rw, app_ro;
grant select, insert on all tables in schema messaging to app_rw;
grant update (status, attempts, next_attempt_at, claimed_at, provider, provider_id, segments, error, sent_at, delivered_at, failed_at)
    on messaging.messages to app_rw;
grant update (status, attempts, claimed_at, sent_at, error) on messaging.emails to app_worker;
grant delete on messaging.suppressions to app_rw;
grant select on all tables in schema messaging to app_ro;
