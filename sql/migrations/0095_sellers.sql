-- depends: 0091_lint_everywhere
-- An invoice keeps who sold: name, address and tax number as they were when it was issued.

-- The functions dropped here come back with arguments more, which those who know nothing of them may leave out.
-- squawk-ignore-file ban-drop-function

set local role app_owner;

alter table billing.billing_cycles add column seller_name text, add column seller_address text, add column seller_tax_number text;
comment on column billing.billing_cycles.seller_name is
    'Who sold, as it was when the invoice was issued; null on those issued before the seller was kept, and while it is held back.';
comment on column billing.billing_cycles.seller_address is 'The seller''s address as it was then, a line each.';
comment on column billing.billing_cycles.seller_tax_number is 'The seller''s tax number as it was then.';
grant update (seller_name, seller_address, seller_tax_number) on billing.billing_cycles to app_worker;

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

-- A process of the release before calls them without a seller.
drop function billing.issue(uuid, uuid, timestamptz, integer);
drop function billing.close_cycle(uuid, date, uuid, timestamptz, integer);
drop function billing.release(uuid, uuid, text, timestamptz, integer);

create function billing.issue(organization uuid, cycle uuid, at_time timestamptz, due_days integer,
    seller_name text default null, seller_address text default null, seller_tax_number text default null
) returns text
language plpgsql
set search_path = ''
as $$
declare
    next_number bigint;
    new_status text;
begin
    -- Last in the transaction: the counter row is held as shortly as possible, and a rollback gives the number back.
    insert into billing.invoice_counters as k (organization_id, last_number) values (organization, 1)
    on conflict (organization_id) do update set last_number = k.last_number + 1
    returning k.last_number into next_number;
    update billing.billing_cycles c
    set number = next_number, issued_at = at_time, due_date = at_time + make_interval(days => due_days),
        seller_name = issue.seller_name, seller_address = issue.seller_address, seller_tax_number = issue.seller_tax_number,
        status = case when c.total_amount_minor = 0 then 'paid' else 'pending' end,
        paid_at = case when c.total_amount_minor = 0 then at_time end
    where c.organization_id = organization and c.id = cycle and c.issued_at is null and c.status = 'parked'
    returning c.status into new_status;
    if not found then
        raise exception 'only a parked invoice can be issued' using errcode = 'BIL02';
    end if;
    return new_status;
end
$$;
comment on function billing.issue(uuid, uuid, timestamptz, integer, text, text, text) is
    'Gives an invoice its number, its due date and its seller; nothing to pay is paid at once. From now on it cannot be changed.';

create function billing.close_cycle(organization uuid, month date, cycle_id uuid, at_time timestamptz, due_days integer,
    seller_name text default null, seller_address text default null, seller_tax_number text default null
) returns text
language plpgsql
set search_path = ''
as $$
declare
    -- Minor units below which no provider takes a payment: such an amount goes to the next invoice.
    smallest constant bigint := 50;
    total bigint;
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
    select coalesce(sum(l.amount_minor), 0), coalesce(sum(l.quantity) filter (where l.kind in ('included', 'overage', 'late')), 0), count(*)
    into total, requests, lines
    from billing.billing_cycle_lines l
    where l.organization_id = organization and l.billing_cycle_id = cycle_id;

    reason := billing.absurdity(organization, month, total, requests);
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
comment on function billing.close_cycle(uuid, date, uuid, timestamptz, integer, text, text, text) is
    'Writes the cycle of a closed month with its lines and, unless a safety bound parks it, its number and its seller: returns its status, or null when the month has its cycle already.';

create function billing.release(organization uuid, cycle uuid, reason text, at_time timestamptz, due_days integer,
    seller_name text default null, seller_address text default null, seller_tax_number text default null
) returns text
language plpgsql
set search_path = ''
as $$
begin
    if coalesce(length(btrim(reason)), 0) < 4 then
        raise exception 'a release has a reason' using errcode = 'BIL03';
    end if;
    update billing.billing_cycles c set remark = reason where c.organization_id = organization and c.id = cycle and c.status = 'parked';
    return billing.issue(organization, cycle, at_time, due_days, seller_name, seller_address, seller_tax_number);
end
$$;
comment on function billing.release(uuid, uuid, text, timestamptz, integer, text, text, text) is 'Issues a parked invoice after a person looked at it.';

revoke execute on function billing.issue(uuid, uuid, timestamptz, integer, text, text, text), billing.close_cycle(uuid, date, uuid, timestamptz, integer, text, text, text),
    billing.release(uuid, uuid, text, timestamptz, integer, text, text, text) from public;
grant execute on function billing.issue(uuid, uuid, timestamptz, integer, text, text, text), billing.close_cycle(uuid, date, uuid, timestamptz, integer, text, text, text),
    billing.release(uuid, uuid, text, timestamptz, integer, text, text, text) to app_worker;
reset role;
