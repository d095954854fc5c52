"""The providers that the settings name: a key that is not given means a provider that is not offered."""

import structlog

from jobs.providers.dkim_key import DkimKey
from jobs.providers.mail import MailTransport
from jobs.providers.mime import parse_mailbox
from jobs.providers.pace import PerSecond
from jobs.providers.payments import PaymentProvider
from jobs.providers.paystack import PaystackPayments
from jobs.providers.sms import SmsProvider
from jobs.providers.smtp import SmtpTransport
from jobs.providers.stripe import StripePayments
from jobs.providers.twilio import TwilioSms
from settings import Settings, SettingsError


def payment_providers(settings: Settings) -> dict[str, PaymentProvider]:
    """The payment providers with a key, by name; warns of one whose events cannot be proven and are not taken."""
    providers: list[PaymentProvider] = []
    if settings.stripe_secret_key:
        secret = settings.stripe_webhook_secret
        if secret is None:
            structlog.get_logger().warning("webhook.no_secret", provider="stripe", setting="STRIPE_WEBHOOK_SECRET")
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


def mail_transport(settings: Settings) -> MailTransport:
    """The mail server, with its pace and our signature where the settings say so. Raises SettingsError."""
    pace = PerSecond(settings.mail_per_second) if settings.mail_per_second else None
    return SmtpTransport(settings.smtp_url.get_secret_value(), pace=pace, dkim=_dkim_key(settings))


def _dkim_key(settings: Settings) -> DkimKey | None:
    """The key that signs our mail; a selector and a file, or neither."""
    selector, file = settings.dkim_selector, settings.dkim_key_file
    if selector is None and file is None:
        return None
    if selector is None or file is None:
        raise SettingsError("DKIM_SELECTOR, DKIM_KEY_FILE: Give both, or neither.")
    domain = settings.dkim_domain or parse_mailbox(settings.mail_from)[1].rpartition("@")[2]
    try:
        return DkimKey(domain, selector, file.read_bytes())
    except OSError as error:
        raise SettingsError(f"DKIM_KEY_FILE: Cannot be read ({error.strerror}).") from None
    except ValueError as error:
        raise SettingsError(f"DKIM_KEY_FILE: Unusable, {error}.") from None


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
