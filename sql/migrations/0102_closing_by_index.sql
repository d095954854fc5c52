-- depends: 0101_remainders
-- Closing finds what it needs by index, also when its plans were made while the tables were empty: the first month that an
-- installation closes would else be read from end to end for each organization.

set local role app_owner;

alter function billing.close_cycle(uuid, date, uuid, timestamptz, integer, text, text, text) set enable_seqscan = off;
alter function billing.missing_months(uuid) set enable_seqscan = off;

reset role;
