set local role app_owner;

drop function billing.credit(uuid, uuid, bigint, text, timestamptz, uuid, text, text, text, text);
create function billing.credit(
    organization uuid, cycle uuid, minor bigint, reason text, at_time timestamptz, note uuid default null,
    seller_name text default null, seller_address text default null, seller_tax_number text default null
) returns text
language plpgsql
set search_path = ''
as $$
declare
    c billing.billing_cycles;
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
         organization_email, seller_name, seller_address, seller_tax_number, issued_at)
    values (organization, coalesce(note, gen_random_uuid()), cycle, next_number, minor, settled, minor - settled, c.currency, reason,
            c.organization_name, c.organization_email, credit.seller_name, credit.seller_address, credit.seller_tax_number, at_time);
    update billing.billing_cycles x
    set credited_minor = x.credited_minor + settled,
        status = case when x.paid_minor + x.credited_minor + settled >= x.total_amount_minor then 'paid' else x.status end,
        paid_at = case when x.paid_minor + x.credited_minor + settled >= x.total_amount_minor then coalesce(x.paid_at, at_time) end
    where x.organization_id = organization and x.id = cycle;
    return billing.settle(organization, cycle, at_time);
end
$$;
comment on function billing.credit(uuid, uuid, bigint, text, timestamptz, uuid, text, text, text) is
    'Writes a credit note for an issued invoice, which itself never changes: what it still owes is not owed any more, the rest is taken off the next ones. Returns its status.';

drop function billing.credit_key(bigint, text);
drop index billing.credit_notes_key_key;
alter table billing.credit_notes drop column key;

revoke execute on function billing.credit(uuid, uuid, bigint, text, timestamptz, uuid, text, text, text) from public;
grant execute on function billing.credit(uuid, uuid, bigint, text, timestamptz, uuid, text, text, text) to app_worker;
reset role;
