-- depends: 0060_dunning
-- What the providers told us against the payments it was about, and what the last daily run found, for those who watch.

set local role app_owner;

create function billing.reconcile_events(since timestamptz, until timestamptz) returns table (finding text, subject text, expected bigint, found bigint)
language sql stable
set search_path = ''
as $$
    select case
               when e.handled_at is null then 'event not handled'
               when e.outcome = 'unmatched' then 'event without a payment of ours'
               else 'event refused: ' || e.outcome
           end,
           format('%s %s', e.provider, e.event_id), 1, 0
    from billing.payment_events e
    where e.received_at >= since and e.received_at < until and (
        e.handled_at is null
        or e.outcome in ('wrong_mode', 'wrong_currency', 'wrong_amount', 'wrong_organization', 'unknown_to_provider', 'refund_failed')
        -- One account may serve more than this installation: only what names an attempt is ours.
        or e.outcome = 'unmatched' and coalesce(e.payload #> '{data,object,metadata}', e.payload #> '{data,metadata}') @? '$.attempt_id'
    )
    order by e.received_at, e.provider, e.event_id;
$$;
comment on function billing.reconcile_events(timestamptz, timestamptz) is
    'Events received in a span that were not handled, that speak of an attempt nobody knows here, or that failed a check.';

create function billing.reconcile_payments(organization uuid, since timestamptz, until timestamptz) returns table (
    finding text, subject uuid, expected bigint, found bigint
)
language sql stable
set search_path = ''
as $$
    select 'payment without an event', p.id, 1::bigint, 0::bigint
    from billing.payments p
    where p.organization_id = organization and p.succeeded_minor > 0 and p.settled_at >= since and p.settled_at < until and not exists (
        select from billing.payment_events e
        where e.provider = p.provider and e.reference in (p.reference, p.provider_payment_id) and e.organization_id = p.organization_id
    )
    union all
    select 'event without its payment', p.id, p.amount_minor, p.succeeded_minor
    from billing.payments p
    where p.organization_id = organization and p.succeeded_minor = 0 and exists (
        select from billing.payment_events e
        where e.provider = p.provider and e.reference = p.reference and e.organization_id = p.organization_id
          and e.type = 'payment_succeeded' and e.outcome = 'applied' and e.received_at >= since and e.received_at < until
    );
$$;
comment on function billing.reconcile_payments(uuid, timestamptz, timestamptz) is
    'Payments of an organization that no event told of, and events of a payment that has none in the books, in a span of time.';

create table billing.reconciliations (
    started_at    timestamptz not null,
    finished_at   timestamptz not null,
    organizations bigint not null,
    failures      bigint not null,
    findings      jsonb not null,
    constraint reconciliations_pkey primary key (started_at),
    constraint reconciliations_order_check check (started_at <= finished_at)
);
comment on table billing.reconciliations is 'What each run of the reconciliation found in the whole installation: how many differences of which kind, never whose.';
comment on column billing.reconciliations.started_at is 'When the run began.';
comment on column billing.reconciliations.finished_at is 'When it was done.';
comment on column billing.reconciliations.organizations is 'Organizations that were compared.';
comment on column billing.reconciliations.failures is 'Organizations that could not be compared.';
comment on column billing.reconciliations.findings is 'Number of differences by finding; empty when all agreed.';
insert into ops.waivers (rule, object, reason)
values ('global table', 'billing.reconciliations', 'One row for a run over the whole installation; it names no organization.');

create function billing.figures() returns table (figure text, label text, value double precision)
language sql stable
set search_path = ''
as $$
    with last as (
        select r.* from billing.reconciliations r order by r.started_at desc limit 1
    )
    select 'billing_reconciled_at_seconds', '', extract(epoch from l.finished_at)::double precision from last l
    union all
    select 'billing_reconciled_organizations', '', l.organizations::double precision from last l
    union all
    select 'billing_reconciliation_failures', '', l.failures::double precision from last l
    union all
    select 'billing_differences', '', coalesce((select sum(f.value::bigint) from jsonb_each_text(l.findings) f), 0)::double precision from last l
    union all
    select 'billing_differences_by_finding', f.key, f.value::double precision from last l cross join jsonb_each_text(l.findings) f;
$$;
comment on function billing.figures() is 'The last reconciliation for a monitoring system: nothing before the first run.';

revoke execute on function billing.reconcile_events(timestamptz, timestamptz), billing.reconcile_payments(uuid, timestamptz, timestamptz),
    billing.figures() from public;
grant execute on function billing.reconcile_events(timestamptz, timestamptz), billing.reconcile_payments(uuid, timestamptz, timestamptz)
    to app_worker;
grant select, insert on billing.reconciliations to app_worker;
grant select on billing.reconciliations to app_api, app_auditor;
grant execute on function billing.figures() to app_api, app_worker, app_auditor;
reset role;
