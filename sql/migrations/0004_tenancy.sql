-- depends: 0003_identity_functions
-- Organizations, their people's seats, invitations, API keys and stored answers.

set local role app_owner;

create schema tenancy;
comment on schema tenancy is 'Organizations, seats, invitations and API keys.';

create table tenancy.organizations (
    organization_id     uuid not null,
    name                text not null,
    email               text not null,
    plan                text not null default 'free',
    pending_plan        text,
    rate_limit_override integer,
    created_at          timestamptz not null default now(),
    updated_at          timestamptz not null default now(),
    constraint organizations_pkey primary key (organization_id),
    constraint organizations_name_check check (length(name) between 1 and 255),
    constraint organizations_plan_check check (plan in ('free', 'starter', 'pro')),
    constraint organizations_pending_plan_check check (pending_plan in ('free', 'starter', 'pro')),
    constraint organizations_rate_limit_override_check check (rate_limit_override > 0)
);

create table tenancy.users (
    organization_id uuid not null,
    id              uuid not null,
    account_id      uuid not null,
    email           text not null,
    role            text not null default 'member',
    created_at      timestamptz not null default now(),
    removed_at      timestamptz,
    constraint users_pkey primary key (organization_id, id),
    constraint users_organization_id_fkey foreign key (organization_id) references tenancy.organizations (organization_id),
    constraint users_role_check check (role in ('owner', 'admin', 'member'))
);
create unique index users_account_id_key on tenancy.users (organization_id, account_id) where removed_at is null;

create table tenancy.team_invitations (
    organization_id uuid not null,
    id              uuid not null,
    email           text not null,
    email_key       text not null,
    role            text not null,
    invited_by      uuid not null,
    expires_at      timestamptz not null,
    created_at      timestamptz not null default now(),
    accepted_at     timestamptz,
    declined_at     timestamptz,
    ended_at        timestamptz,
    constraint team_invitations_pkey primary key (organization_id, id),
    constraint team_invitations_organization_id_fkey foreign key (organization_id) references tenancy.organizations (organization_id),
    constraint team_invitations_invited_by_fkey foreign key (organization_id, invited_by) references tenancy.users (organization_id, id),
    constraint team_invitations_role_check check (role in ('admin', 'member')),
    constraint team_invitations_outcome_check check (num_nonnulls(accepted_at, declined_at, ended_at) <= 1)
);
create unique index team_invitations_live_key on tenancy.team_invitations (organization_id, email_key)
    where accepted_at is null and declined_at is null and ended_at is null;
create index team_invitations_invited_by_idx on tenancy.team_invitations (organization_id, invited_by);

create table tenancy.api_keys (
    organization_id uuid not null,
    id              uuid not null,
    name            text not null,
    mode            text not null default 'live',
    first4          text not null,
    last4           text not null,
    scopes          text[] not null,
    is_active       boolean not null default true,
    created_by      uuid not null,
    created_at      timestamptz not null default now(),
    expires_at      timestamptz,
    last_used_at    timestamptz,
    revoked_at      timestamptz,
    replaced_by     uuid,
    constraint api_keys_pkey primary key (organization_id, id),
    constraint api_keys_organization_id_fkey foreign key (organization_id) references tenancy.organizations (organization_id),
    constraint api_keys_created_by_fkey foreign key (organization_id, created_by) references tenancy.users (organization_id, id),
    constraint api_keys_replaced_by_fkey foreign key (organization_id, replaced_by) references tenancy.api_keys (organization_id, id),
    constraint api_keys_name_check check (length(name) between 1 and 255),
    constraint api_keys_mode_check check (mode in ('live', 'test')),
    constraint api_keys_is_active_check check (is_active = (revoked_at is null))
);
create index api_keys_created_by_idx on tenancy.api_keys (organization_id, created_by);
create index api_keys_replaced_by_idx on tenancy.api_keys (organization_id, replaced_by);
create index api_keys_created_at_idx on tenancy.api_keys (organization_id, created_at);

-- The first answer to a request that named an Idempotency-Key, kept for a day beside the effect it speaks of.
create table tenancy.idempotency_keys (
    organization_id uuid not null,
    subject_id      uuid not null,
    key_hash        bytea not null,
    request_hash    bytea not null,
    record_id       uuid not null,
    status_code     integer not null,
    answer          bytea not null,
    is_encrypted    boolean not null default false,
    created_at      timestamptz not null default now(),
    constraint idempotency_keys_pkey primary key (organization_id, subject_id, key_hash),
    constraint idempotency_keys_organization_id_fkey foreign key (organization_id) references tenancy.organizations (organization_id)
);
create index idempotency_keys_created_at_idx on tenancy.idempotency_keys (organization_id, created_at);

-- An organization keeps an owner whatever the application does: checked at commit, under a lock on the organization.
create function tenancy.keep_an_owner() returns trigger
language plpgsql
set search_path = ''
as $$
begin
    perform from tenancy.organizations where organization_id = old.organization_id for no key update;
    if not exists (
        select from tenancy.users
        where organization_id = old.organization_id and role = 'owner' and removed_at is null
    ) and exists (select from tenancy.organizations where organization_id = old.organization_id) then
        raise exception 'an organization needs an owner' using errcode = 'ORG02';
    end if;
    return null;
end
$$;
comment on function tenancy.keep_an_owner() is 'Refuses (ORG02) a commit that would leave an organization without an owner.';

create constraint trigger keep_an_owner after update of role, removed_at or delete on tenancy.users
    deferrable initially deferred for each row
    when (old.role = 'owner' and old.removed_at is null) execute function tenancy.keep_an_owner();
comment on trigger keep_an_owner on tenancy.users is 'The last owner can neither be removed nor demoted.';

do $$ begin
    perform app.secure_tenant_table(tenant_table)
    from unnest(array['tenancy.organizations', 'tenancy.users', 'tenancy.team_invitations', 'tenancy.api_keys', 'tenancy.idempotency_keys']::regclass[]) as tenant_table;
end $$;

revoke execute on all functions in schema tenancy from public;
grant usage on schema tenancy to app_rw, app_ro, usage_recorder;
grant select, insert on all tables in schema tenancy to app_rw;
grant update (name, email, plan, pending_plan, rate_limit_override, updated_at) on tenancy.organizations to app_rw;
grant update (role, removed_at, email) on tenancy.users to app_rw;
grant update (expires_at, accepted_at, declined_at, ended_at, role) on tenancy.team_invitations to app_rw;
grant update (name, is_active, revoked_at, expires_at, last_used_at, replaced_by) on tenancy.api_keys to app_rw;
grant update, delete on tenancy.idempotency_keys to app_rw;
grant select on all tables in schema tenancy to app_ro;
