"""The sandbox itself: its faults, its deliveries, its pages, and the process that serves it."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from structlog.testing import capture_logs

from jobs.providers.configured import payment_providers, sms_provider
from jobs.providers.paystack import PaystackPayments
from jobs.providers.stripe import StripePayments
from settings import ROOT, Settings
from tests.providers.conftest import Control, Order, get, post, press
from tests.providers.inbox import Inbox

COMPLETED = b"checkout.session.completed"


def kinds(inbox: Inbox) -> list[str]:
    return [json.loads(posted.body)["type"] for posted in inbox.posted]


async def test_a_refused_event_is_posted_again_with_a_fresh_signature(
    stripe_payments: StripePayments, order: Order, inbox: Inbox
) -> None:
    inbox.statuses = [500, 404, 302]
    checkout = await stripe_payments.create_checkout(order())
    await stripe_payments.expire(checkout.provider_reference)
    posted = inbox.wait(4)
    assert len({one.body for one in posted}) == 1
    assert all(one.headers["stripe-signature"].startswith("t=") for one in posted)


async def test_paystack_takes_only_200_for_an_answer(
    paystack_payments: PaystackPayments, order: Order, inbox: Inbox
) -> None:
    inbox.statuses = [202, 204]
    press((await paystack_payments.create_checkout(order())).url, "pay")
    assert len({posted.body for posted in inbox.wait(3)}) == 1


async def test_events_can_be_held_dropped_and_doubled(
    sandbox: str, stripe_payments: StripePayments, order: Order, inbox: Inbox, control: Control
) -> None:
    control("stripe", hold_webhooks=True, drop_webhooks=1, duplicate_webhooks=1)
    for _ in range(3):
        await stripe_payments.expire((await stripe_payments.create_checkout(order())).provider_reference)
    deliveries = get(f"{sandbox}/control").json()["stripe"]["deliveries"]
    assert deliveries == {"waiting": 3, "delivered": 0, "dropped": 1, "abandoned": 0}
    assert inbox.posted == []
    control("stripe", hold_webhooks=False)
    posted = inbox.wait(3)
    assert len({json.loads(one.body)["id"] for one in posted}) == 2


async def test_events_can_come_in_the_wrong_order(
    stripe_payments: StripePayments, order: Order, inbox: Inbox, control: Control
) -> None:
    control("stripe", reorder=True)
    checkout = await stripe_payments.create_checkout(order())
    press(checkout.url, "pay")
    inbox.wait(4)
    assert kinds(inbox)[0] == COMPLETED.decode()
    assert kinds(inbox)[-1] == "payment_intent.created"


async def test_an_event_can_be_sent_again(
    stripe_payments: StripePayments, order: Order, inbox: Inbox, control: Control
) -> None:
    await stripe_payments.expire((await stripe_payments.create_checkout(order())).provider_reference)
    control("stripe/resend", event=json.loads(inbox.wait(1)[0].body)["id"])
    assert inbox.wait(2)[0].body == inbox.posted[1].body


async def test_undelivered_events_survive_a_restart(tmp_path: Path, inbox: Inbox, order: Order) -> None:
    process, base = started(tmp_path, inbox)
    post(f"{base}/control", json={"provider": "stripe", "hold_webhooks": True})
    provider = StripePayments("sk_test_s", "whsec_s", f"{base}/stripe")
    checkout = await provider.create_checkout(order())
    await provider.expire(checkout.provider_reference)
    await provider.close()
    process.kill()
    process.wait()
    process, _ = started(tmp_path, inbox)
    assert checkout.provider_reference.encode() in inbox.wait(1)[0].body
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0


def test_a_wrong_fault_is_named_and_changes_nothing(sandbox: str) -> None:
    before = get(f"{sandbox}/control").json()
    bodies: list[object] = [{"provider": "stripe", "delay_ms": -1}, {"provider": "stripe", "dely": 1}, {}, []]
    for body in bodies:
        assert post(f"{sandbox}/control", json=body).status_code == 400
    assert post(f"{sandbox}/control/stripe/none", json={}).status_code == 404
    assert post(f"{sandbox}/control/stripe/settle", json={"session": "x"}).status_code == 400
    assert post(f"{sandbox}/control/stripe/resend", json={"event": "x"}).status_code == 404
    assert get(f"{sandbox}/control").json() == before


def test_reset_clears_every_fault(control: Control) -> None:
    control("paystack", delay_ms=5, hold_webhooks=True, drop_webhooks=2)
    cleared = control("paystack", reset=True)
    assert not any(cleared[name] for name in ("delay_ms", "hold_webhooks", "drop_webhooks", "fail_next"))


async def test_the_pages_say_what_they_are(
    sandbox: str, stripe_payments: StripePayments, paystack_payments: PaystackPayments, order: Order
) -> None:
    for provider in (stripe_payments, paystack_payments):
        checkout = await provider.create_checkout(order(invoice_number="<i>1</i>"))
        page = get(checkout.url)
        assert page.headers["content-security-policy"].startswith("default-src 'none'")
        for text in ("Sandbox", "29.00 USD", "Pay 29.00 USD", "Decline", "&lt;i&gt;1&lt;/i&gt;", "owner@example.org"):
            assert text in page.text
        press(checkout.url, "pay")
        assert "has been paid" in get(checkout.url).text
        assert press(checkout.url, "pay").status_code == 409
        assert press(f"{checkout.url}x", "pay").status_code == get(f"{checkout.url}x").status_code == 404
        assert checkout.url.rpartition("/")[2] in get(sandbox).text


def started(folder: Path, inbox: Inbox) -> tuple[subprocess.Popen[str], str]:
    """The sandbox as a process; its base address once it says `ready`."""
    variables = {
        "SANDBOX_HTTP_PORT": "0",
        "SANDBOX_SMTP_PORT": "0",
        "SANDBOX_DATA_DIR": str(folder),
        "SANDBOX_STRIPE_KEY": "sk_test_s",
        "SANDBOX_STRIPE_WEBHOOK_SECRET": "whsec_s",
        "SANDBOX_PAYSTACK_KEY": "sk_test_p",
        "SANDBOX_TWILIO_SID": "AC1",
        "SANDBOX_TWILIO_TOKEN": "t",
        "SANDBOX_WEBHOOK_BASE": f"{inbox.base}/webhooks/",
    }
    command = [sys.executable, "-m", "jobs.providers.sandbox"]
    process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, **variables}, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    addresses = process.stdout.readline()
    assert process.stdout.readline() == "ready\n"
    return process, dict(word.split("=", 1) for word in addresses.split())["http"]


async def test_the_process_serves_mail_too_and_stops_when_told(tmp_path: Path, inbox: Inbox) -> None:
    process, base = started(tmp_path, inbox)
    assert get(f"{base}/healthz").status_code == 200
    assert get(f"{base}/mail/").status_code == 200
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0


def test_a_taken_port_and_a_missing_variable_are_named(tmp_path: Path, inbox: Inbox) -> None:
    port = inbox.base.rpartition(":")[2]
    names = ("STRIPE_KEY", "STRIPE_WEBHOOK_SECRET", "PAYSTACK_KEY", "TWILIO_SID", "TWILIO_TOKEN")
    given = {f"SANDBOX_{name}": "x" for name in names} | {"SANDBOX_DATA_DIR": str(tmp_path)}
    for variables, word in ((given | {"SANDBOX_HTTP_PORT": port}, "in use"), (given, "SANDBOX_HTTP_PORT is not set")):
        command = [sys.executable, "-m", "jobs.providers.sandbox"]
        env = {**os.environ, **variables}
        ended = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False, timeout=30)
        assert (ended.returncode, ended.stdout) == (1, "")
        assert word in ended.stderr
        assert "Traceback" not in ended.stderr


async def test_only_what_the_settings_name_is_offered() -> None:
    base = {
        "DATABASE_URL": "postgresql://a:b@c/d",
        "REDIS_URL": "redis://a",
        "SMTP_URL": "smtp://a:25",
        "JWT_SECRET": "x" * 32,
    }
    bare = Settings.from_env(base)
    assert payment_providers(bare) == {}
    assert sms_provider(bare) is None
    keys = {"STRIPE_SECRET_KEY": "sk_live_1", "PAYSTACK_SECRET_KEY": "sk_test_1"}
    twilio = {"TWILIO_ACCOUNT_SID": "AC1", "TWILIO_AUTH_TOKEN": "t"}
    full = Settings.from_env({**base, **keys, **twilio})
    with capture_logs() as lines:
        providers = payment_providers(full)
    assert [(line["event"], line["setting"]) for line in lines] == [("webhook.no_secret", "STRIPE_WEBHOOK_SECRET")]
    assert {name: provider.livemode for name, provider in providers.items()} == {"stripe": True, "paystack": False}
    assert not providers["stripe"].accepts_webhooks
    assert sms_provider(full) is not None
