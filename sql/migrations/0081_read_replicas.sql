-- depends: 0080_counted_until
-- A standby may answer only for an organization whose last write it has replayed; asked in the message that begins the read.

set local role app_owner;

create function app.require_replayed(log_position bigint) returns void
language plpgsql volatile
set search_path = ''
as $$
declare
    replayed bigint := (pg_catalog.pg_last_wal_replay_lsn() - '0/0'::pg_catalog.pg_lsn)::bigint;
begin
    if not pg_catalog.pg_is_in_recovery() then
        raise exception 'this server is no standby' using errcode = 'REP01';
    end if;
    if replayed is null or replayed < log_position then
        raise exception 'this standby has not come so far' using errcode = 'REP02', detail = coalesce(replayed, 0)::text;
    end if;
end
$$;
comment on function app.require_replayed(bigint) is
    'Nothing on a standby that has replayed the log up to this position (bytes from its beginning); else raises REP02 with its own in the detail. REP01 anywhere but on a standby.';
revoke execute on function app.require_replayed(bigint) from public;
grant execute on function app.require_replayed(bigint) to app_api;
