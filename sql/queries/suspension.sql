-- name: status$
-- The status of the organization in context, null when there is none; by identity.organization_directory_pkey.
select identity.organization_status();

-- name: set_status$
-- Suspends or resumes the organization in context; by identity.organization_directory_pkey.
select identity.set_organization_status(:status);

-- name: record!
-- One act of an operator, into the organization's trail.
insert into audit.accesses (organization_id, kind, reason, operator)
values (:organization_id, :kind, :reason, :operator);
