"""Which providers the settings offer, and what the start says of one whose events cannot be proven."""

import pytest
from structlog.testing import capture_logs

from jobs.providers.configured import payment_providers
from settings import Settings

BASE = {
    "DATABASE_URL": "postgresql://a:b@localhost/c", "REDIS_URL": "redis://localhost", "SMTP_URL": "smtp://localhost",
    "JWT_SECRET": "a secret of the tests, long enough for its use",
}  # fmt: skip


@pytest.mark.parametrize(
    ("given", "offered", "warned"),
    [
        ({}, set(), []),
        ({"PAYSTACK_SECRET_KEY": "sk_test_1"}, {"paystack"}, []),
        ({"STRIPE_SECRET_KEY": "sk_test_1"}, {"stripe"}, ["STRIPE_WEBHOOK_SECRET"]),
        ({"STRIPE_SECRET_KEY": "sk_test_1", "STRIPE_WEBHOOK_SECRET": "whsec_1"}, {"stripe"}, []),
    ],
)
async def test_the_start_warns_of_a_provider_without_the_secret_of_its_webhooks(
    given: dict[str, str], offered: set[str], warned: list[str]
) -> None:
    with capture_logs() as said:
        providers = payment_providers(Settings.from_env(BASE | given))
    for provider in providers.values():
        await provider.close()
    assert set(providers) == offered
    assert [line["setting"] for line in said if line["event"] == "webhook.no_secret"] == warned
