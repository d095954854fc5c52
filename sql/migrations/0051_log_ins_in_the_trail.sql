-- depends: 0050_known_devices
-- Who logged in to an organization and out of it, and from where, stands in its trail.

set local role app_owner;

create constraint trigger note_log_in after insert on identity.sessions deferrable initially deferred
    for each row execute function audit.write_event('identity.sessions', 'id', '');
alter table identity.sessions enable always trigger note_log_in;
comment on trigger note_log_in on identity.sessions is 'Writes each log-in into audit.events at commit.';

-- A session can also be ended from another organization of the same person, or by a reset: that act is not this organization's.
create constraint trigger note_log_out after update of revoked_at on identity.sessions deferrable initially deferred
    for each row when (old.revoked_at is null and new.organization_id::text = current_setting('app.current_org_id', true))
    execute function audit.write_event('identity.sessions', 'id', 'last_seen_at');
alter table identity.sessions enable always trigger note_log_out;
comment on trigger note_log_out on identity.sessions is 'Writes each end of a session by an act in its organization into audit.events at commit.';
