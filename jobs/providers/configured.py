"""The providers that the settings name: a key that is not given means a provider that is not offered."""

from jobs.providers.payments import PaymentProvider
from jobs.providers.paystack import PaystackPayments
from jobs.providers.sms import SmsProvider
from jobs.providers.stripe import StripePayments
from jobs.providers.twilio import TwilioSms
from settings import Settings


def payment_providers(settings: Settings) -> dict[str, PaymentProvider]:
    """The payment providers with a key, by name."""
    providers: list[PaymentProvider] = []
    if settings.stripe_secret_key:
        secret = settings.stripe_webhook_secret
        providers.append(
            StripePayments(
                settings.stripe_secret_key.get_secret_value(),
                secret.get_secret_value() if secret else None,
                settings.stripe_api_base,
            )
        )
    if settings.paystack_secret_key:
        providers.append(PaystackPayments(settings.paystack_secret_key.get_secret_value(), settings.paystack_api_base))
    return {provider.name: provider for provider in providers}


def sms_provider(settings: Settings) -> SmsProvider | None:
    """The SMS provider, None without an account."""
    if not settings.twilio_account_sid or not settings.twilio_auth_token:
        return None
    return TwilioSms(
        settings.twilio_account_sid,
        settings.twilio_auth_token.get_secret_value(),
        settings.twilio_from,
        settings.twilio_api_base,
    )
