-- depends: 0013_comments
-- What a payment does to its invoice, what an operator may decide about one, and the reconciliation of all of it.

set local role app_owner;

create function billing.settle(organization uuid, cycle uuid, at_time timestamptz) returns text
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

create function billing.surplus_of(organization uuid, payment uuid) returns bigint
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
comment on function billing.surplus_of(uuid, uuid) is
    'What is to be given back of a payment that came although its invoice was covered, in minor units of the payment; null when nothing.';

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

create function billing.release(organization uuid, cycle uuid, reason text, at_time timestamptz, due_days integer) returns text
language plpgsql
set search_path = ''
as $$
begin
    if coalesce(length(btrim(reason)), 0) < 4 then
        raise exception 'a release has a reason' using errcode = 'BIL03';
    end if;
    update billing.billing_cycles c set remark = reason where c.organization_id = organization and c.id = cycle and c.status = 'parked';
    return billing.issue(organization, cycle, at_time, due_days);
end
$$;
comment on function billing.release(uuid, uuid, text, timestamptz, integer) is 'Issues a parked invoice after a person looked at it.';

create function billing.void(organization uuid, cycle uuid, reason text) returns void
language plpgsql
set search_path = ''
as $$
begin
    if coalesce(length(btrim(reason)), 0) < 4 then
        raise exception 'voiding has a reason' using errcode = 'BIL03';
    end if;
    update billing.billing_cycles c set status = 'void', remark = reason
    where c.organization_id = organization and c.id = cycle and c.status = 'parked';
    if not found then
        raise exception 'only a parked invoice can be voided; an issued one is credited' using errcode = 'BIL02';
    end if;
end
$$;
comment on function billing.void(uuid, uuid, text) is 'Ends a parked invoice that nobody shall owe; one that has been issued is credited instead.';

create function billing.reconcile(organization uuid) returns table (finding text, subject uuid, expected bigint, found bigint)
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
            select count(*) as requests from usage.usage_records u
            where u.organization_id = organization and u.billed_month = c.month and u.is_billable
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
comment on function billing.reconcile(uuid) is
    'Every difference between usage, invoices, payments and the ledger of an organization; nothing when all of it agrees.';

revoke execute on all functions in schema billing from public;
grant execute on function billing.surplus_of(uuid, uuid), billing.reconcile(uuid) to app_rw, app_ro;
grant execute on function billing.settle(uuid, uuid, timestamptz),
    billing.apply_payment(uuid, uuid, text, bigint, bigint, boolean, text, timestamptz),
    billing.credit(uuid, uuid, bigint, text, timestamptz), billing.release(uuid, uuid, text, timestamptz, integer),
    billing.void(uuid, uuid, text) to app_worker;
reset role;
