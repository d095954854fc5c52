-- name: live^
-- The live attempt to pay an invoice; by payments_live_key.
select id, billing_cycle_id, provider, reference, url, customer_email, amount_minor, currency, invoice_minor, status, failure, succeeded_minor,
       refunded_minor, charged_back_minor, surplus_minor, expires_at, created_at, settled_at
from billing.payments
where organization_id = :organization_id and billing_cycle_id = :billing_cycle_id and status = 'open';

-- name: get^
-- One attempt; by payments_pkey.
select id, billing_cycle_id, provider, reference, url, customer_email, amount_minor, currency, invoice_minor, status, failure, succeeded_minor,
       refunded_minor, charged_back_minor, surplus_minor, expires_at, created_at, settled_at
from billing.payments
where organization_id = :organization_id and id = :id;

-- name: of_invoice
-- Every attempt to pay an invoice, oldest first; by payments_billing_cycle_id_idx.
select id, billing_cycle_id, provider, reference, url, customer_email, amount_minor, currency, invoice_minor, status, failure, succeeded_minor,
       refunded_minor, charged_back_minor, surplus_minor, expires_at, created_at, settled_at
from billing.payments
where organization_id = :organization_id and billing_cycle_id = :billing_cycle_id
order by created_at, id;

-- name: begin^
-- The new attempt, or nothing when the invoice has a live one or is not owed any more; payments_live_key decides.
insert into billing.payments
    (organization_id, id, billing_cycle_id, provider, customer_email, amount_minor, currency, invoice_minor, expires_at, asked_at, updated_at,
     created_at)
select :organization_id, :id, c.id, :provider, :customer_email, :amount_minor, :currency, :invoice_minor, :expires_at, :now, :now, :now
from billing.billing_cycles c
where c.organization_id = :organization_id and c.id = :billing_cycle_id and c.status in ('pending', 'overdue')
on conflict do nothing
returning id, billing_cycle_id, provider, reference, url, customer_email, amount_minor, currency, invoice_minor, status, failure,
          succeeded_minor, refunded_minor, charged_back_minor, surplus_minor, expires_at, created_at, settled_at;

-- name: store_checkout^
-- Whether the provider's page may be shown: the attempt is live and its invoice owed; nothing when a twin stored one before. By payments_pkey.
update billing.payments p
set reference = :reference, expires_at = :expires_at, updated_at = :now,
    url = case when p.status = 'open' and c.status in ('pending', 'overdue') then :url::text end
from billing.billing_cycles c
where p.organization_id = :organization_id and p.id = :id and p.reference is null
  and c.organization_id = :organization_id and c.id = p.billing_cycle_id
returning p.url is not null as is_shown;

-- name: register!
-- Leads from the provider's reference to the attempt of the organization in context.
select identity.register_payment(:provider, :reference, :id);

-- name: end_attempt!
-- Ends a live attempt without money; by payments_pkey.
update billing.payments set status = :status, failure = :failure, settled_at = :now, updated_at = :now
where organization_id = :organization_id and id = :id and status = 'open';

-- name: apply^
-- What a payment's state as the provider tells it did: the invoice, whether it is paid by this, what is to be given back, and what the
-- next invoice will ask for.
select cycle_id, is_newly_paid, surplus, remainder
from billing.apply_payment(
    :organization_id, :id, :status, :refunded_minor, :charged_back_minor, :is_disputed, :provider_payment_id, :now
);

-- name: surplus$
-- What is to be given back of a payment in its minor units, or null.
select billing.surplus_of(:organization_id, :id);

-- name: unheard
-- Live attempts whose provider was last asked before a time, oldest first; by payments_live_key.
select id, billing_cycle_id, provider, reference, url, customer_email, amount_minor, currency, invoice_minor, status, failure, succeeded_minor,
       refunded_minor, charged_back_minor, surplus_minor, expires_at, created_at, settled_at
from billing.payments
where organization_id = :organization_id and status = 'open' and asked_at < :before
order by asked_at;

-- name: has_live$
-- Whether the organization has a live attempt; by payments_status_idx.
select exists (select from billing.payments where organization_id = :organization_id and status = 'open');
