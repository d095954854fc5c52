drop function messaging.show(uuid, uuid, text, text, uuid);
drop function messaging.send(uuid, uuid, text, text, uuid, text, text, text, text, jsonb, integer, boolean, timestamptz);
drop function app.enter(uuid, uuid, text, text);
