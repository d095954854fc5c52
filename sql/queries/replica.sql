-- What primary and standby say of themselves; no table is read.

-- name: written$
-- Where the primary's log ends now: all that has been committed before is in front of it, flushed or not.
select (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::bigint;

-- name: replayed$
-- How far the standby has come; nothing on a server that is none.
select case when pg_is_in_recovery() then (coalesce(pg_last_wal_replay_lsn(), '0/0'::pg_lsn) - '0/0'::pg_lsn)::bigint end;

-- name: system$
-- The number that a primary and its standbys have in common, and no other server has.
select system_identifier from pg_control_system();
