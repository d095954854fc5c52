set local role app_owner;
drop view ops.event_reconciliation;
