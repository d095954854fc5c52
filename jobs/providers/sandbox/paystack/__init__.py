"""A local Paystack: transactions, verification, refunds, disputes and signed events."""
