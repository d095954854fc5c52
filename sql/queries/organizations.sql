-- name: enter_directory$
-- Puts the organization in context into the directory; by identity.organization_directory_pkey.
select identity.open_organization();

-- name: create^
-- A new organization on the free plan; a trigger begins the history of its plan.
insert into tenancy.organizations (organization_id, name, email, plan, created_at, updated_at)
values (:organization_id, :name, :email, 'free', :now, :now)
returning organization_id as id, name, email, plan, created_at, updated_at;

-- name: get^
-- The organization; by organizations_pkey.
select organization_id as id, name, email, plan, created_at, updated_at, keys_suspended_at
from tenancy.organizations
where organization_id = :organization_id;

-- name: lock^
-- The organization, locked: changes of its seats wait for one another here; by organizations_pkey.
select organization_id as id, name, email, plan, created_at, updated_at, keys_suspended_at
from tenancy.organizations
where organization_id = :organization_id
for update;

-- name: rename^
-- The organization under its new name; by organizations_pkey.
update tenancy.organizations
set name = :name, updated_at = :now
where organization_id = :organization_id
returning organization_id as id, name, email, plan, created_at, updated_at;
