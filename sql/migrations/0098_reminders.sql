-- depends: 0097_invoices_recomputed
-- A reminder is written on its invoice, so that each is in the trail, and none goes out for an invoice that has just been paid.

-- The constant default rewrites no row, and every row fits the constraint.
-- squawk-ignore-file adding-field-with-default, constraint-missing-not-valid

set local role app_owner;

alter table billing.billing_cycles add column reminded_days bigint not null default 0;
alter table billing.billing_cycles add constraint billing_cycles_reminded_days_check check (reminded_days >= 0);
comment on column billing.billing_cycles.reminded_days is 'The last reminder that was sent: so many days after the due date; 0 before the first.';
grant update (reminded_days) on billing.billing_cycles to app_worker;

reset role;
