-- depends: 0030_jobs_in_sight 0031_job_boundary
-- Who does not want what mail, why, and the alerts of a month's usage.
-- Written before anything was deployed: the tables it alters are empty, so nothing is rewritten, scanned or locked for long.
-- squawk-ignore-file adding-field-with-default, constraint-missing-not-valid, disallowed-unique-constraint, ban-drop-default, require-concurrent-index-creation

set local role app_owner;

alter table messaging.suppressions
    add column id uuid not null default gen_random_uuid(),
    add column source text not null default 'refusal',
    add constraint suppressions_id_key unique (organization_id, id),
    add constraint suppressions_source_check check (source in ('refusal', 'bounce', 'complaint', 'manual'));
alter table messaging.suppressions alter column id drop default, alter column source drop default;
comment on column messaging.suppressions.id is 'Names the entry to those who take it off the list; the newest has the greatest.';
comment on column messaging.suppressions.source is
    'Who said no: the receiving server at once (refusal) or later (bounce), the recipient (complaint), or a member of the organization (manual).';
comment on column messaging.suppressions.reason is 'The server''s or the member''s words, without addresses.';

create table messaging.unsubscriptions (
    organization_id uuid not null,
    user_id         uuid not null,
    kind            text not null,
    created_at      timestamptz not null,
    constraint unsubscriptions_pkey primary key (organization_id, user_id, kind),
    constraint unsubscriptions_user_id_fkey foreign key (organization_id, user_id) references tenancy.users (organization_id, id),
    constraint unsubscriptions_kind_check check (kind in ('usage_alert'))
);
comment on table messaging.unsubscriptions is 'Mail that a member does not want; only kinds that can be done without are offered.';
comment on column messaging.unsubscriptions.organization_id is 'Whose mail it is.';
comment on column messaging.unsubscriptions.user_id is 'The seat that does not want it.';
comment on column messaging.unsubscriptions.kind is 'Kind of mail.';
comment on column messaging.unsubscriptions.created_at is 'From when on.';

create table usage.alerts (
    organization_id uuid not null,
    id              uuid not null,
    month           date not null,
    percent         integer not null,
    plan            text not null,
    used            bigint not null,
    included        bigint not null,
    overage_minor   bigint,
    overage_per     bigint,
    created_at      timestamptz not null,
    constraint alerts_pkey primary key (organization_id, id),
    constraint alerts_once_key unique (organization_id, month, percent),
    constraint alerts_organization_id_fkey foreign key (organization_id) references tenancy.organizations (organization_id),
    constraint alerts_percent_check check (percent in (80, 100)),
    constraint alerts_month_check check (extract(day from month) = 1),
    constraint alerts_plan_check check (plan in ('free', 'starter', 'pro'))
);
comment on table usage.alerts is 'A month''s included requests were used up to a threshold; one row, and one mail to each owner and admin, however often it is seen.';
comment on column usage.alerts.organization_id is 'Who used them.';
comment on column usage.alerts.id is 'Names the alert to the mail about it.';
comment on column usage.alerts.month is 'First day of the month.';
comment on column usage.alerts.percent is 'The threshold: 80 or 100.';
comment on column usage.alerts.plan is 'Plan at that moment.';
comment on column usage.alerts.used is 'Billable requests of the month at that moment.';
comment on column usage.alerts.included is 'How many were included.';
comment on column usage.alerts.overage_minor is 'Price of further ones in minor units; null where they are refused.';
comment on column usage.alerts.overage_per is 'So many further requests cost overage_minor; null where they are refused.';
comment on column usage.alerts.created_at is 'When it was seen.';

do $$ begin
    perform app.secure_tenant_table(tenant_table), audit.watch(tenant_table)
    from unnest(array['messaging.unsubscriptions', 'usage.alerts']::regclass[]) as tenant_table;
end $$;

grant select, insert on messaging.unsubscriptions to app_rw;
grant select, insert on usage.alerts to app_worker;
grant select on messaging.unsubscriptions, usage.alerts to app_ro;

-- A report of a bounce reaches the API, which writes what became of the mail.
grant update (status, error) on messaging.emails to app_api;
create index emails_waiting_idx on messaging.emails (organization_id) where status = 'queued';
