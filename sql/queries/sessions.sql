-- name: seat^
-- Who acts in a live session: the seat's row as it is now; by users_pkey and identity.sessions_pkey.
select s.account_id, u.id as user_id, u.role, u.created_at, s.email, s.full_name, s.email_verified_at, s.status
from tenancy.users u
join identity.session_seat(:session_id, :now) s on s.user_id = u.id
where u.organization_id = :organization_id and u.id = :user_id and u.removed_at is null;

-- name: whoami^
-- Who acts in a live session and in which organization, context and commit included; by users_pkey, organizations_pkey and identity.sessions_pkey.
select account_id, user_id, role, created_at, email, full_name, email_verified_at, status, organization_name, organization_email, plan, founded_at
from tenancy.whoami(:organization_id, :user_id, :session_id, :now);

-- name: open$
-- True when the session was opened, false without the seat; by identity.seat_directory_pkey.
select identity.open_session(:id, :account_id, :user_id, :user_agent, :address, :now, :expires_at);

-- name: touch$
-- Notes that the session was seen, at most every five minutes; by identity.sessions_pkey.
select identity.touch_session(:session_id, :now);

-- name: list_live
-- The live sessions of a person in all organizations, the last used first; by identity.sessions_account_id_idx.
select id, organization_id, user_agent, address, created_at, last_seen_at, expires_at
from identity.list_sessions(:account_id, :now);

-- name: revoke$
-- True when a live session of the person ended; by identity.sessions_pkey.
select identity.revoke_session(:account_id, :session_id);

-- name: revoke_all$
-- How many sessions of the person ended, all but the kept one; by identity.sessions_account_id_idx.
select identity.revoke_sessions(:account_id, :kept);

-- name: former_devices
-- From where a person has logged in before, one caller at a time; by identity.sessions_account_id_idx.
select user_agent, address from identity.former_devices(:account_id, :session_id);

-- name: device^
-- From where and when a session was opened; by identity.sessions_pkey.
select user_agent, address, created_at from identity.session_device(:session_id);
