drop function billing.reconcile(uuid);
drop function billing.void(uuid, uuid, text);
drop function billing.release(uuid, uuid, text, timestamptz, integer);
drop function billing.credit(uuid, uuid, bigint, text, timestamptz);
drop function billing.apply_payment(uuid, uuid, text, bigint, bigint, boolean, text, timestamptz);
drop function billing.surplus_of(uuid, uuid);
drop function billing.settle(uuid, uuid, timestamptz);
