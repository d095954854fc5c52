drop function billing.figures();
drop table billing.reconciliations;
delete from ops.waivers where object = 'billing.reconciliations';
drop function billing.reconcile_payments(uuid, timestamptz, timestamptz);
drop function billing.reconcile_events(timestamptz, timestamptz);
