-- depends: 0099_announced_once
-- Whoever repeats a command does not credit twice: a credit has a key, by default its amount and its reason, and an invoice has
-- one note of a key.

-- The function dropped here comes back with an argument more, which a process of the release before leaves out.
-- squawk-ignore-file ban-drop-function

set local role app_owner;

alter table billing.credit_notes add column key text;
-- The column is new: there is nothing to be read or locked for long.
-- squawk-ignore require-concurrent-index-creation
create unique index credit_notes_key_key on billing.credit_notes (organization_id, billing_cycle_id, key);
comment on column billing.credit_notes.key is
    'What a repeated command is known by: given, or made of the amount and the reason; null on notes written before there were keys.';

create function billing.credit_key(minor bigint, reason text) returns text
language sql immutable
set search_path = ''
as $$
    select minor || ' ' || encode(sha256(convert_to(lower(regexp_replace(btrim(reason), '\s+', ' ', 'g')), 'utf8')), 'hex');
$$;
comment on function billing.credit_key(bigint, text) is
    'The key of a credit that was given none: the amount, and a digest of the reason, whatever its case and spaces.';

drop function billing.credit(uuid, uuid, bigint, text, timestamptz, uuid, text, text, text);
create function billing.credit(
    organization uuid, cycle uuid, minor bigint, reason text, at_time timestamptz, note uuid default null,
    seller_name text default null, seller_address text default null, seller_tax_number text default null,
    key text default null
) returns text
language plpgsql
set search_path = ''
as $$
declare
    c billing.billing_cycles;
    twin billing.credit_notes;
    the_key constant text := coalesce(nullif(btrim(credit.key), ''), billing.credit_key(minor, reason));
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
    select n.* into twin
    from billing.credit_notes n
    where n.organization_id = organization and n.billing_cycle_id = cycle
      and coalesce(n.key, billing.credit_key(n.amount_minor, n.reason)) = the_key
    order by n.number limit 1;
    if found then
        raise exception 'credit note CN-%-% of % credits this invoice with % already: to credit it once more, give another key',
            to_char(twin.issued_at at time zone 'utc', 'YYYY'), lpad(twin.number::text, 6, '0'), to_char(twin.issued_at at time zone 'utc', 'FMDD FMMonth YYYY'),
            billing.money(twin.amount_minor, twin.currency) using errcode = 'BIL04';
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
         organization_email, seller_name, seller_address, seller_tax_number, issued_at, key)
    values (organization, coalesce(note, gen_random_uuid()), cycle, next_number, minor, settled, minor - settled, c.currency, reason,
            c.organization_name, c.organization_email, credit.seller_name, credit.seller_address, credit.seller_tax_number, at_time, the_key);
    update billing.billing_cycles x
    set credited_minor = x.credited_minor + settled,
        status = case when x.paid_minor + x.credited_minor + settled >= x.total_amount_minor then 'paid' else x.status end,
        paid_at = case when x.paid_minor + x.credited_minor + settled >= x.total_amount_minor then coalesce(x.paid_at, at_time) end
    where x.organization_id = organization and x.id = cycle;
    return billing.settle(organization, cycle, at_time);
end
$$;
comment on function billing.credit(uuid, uuid, bigint, text, timestamptz, uuid, text, text, text, text) is
    'Writes a credit note for an issued invoice, which itself never changes: what it still owes is not owed any more, the rest is taken off the next ones. The same key, or without one the same amount and reason, is refused (BIL04). Returns its status.';

revoke execute on function billing.credit_key(bigint, text), billing.credit(uuid, uuid, bigint, text, timestamptz, uuid, text, text, text, text) from public;
grant execute on function billing.credit_key(bigint, text) to app_rw, app_ro;
grant execute on function billing.credit(uuid, uuid, bigint, text, timestamptz, uuid, text, text, text, text) to app_worker;
reset role;
