"""A local Stripe: Checkout Sessions, PaymentIntents, refunds, disputes and events, spoken as the SDK expects."""
