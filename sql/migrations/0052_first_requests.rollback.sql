delete from ops.reviewed_functions where function in (
    'identity.find_first_request(bytea, timestamp with time zone)',
    'identity.keep_first_request(bytea, bytea, uuid, timestamp with time zone, timestamp with time zone)'
);
drop function identity.keep_first_request(bytea, bytea, uuid, timestamptz, timestamptz);
drop function identity.find_first_request(bytea, timestamptz);
drop table identity.first_requests;
