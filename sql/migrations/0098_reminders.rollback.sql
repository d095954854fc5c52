set local role app_owner;

alter table billing.billing_cycles drop column reminded_days;

reset role;
