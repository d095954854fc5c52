drop function billing.review_keys(uuid, timestamptz, integer);
alter table tenancy.organizations drop column keys_suspended_at;
