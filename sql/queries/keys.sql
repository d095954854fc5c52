-- name: find_all
-- Organization and key that each digest leads to, for those that lead anywhere; by the primary key of identity.api_key_directory.
select wanted.digest, found.organization_id, found.api_key_id
from unnest(:digests::bytea[]) as wanted (digest)
cross join lateral identity.resolve_key(wanted.digest) as found;

-- name: resolve^
-- What an active key may do today and the limits of its organization's plan; by the primary keys of both tables.
select k.id, k.mode, k.scopes, k.expires_at, o.plan, coalesce(o.rate_limit_override, p.per_minute) as per_minute,
       case when p.is_hard_quota then p.included end as month_quota, p.overage_minor, p.overage_per,
       case when o.keys_suspended_at is null then identity.organization_status() else 'overdue' end as status
from tenancy.api_keys k
join tenancy.organizations o on o.organization_id = k.organization_id
cross join lateral billing.price_on(o.plan, :today) p
where k.organization_id = :organization_id and k.id = :id and k.is_active
  and o.organization_id = :organization_id;

-- name: lock_organization$
-- The most active keys the organization's plan allows, under a lock on its row that keeps two creations from passing the limit together.
select p.max_api_keys
from tenancy.organizations o
cross join lateral billing.price_on(o.plan, :today) p
where o.organization_id = :organization_id
for update of o;

-- name: count_active$
-- How many keys work; by api_keys_created_at_idx.
select count(*) from tenancy.api_keys
where organization_id = :organization_id and is_active and (expires_at is null or expires_at > :now);

-- name: create^
-- The new key as it is listed.
insert into tenancy.api_keys (organization_id, id, name, mode, first4, last4, scopes, created_by, created_at, expires_at)
values (:organization_id, :id, :name, :mode, :first4, :last4, :scopes, :created_by, :now, :expires_at)
returning id, name, mode, first4, last4, scopes, is_active, created_by, created_at, expires_at, last_used_at, revoked_at;

-- name: register!
-- The directory row that leads from the digest to the key.
select identity.register_key(:digest, :id);

-- name: forget!
-- The digest leads nowhere from the commit on.
select identity.forget_key(:id);

-- name: page
-- One page of keys, newest first, revoked ones included; by api_keys_created_at_idx.
select k.id, k.name, k.mode, k.first4, k.last4, k.scopes, k.is_active, k.created_by, k.created_at, k.expires_at, k.last_used_at,
       k.revoked_at, u.email as creator_email, (u.removed_at is not null) as is_orphaned
from tenancy.api_keys k
join tenancy.users u on u.organization_id = k.organization_id and u.id = k.created_by
where k.organization_id = :organization_id
order by k.created_at desc, k.id desc
limit :limit offset :offset;

-- name: count$
-- How many keys there are, revoked ones included.
select count(*) from tenancy.api_keys where organization_id = :organization_id;

-- name: get_for_update^
-- A key, locked; by the primary key.
select id, name, mode, scopes, is_active, created_by, expires_at, replaced_by
from tenancy.api_keys
where organization_id = :organization_id and id = :id
for update;

-- name: revoke!
-- Ends a key.
update tenancy.api_keys set is_active = false, revoked_at = :now
where organization_id = :organization_id and id = :id and is_active;

-- name: replace!
-- Gives a key a successor and the end of its grace, never later than its own expiry.
update tenancy.api_keys set replaced_by = :replaced_by, expires_at = least(expires_at, :grace_until)
where organization_id = :organization_id and id = :id;

-- name: touch!
-- Moves the last use of keys forward, to the minute, in one statement for a batch; two processes lock rows in the same order.
with used as (
    select k.id, t.at_time
    from tenancy.api_keys k
    join unnest(:ids::uuid[], :times::timestamptz[]) as t (id, at_time) on t.id = k.id
    where k.organization_id = :organization_id and (k.last_used_at is null or k.last_used_at < t.at_time)
    order by k.id
    for no key update of k
)
update tenancy.api_keys k set last_used_at = used.at_time
from used
where k.organization_id = :organization_id and k.id = used.id;
