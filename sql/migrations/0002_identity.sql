-- depends: 0001_context
-- Who logs in, every secret's hash, and the directories that lead from a secret to its organization.
-- Nobody has a right on these tables but app_resolver, the owner of the functions in 0003.

set local role app_owner;

create schema identity;
comment on schema identity is 'People, secrets'' hashes and directories; reached only through resolver functions.';

create table identity.accounts (
    id                uuid not null,
    email             text not null,
    email_key         text not null,
    full_name         text,
    password_hash     text not null,
    email_verified_at timestamptz,
    created_at        timestamptz not null default now(),
    updated_at        timestamptz not null default now(),
    constraint accounts_pkey primary key (id),
    constraint accounts_email_key_key unique (email_key),
    constraint accounts_email_check check (length(email) between 3 and 320)
);

create table identity.auth_tokens (
    id         uuid not null,
    account_id uuid not null,
    type       text not null,
    token_hash bytea not null,
    expires_at timestamptz not null,
    used_at    timestamptz,
    created_at timestamptz not null default now(),
    constraint auth_tokens_pkey primary key (id),
    constraint auth_tokens_token_hash_key unique (token_hash),
    constraint auth_tokens_account_id_fkey foreign key (account_id) references identity.accounts (id) on delete cascade,
    constraint auth_tokens_type_check check (type in ('email_verification', 'password_reset')),
    constraint auth_tokens_token_hash_check check (octet_length(token_hash) = 32)
);
create index auth_tokens_account_id_idx on identity.auth_tokens (account_id, type);
create index auth_tokens_expires_at_idx on identity.auth_tokens (expires_at);

create table identity.sessions (
    id              uuid not null,
    account_id      uuid not null,
    organization_id uuid not null,
    user_id         uuid not null,
    user_agent      text,
    address         text,
    created_at      timestamptz not null default now(),
    last_seen_at    timestamptz not null default now(),
    expires_at      timestamptz not null,
    revoked_at      timestamptz,
    constraint sessions_pkey primary key (id),
    constraint sessions_account_id_fkey foreign key (account_id) references identity.accounts (id) on delete cascade
);
create index sessions_account_id_idx on identity.sessions (account_id);
create index sessions_user_id_idx on identity.sessions (organization_id, user_id);
create index sessions_expires_at_idx on identity.sessions (expires_at);

create table identity.organization_directory (
    organization_id uuid not null,
    status          text not null default 'active',
    cell            text not null default 'main',
    created_at      timestamptz not null default now(),
    constraint organization_directory_pkey primary key (organization_id),
    constraint organization_directory_status_check check (status in ('active', 'suspended', 'erased'))
);

create table identity.seat_directory (
    account_id      uuid not null,
    organization_id uuid not null,
    user_id         uuid not null,
    created_at      timestamptz not null default now(),
    constraint seat_directory_pkey primary key (account_id, organization_id),
    constraint seat_directory_user_id_key unique (organization_id, user_id),
    constraint seat_directory_account_id_fkey foreign key (account_id) references identity.accounts (id) on delete cascade,
    constraint seat_directory_organization_id_fkey
        foreign key (organization_id) references identity.organization_directory (organization_id) on delete cascade
);

create table identity.api_key_directory (
    digest          bytea not null,
    organization_id uuid not null,
    api_key_id      uuid not null,
    constraint api_key_directory_pkey primary key (digest),
    constraint api_key_directory_api_key_id_key unique (organization_id, api_key_id),
    constraint api_key_directory_organization_id_fkey
        foreign key (organization_id) references identity.organization_directory (organization_id) on delete cascade,
    constraint api_key_directory_digest_check check (octet_length(digest) = 32)
);

create table identity.invitation_directory (
    token_hash      bytea not null,
    organization_id uuid not null,
    invitation_id   uuid not null,
    constraint invitation_directory_pkey primary key (token_hash),
    constraint invitation_directory_invitation_id_key unique (organization_id, invitation_id),
    constraint invitation_directory_organization_id_fkey
        foreign key (organization_id) references identity.organization_directory (organization_id) on delete cascade,
    constraint invitation_directory_token_hash_check check (octet_length(token_hash) = 32)
);

create table identity.payment_directory (
    provider        text not null,
    reference       text not null,
    organization_id uuid not null,
    payment_id      uuid not null,
    constraint payment_directory_pkey primary key (provider, reference),
    constraint payment_directory_organization_id_fkey
        foreign key (organization_id) references identity.organization_directory (organization_id) on delete cascade
);
create index payment_directory_organization_id_idx on identity.payment_directory (organization_id, payment_id);

-- A row says: this organization has work of this kind waiting. One slot a connection keeps writers from waiting for each other.
create table identity.work_directory (
    kind            text not null,
    organization_id uuid not null,
    slot            integer not null,
    constraint work_directory_pkey primary key (kind, organization_id, slot),
    constraint work_directory_organization_id_fkey
        foreign key (organization_id) references identity.organization_directory (organization_id) on delete cascade
);
create index work_directory_organization_id_idx on identity.work_directory (organization_id);

-- Mail to a person rather than to an organization's team: what was asked for and what became of it; never its content.
-- Without an account it was asked for an e-mail that nobody has: the same work, and nothing to send.
create table identity.account_mails (
    id         uuid not null,
    account_id uuid,
    kind       text not null,
    created_at timestamptz not null default now(),
    claimed_at timestamptz,
    sent_at    timestamptz,
    error      text,
    constraint account_mails_pkey primary key (id),
    constraint account_mails_account_id_fkey foreign key (account_id) references identity.accounts (id) on delete cascade,
    constraint account_mails_kind_check
        check (kind in ('verification', 'password_reset', 'password_changed', 'account_exists'))
);
create index account_mails_account_id_idx on identity.account_mails (account_id, created_at);
create index account_mails_created_at_idx on identity.account_mails (created_at);

-- Guesses at a password or token, counted here while Redis is away; the subject is a digest, never an address.
create table identity.attempts (
    subject  bytea not null,
    failures integer not null,
    next_at  timestamptz not null,
    constraint attempts_pkey primary key (subject),
    constraint attempts_subject_check check (octet_length(subject) = 32)
);
create index attempts_next_at_idx on identity.attempts (next_at);

grant usage on schema identity to app_resolver, app_rw;
grant select, insert, update, delete on all tables in schema identity to app_resolver;
