-- name: credit$
-- The status of an invoice after a credit note was written for it; its key is refused a second time, by credit_notes_key_key.
select billing.credit(
    :organization_id, :billing_cycle_id, :minor, :reason, :now, :id, :seller_name, :seller_address, :seller_tax_number,
    :key
);

-- name: get^
-- A credit note and the number of the invoice that it corrects; by credit_notes_pkey and billing_cycles_pkey.
select n.id, n.billing_cycle_id, n.number, n.amount_minor, n.settled_minor, n.balance_minor, n.currency, n.reason, n.organization_name,
       n.organization_email, n.seller_name, n.seller_address, n.seller_tax_number, n.issued_at, c.number as invoice_number,
       c.issued_at as invoice_issued_at
from billing.credit_notes n
join billing.billing_cycles c on c.organization_id = n.organization_id and c.id = n.billing_cycle_id
where n.organization_id = :organization_id and c.organization_id = :organization_id and n.id = :id;

-- name: page
-- One page of credit notes, newest first; by credit_notes_number_key.
select n.id, n.billing_cycle_id, n.number, n.amount_minor, n.settled_minor, n.balance_minor, n.currency, n.reason, n.organization_name,
       n.organization_email, n.seller_name, n.seller_address, n.seller_tax_number, n.issued_at, c.number as invoice_number,
       c.issued_at as invoice_issued_at
from billing.credit_notes n
join billing.billing_cycles c on c.organization_id = n.organization_id and c.id = n.billing_cycle_id
where n.organization_id = :organization_id and c.organization_id = :organization_id
order by n.number desc
limit :limit offset :offset;

-- name: of_invoice
-- The credit notes of an invoice, oldest first; by credit_notes_billing_cycle_id_idx.
select n.id, n.billing_cycle_id, n.number, n.amount_minor, n.settled_minor, n.balance_minor, n.currency, n.reason, n.organization_name,
       n.organization_email, n.seller_name, n.seller_address, n.seller_tax_number, n.issued_at, c.number as invoice_number,
       c.issued_at as invoice_issued_at
from billing.credit_notes n
join billing.billing_cycles c on c.organization_id = n.organization_id and c.id = n.billing_cycle_id
where n.organization_id = :organization_id and c.organization_id = :organization_id and n.billing_cycle_id = :billing_cycle_id
order by n.number;

-- name: totals^
-- How many credit notes there are, what they sum to, and what of it the next invoices will take off; by credit_notes_pkey.
select count(*) as notes, coalesce(sum(n.amount_minor), 0)::bigint as credited_minor, billing.credit_balance(:organization_id) as balance_minor
from billing.credit_notes n
where n.organization_id = :organization_id;
