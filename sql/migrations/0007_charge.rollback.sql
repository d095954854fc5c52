drop function billing.close_cycle(uuid, date, uuid, timestamptz, integer);
drop function billing.charge(uuid, date);
drop function billing.price_on(text, date);
drop function billing.plan_on(uuid, date);
