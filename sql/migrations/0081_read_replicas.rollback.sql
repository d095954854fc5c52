set local role app_owner;
drop function app.require_replayed(bigint);
