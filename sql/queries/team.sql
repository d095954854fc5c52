-- name: add_user!
-- A seat for a person; a second live one violates users_account_id_key.
insert into tenancy.users (organization_id, id, account_id, email, role, created_at)
values (:organization_id, :id, :account_id, :email, :role, :now);

-- name: enter_directory$
-- Records the seat where log-in finds it; by identity.seat_directory_pkey.
select identity.add_seat(:account_id, :user_id);

-- name: leave_directory$
-- Forgets the seat and ends the sessions opened for it; by identity.seat_directory_pkey.
select identity.remove_seat(:account_id);

-- name: list_members
-- The people of the organization, oldest first; by users_account_id_key.
select u.id, u.account_id, m.email, m.full_name, u.role, m.email_verified_at, u.created_at
from tenancy.users u
join identity.members() m on m.user_id = u.id
where u.organization_id = :organization_id and u.removed_at is null
order by u.created_at, u.id;

-- name: get_member^
-- One person of the organization; by users_pkey.
select u.id, u.account_id, m.email, m.full_name, u.role, m.email_verified_at, u.created_at
from tenancy.users u
join identity.members() m on m.user_id = u.id
where u.organization_id = :organization_id and u.id = :user_id and u.removed_at is null;

-- name: role_of$
-- The role of a seat, null when it was removed; by users_pkey.
select role from tenancy.users
where organization_id = :organization_id and id = :user_id and removed_at is null;

-- name: email_of$
-- The e-mail address of a person of the organization, also of a removed one; by users_pkey.
select email from tenancy.users where organization_id = :organization_id and id = :user_id;

-- name: has_seat$
-- Whether the person with this e-mail has a seat; by identity.accounts_email_key_key and users_account_id_key.
select exists (
    select from tenancy.users u
    join identity.find_account(:email_key) a on a.id = u.account_id
    where u.organization_id = :organization_id and u.removed_at is null
);

-- name: count_owners$
-- How many owners there are; by users_account_id_key.
select count(*) from tenancy.users
where organization_id = :organization_id and role = 'owner' and removed_at is null;

-- name: set_role!
-- 1 when a seat has its new role; by users_pkey.
update tenancy.users set role = :role
where organization_id = :organization_id and id = :user_id and removed_at is null;

-- name: remove!
-- 1 when a seat was ended; its keys and its history stay; by users_pkey.
update tenancy.users set removed_at = :now
where organization_id = :organization_id and id = :user_id and removed_at is null;

-- name: keep_an_owner#
-- Raises ORG02 now, rather than at commit, when no owner is left.
set constraints tenancy.keep_an_owner immediate;

-- name: end_invitations_by
-- Ends the live invitations of a person who has left; by team_invitations_invited_by_idx.
update tenancy.team_invitations set ended_at = :now
where organization_id = :organization_id and invited_by = :user_id
  and accepted_at is null and declined_at is null and ended_at is null
returning id;

-- name: end_expired
-- Ends an invitation to this e-mail that has expired, so that it does not block; by team_invitations_live_key.
update tenancy.team_invitations set ended_at = :now
where organization_id = :organization_id and email_key = :email_key and expires_at <= :now
  and accepted_at is null and declined_at is null and ended_at is null
returning id;

-- name: invite^
-- A new invitation with the e-mail of its sender, nothing when a live one to this e-mail exists; by team_invitations_live_key.
insert into tenancy.team_invitations (organization_id, id, email, email_key, role, invited_by, expires_at, created_at)
values (:organization_id, :id, :email, :email_key, :role, :invited_by, :expires_at, :now)
on conflict (organization_id, email_key) where accepted_at is null and declined_at is null and ended_at is null do nothing
returning id, email, role, (
    select u.email from tenancy.users u where u.organization_id = :organization_id and u.id = :invited_by
) as invited_by, expires_at, created_at;

-- name: count_mails$
-- Invitations mailed since a time, the repeated ones too; by emails_created_at_idx.
select count(*) from messaging.emails
where organization_id = :organization_id and kind = 'invitation' and created_at > :since;

-- name: count_mails_of$
-- How often this invitation was mailed; by emails_once_key.
select count(*) from messaging.emails
where organization_id = :organization_id and kind = 'invitation' and subject_id = :id;

-- name: count_notices$
-- How often this person was told of this kind of change; by emails_once_key.
select count(*) from messaging.emails
where organization_id = :organization_id and kind = :kind and subject_id = :user_id and recipient = :recipient;

-- name: list_pending
-- The invitations that can still be accepted, oldest first; by team_invitations_live_key.
select i.id, i.email, i.role, u.email as invited_by, i.expires_at, i.created_at
from tenancy.team_invitations i
join tenancy.users u on u.organization_id = i.organization_id and u.id = i.invited_by
where i.organization_id = :organization_id and i.expires_at > :now
  and i.accepted_at is null and i.declined_at is null and i.ended_at is null
order by i.created_at, i.id;

-- name: get_live^
-- A live invitation, its organization's name and its inviter's role now (null: has left); by team_invitations_pkey.
select i.id, i.email, i.email_key, i.role, i.invited_by, i.expires_at, i.created_at,
       o.name as organization_name, u.email as inviter_email, case when u.removed_at is null then u.role end as inviter_role
from tenancy.team_invitations i
join tenancy.organizations o on o.organization_id = i.organization_id
join tenancy.users u on u.organization_id = i.organization_id and u.id = i.invited_by
where i.organization_id = :organization_id and i.id = :id
  and i.accepted_at is null and i.declined_at is null and i.ended_at is null;

-- name: accept!
-- 1 for the one who accepts a live invitation; by team_invitations_pkey.
update tenancy.team_invitations set accepted_at = :now
where organization_id = :organization_id and id = :id and expires_at > :now
  and accepted_at is null and declined_at is null and ended_at is null;

-- name: decline!
-- 1 for the one who declines a live invitation; by team_invitations_pkey.
update tenancy.team_invitations set declined_at = :now
where organization_id = :organization_id and id = :id and expires_at > :now
  and accepted_at is null and declined_at is null and ended_at is null;

-- name: cancel!
-- 1 when a live invitation was ended, expired or not; by team_invitations_pkey.
update tenancy.team_invitations set ended_at = :now
where organization_id = :organization_id and id = :id
  and accepted_at is null and declined_at is null and ended_at is null;

-- name: renew!
-- 1 when a live invitation got a new expiry; by team_invitations_pkey.
update tenancy.team_invitations set expires_at = :expires_at
where organization_id = :organization_id and id = :id
  and accepted_at is null and declined_at is null and ended_at is null;

-- name: resolve^
-- Organization and invitation that a token leads to; by identity.invitation_directory_pkey.
select organization_id, invitation_id from identity.resolve_invitation(:token_hash);

-- name: register_token$
-- Leads from a new token to the invitation; an older one is void; by identity.invitation_directory_invitation_id_key.
select identity.register_invitation(:token_hash, :id);

-- name: forget_token$
-- The invitation's token leads nowhere; by identity.invitation_directory_invitation_id_key.
select identity.forget_invitation(:id);
