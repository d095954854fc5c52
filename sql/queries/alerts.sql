-- name: standing^
-- How far the organization's included requests of a month are used on the plan it has now; usage by the month's roll-up or records.
-- On a hard quota every billable request counts, on the others those made on this plan, against the included ones of its days.
select o.name as organization, o.plan,
       case when p.is_hard_quota then p.included else t.included end as included,
       case when p.is_hard_quota then null else t.overage_minor end as overage_minor,
       case when p.is_hard_quota then null else t.overage_per end as overage_per,
       (select coalesce(sum(u.billable), 0)::bigint from usage.counted u
        where u.organization_id = :organization_id and u.billed_month = :month
          and (p.is_hard_quota or u.plan = o.plan)) as used
from tenancy.organizations o
cross join lateral billing.price_on(o.plan, :today) p
left join billing.terms(:organization_id, :month) t on t.plan = o.plan
where o.organization_id = :organization_id;

-- name: add$
-- The id of a new alert, null when this month's threshold was told already; by alerts_once_key.
insert into usage.alerts (organization_id, id, month, percent, plan, used, included, overage_minor, overage_per, created_at)
values (:organization_id, :id, :month, :percent, :plan, :used, :included, :overage_minor, :overage_per, :now)
on conflict (organization_id, month, percent) do nothing
returning id;

-- name: get^
-- One alert with the organization's name; by alerts_pkey.
select a.id, o.name as organization, a.month, a.percent, a.plan, a.used, a.included, a.overage_minor, a.overage_per
from usage.alerts a
join tenancy.organizations o on o.organization_id = a.organization_id
where a.organization_id = :organization_id and a.id = :id;

-- name: readers
-- Owners and admins who have not said that they do not want alerts; by users_account_id_key and unsubscriptions_pkey.
select u.id as user_id, m.email
from tenancy.users u
join identity.members() m on m.user_id = u.id
where u.organization_id = :organization_id and u.removed_at is null and u.role in ('owner', 'admin')
  and not exists (
      select from messaging.unsubscriptions x
      where x.organization_id = :organization_id and x.user_id = u.id and x.kind = 'usage_alert'
  )
order by u.created_at, u.id;

-- name: unsubscribe!
-- A member wants no more mail of a kind, said once or often; nothing for a seat that was not there. By users_pkey.
insert into messaging.unsubscriptions (organization_id, user_id, kind, created_at)
select u.organization_id, u.id, :kind, :now
from tenancy.users u
where u.organization_id = :organization_id and u.id = :user_id
on conflict (organization_id, user_id, kind) do nothing;
