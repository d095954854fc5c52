set local role app_owner;

alter function billing.missing_months(uuid) reset enable_seqscan;
alter function billing.close_cycle(uuid, date, uuid, timestamptz, integer, text, text, text) reset enable_seqscan;

reset role;
