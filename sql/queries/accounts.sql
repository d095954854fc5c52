-- name: find^
-- The account of a normalized e-mail; by identity.accounts_email_key_key.
select id, email, full_name, password_hash, email_verified_at, created_at from identity.find_account(:email_key);

-- name: get^
-- One account; by identity.accounts_pkey.
select id, email, full_name, password_hash, email_verified_at, created_at from identity.get_account(:id);

-- name: create$
-- A new person; a taken e-mail violates identity.accounts_email_key_key.
select identity.create_account(:id, :email, :email_key, :full_name, :password_hash);

-- name: list_seats
-- The organizations of a person, the last used first; by identity.seat_directory_pkey.
select organization_id, user_id, status from identity.seats_of(:account_id);

-- name: hold_password$
-- True while the password is still the one that was checked, kept so until the commit; by identity.accounts_pkey.
select identity.hold_password(:id, :expected_hash);

-- name: set_password$
-- True when the hash was replaced, false when it was no longer the expected one; by identity.accounts_pkey.
select identity.set_password(:id, :expected_hash, :new_hash);

-- name: mark_verified$
-- When the mailbox was first proven; by identity.accounts_pkey.
select identity.mark_verified(:id, :now);

-- name: issue_token$
-- Voids older tokens of the type and records a new one; by identity.auth_tokens_account_id_idx.
select identity.issue_token(:id, :account_id, :type, :token_hash, :expires_at);

-- name: peek_token$
-- The account of a token that could be used now; by identity.auth_tokens_token_hash_key.
select identity.peek_token(:token_hash, :type, :now);

-- name: consume_token$
-- Uses a token up: its account, or null; by identity.auth_tokens_token_hash_key.
select identity.consume_token(:token_hash, :type, :now);

-- name: take_attempt$
-- Counts an attempt: 0 when it may be made, else the seconds to wait; by identity.attempts_pkey.
select identity.take_attempt(:subject, :free, :now);

-- name: give_attempt_back$
-- The attempt succeeded; by identity.attempts_pkey.
select identity.give_attempt_back(:subject, :all_of_them);

-- name: prune$
-- Forgets what ended before the given time; by the indexes on the times.
select identity.prune(:before);

-- name: find_first_request^
-- The seat that a newcomer's request has made under this key, or nothing; by identity.first_requests_pkey.
select request_hash, organization_id, user_id from identity.find_first_request(:request_key, :since);

-- name: keep_first_request$
-- True for the first request of this key; a twin waits for it, then gets false; by identity.first_requests_pkey.
select identity.keep_first_request(:request_key, :request_hash, :user_id, :now, :since);
