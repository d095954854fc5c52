-- depends: 0041_charge_from_rollups
-- The two requests that customers make most, each as one statement: context, work and commit in a single round trip.

set local role app_owner;

create function app.enter(organization uuid, key uuid, request text, address text) returns void
language plpgsql
set search_path = ''
as $$
begin
    if organization is null or key is null then
        raise exception 'no organization or no key to enter with' using errcode = 'ORG01';
    end if;
    if coalesce(current_setting('app.current_org_id', true), '') not in ('', organization::text) then
        raise exception 'another organization is in context' using errcode = 'ORG01';
    end if;
    perform set_config('app.current_org_id', organization::text, true), set_config('app.actor_kind', 'api_key', true),
            set_config('app.actor_id', key::text, true), set_config('app.request_id', coalesce(request, ''), true),
            set_config('app.client_address', coalesce(address, ''), true);
end
$$;
comment on function app.enter(uuid, uuid, text, text) is
    'Takes the rest of this transaction into an organization, on behalf of one of its keys; raises ORG01 inside another one.';

create function messaging.send(
    organization uuid, key uuid, request text, address text, new_id uuid, new_type text, new_recipient text, new_subject text, new_body text,
    new_metadata jsonb, new_segments integer, new_is_test boolean, at_time timestamptz
) returns void
language plpgsql
set search_path = ''
as $$
begin
    perform app.enter(organization, key, request, address);
    insert into messaging.messages
        (organization_id, id, api_key_id, type, recipient, subject, body, metadata, segments, is_test, next_attempt_at, created_at)
    values (organization, new_id, key, new_type, new_recipient, new_subject, new_body, new_metadata, new_segments, new_is_test, at_time, at_time);
    perform identity.announce_work('messages');
end
$$;
comment on function messaging.send(uuid, uuid, text, text, uuid, text, text, text, text, jsonb, integer, boolean, timestamptz) is
    'Queues a message of an organization and announces it to the workers, in a transaction of its own.';

create function messaging.show(organization uuid, key uuid, request text, address text, wanted_id uuid) returns setof messaging.messages
language plpgsql
set search_path = ''
as $$
begin
    perform app.enter(organization, key, request, address);
    return query select m.* from messaging.messages m where m.organization_id = organization and m.id = wanted_id;
end
$$;
comment on function messaging.show(uuid, uuid, text, text, uuid) is 'One message of an organization, in a transaction of its own.';

revoke execute on function app.enter(uuid, uuid, text, text),
    messaging.send(uuid, uuid, text, text, uuid, text, text, text, text, jsonb, integer, boolean, timestamptz),
    messaging.show(uuid, uuid, text, text, uuid) from public;
grant execute on function app.enter(uuid, uuid, text, text),
    messaging.send(uuid, uuid, text, text, uuid, text, text, text, text, jsonb, integer, boolean, timestamptz),
    messaging.show(uuid, uuid, text, text, uuid) to app_api;

reset role;
