set local role app_owner;

create or replace function billing.absurdity(organization uuid, month date, total_minor bigint, requests bigint) returns text
language sql stable
set search_path = ''
as $$
    with limits as (
        select greatest(max(t.per_minute), max(o.rate_limit_override)) * max(t.days_in_month) * 1440 as requests, max(t.currency) as currency
        from billing.terms(organization, month) t
        join tenancy.organizations o on o.organization_id = absurdity.organization
        where t.days > 0
    ),
    before as (
        select max(recent.total_amount_minor) as highest
        from (
            select c.total_amount_minor
            from billing.billing_cycles c
            where c.organization_id = absurdity.organization and c.issued_at is not null
              and c.period_start < absurdity.month::timestamp at time zone 'utc'
            order by c.period_start desc
            limit 6
        ) recent
    )
    select case
        when total_minor < 0 then 'the total is negative'
        when requests > coalesce(l.requests, 0) and requests > 0 and l.requests is not null
            then format('%s requests are more than the rate limit lets through in a month (%s)', requests, l.requests)
        when total_minor > 100000 and total_minor > 10 * b.highest
            then format('the total is more than ten times the highest of the last six invoices (%s)', billing.money(b.highest, coalesce(l.currency, 'USD')))
    end
    from limits l, before b;
$$;
reset role;
