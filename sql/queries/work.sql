-- name: announce!
-- Says that the organization in context has work of a kind waiting; by work_directory_pkey.
select identity.announce_work(:kind);

-- name: withdraw!
-- Takes back what the organization in context announced.
select identity.withdraw_work(:kind);

-- name: waiting
-- The organizations after a given one that have work of a kind waiting, in order; by work_directory_pkey.
select organization_id from identity.waiting_organizations(:kind, :after, :page_size) as organization_id;
