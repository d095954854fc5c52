"""A local Twilio: the Messages resource, status call-backs, and the magic numbers of its test mode."""
