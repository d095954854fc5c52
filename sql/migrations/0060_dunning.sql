-- depends: 0041_charge_from_rollups 0050_known_devices
-- Who owes too long keeps his dashboard, and his API keys wait for the payment.

set local role app_owner;

alter table tenancy.organizations add column keys_suspended_at timestamptz;
comment on column tenancy.organizations.keys_suspended_at is
    'Since when the API keys are refused because an invoice is overdue; people can still log in and pay. Null while they work.';

create function billing.review_keys(organization uuid, at_time timestamptz, after_days integer) returns text
language plpgsql
set search_path = ''
as $$
declare
    since timestamptz;
    is_owed boolean;
begin
    -- The organization first: a payment that settles at this moment comes before or after, never in between.
    select o.keys_suspended_at into since from tenancy.organizations o where o.organization_id = organization for no key update;
    if not found then
        return null;
    end if;
    is_owed := exists (
        select from billing.billing_cycles c
        where c.organization_id = organization and c.status = 'overdue' and c.due_date + make_interval(days => after_days) <= at_time
    );
    if is_owed = (since is not null) then
        return null;
    end if;
    if is_owed and exists (select from billing.payments p where p.organization_id = organization and p.status = 'open') then
        return null;
    end if;
    update tenancy.organizations o set keys_suspended_at = case when is_owed then at_time end where o.organization_id = organization;
    return case when is_owed then 'suspended' else 'resumed' end;
end
$$;
comment on function billing.review_keys(uuid, timestamptz, integer) is
    'Suspends the API keys of an organization whose invoice is overdue by so many days, unless a payment is pending, and lets them work again once none is: suspended, resumed, or null when all stays as it is.';

revoke execute on function billing.review_keys(uuid, timestamptz, integer) from public;
grant update (keys_suspended_at) on tenancy.organizations to app_worker;
grant execute on function billing.review_keys(uuid, timestamptz, integer) to app_worker;
reset role;
