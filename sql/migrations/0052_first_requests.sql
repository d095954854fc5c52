-- depends: 0051_log_ins_in_the_trail
-- What a newcomer has begun under an Idempotency-Key: before there is an organization that could keep the answer.

set local role app_owner;

create table identity.first_requests (
    request_key     bytea not null,
    request_hash    bytea not null,
    organization_id uuid not null,
    user_id         uuid not null,
    created_at      timestamptz not null,
    constraint first_requests_pkey primary key (request_key),
    constraint first_requests_organization_id_fkey
        foreign key (organization_id) references identity.organization_directory (organization_id) on delete cascade
        deferrable initially deferred,
    constraint first_requests_request_key_check check (octet_length(request_key) = 32 and octet_length(request_hash) = 32)
);
create index first_requests_organization_id_idx on identity.first_requests (organization_id);
create index first_requests_created_at_idx on identity.first_requests (created_at);
comment on table identity.first_requests is
    'Registrations and accepted invitations that named an Idempotency-Key: repeated, they lead to the same seat. No answer is kept, since it would hold a session.';
comment on column identity.first_requests.request_key is 'SHA-256 of what was asked for, by whom and under which key.';
comment on column identity.first_requests.request_hash is 'SHA-256 of the rest of the request, without the password.';
comment on column identity.first_requests.organization_id is 'Where the seat is.';
comment on column identity.first_requests.user_id is 'The seat that the request made.';
comment on column identity.first_requests.created_at is 'When; a day later it is forgotten.';

create function identity.find_first_request(wanted_key bytea, since timestamptz)
returns table (request_hash bytea, organization_id uuid, user_id uuid)
language sql stable security definer
set search_path = ''
as $$
    select f.request_hash, f.organization_id, f.user_id
    from identity.first_requests f
    where f.request_key = wanted_key and f.created_at > since;
$$;
comment on function identity.find_first_request(bytea, timestamptz) is
    'The seat that a request of this key has made since a time, or nothing.';

create function identity.keep_first_request(new_key bytea, new_hash bytea, new_user_id uuid, at_time timestamptz, since timestamptz)
returns boolean
language sql volatile security definer
set search_path = ''
as $$
    delete from identity.first_requests where created_at <= since;
    with kept as (
        insert into identity.first_requests (request_key, request_hash, organization_id, user_id, created_at)
        values (new_key, new_hash, app.current_org_id(), new_user_id, at_time)
        on conflict (request_key) do nothing
        returning request_key
    )
    select exists (select from kept);
$$;
comment on function identity.keep_first_request(bytea, bytea, uuid, timestamptz, timestamptz) is
    'Notes the seat that a request makes in the organization in context, and forgets old ones; false for a twin, which waits for the first.';

grant select, insert, update, delete on identity.first_requests to app_resolver;
revoke execute on function identity.find_first_request(bytea, timestamptz),
    identity.keep_first_request(bytea, bytea, uuid, timestamptz, timestamptz) from public;
grant execute on function identity.find_first_request(bytea, timestamptz),
    identity.keep_first_request(bytea, bytea, uuid, timestamptz, timestamptz) to app_rw;

insert into ops.reviewed_functions (function, owner, reason) values
    ('identity.find_first_request(bytea, timestamp with time zone)', 'app_resolver',
     'Before an organization is known: leads from a digest, which only the one who asked can make, to the seat that the request made.'),
    ('identity.keep_first_request(bytea, bytea, uuid, timestamp with time zone, timestamp with time zone)', 'app_resolver',
     'Writes for the organization in context alone; no other role has a right on the table.');

reset role;
call app.hand_over('identity.find_first_request(bytea, timestamptz)'::regprocedure, 'app_resolver');
call app.hand_over('identity.keep_first_request(bytea, bytea, uuid, timestamptz, timestamptz)'::regprocedure, 'app_resolver');
