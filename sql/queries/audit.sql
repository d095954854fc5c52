-- name: page(organization_id, before, table_name, row_key, limit)
-- Events before a place in the organization's chain, newest first, of one table if given; by events_position_idx.
select position, occurred_at, transaction_id, actor_kind, actor_id, database_role, request_id, client_address, table_name, row_key, operation,
       before, after
from audit.events
where organization_id = :organization_id
  and position < :before
  and (:table_name::text is null or table_name = :table_name)
  and (:row_key::text is null or row_key = :row_key)
order by position desc
limit :limit;

-- name: page_of_row(organization_id, before, table_name, row_key, limit)
-- Events of one row before a place in the organization's chain, newest first; by events_row_key_idx.
select position, occurred_at, transaction_id, actor_kind, actor_id, database_role, request_id, client_address, table_name, row_key, operation,
       before, after
from audit.events
where organization_id = :organization_id
  and table_name = :table_name
  and row_key = :row_key
  and position < :before
order by position desc
limit :limit;

-- name: head(organization_id)^
-- The newest link of the organization's chain; by the primary key.
select position, occurred_at, hash
from audit.chain_heads
where organization_id = :organization_id;

-- name: verify(organization_id)^
-- Whether the organization's chain is whole, and where not; walks it by events_position_idx.
select is_intact, events, broken_at, reason
from audit.verify_chain(:organization_id);
