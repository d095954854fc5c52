"""The doors for providers' events: only proven bytes are stored, once, and answered at once."""

import json
import re
import time
from dataclasses import replace
from typing import Any

import httpx
import stripe

from jobs.providers.paystack_events import sign
from settings import Settings
from tests.money.shop import PAYSTACK_KEY, STRIPE_SECRET, Shop, shop
from tests.stack import serving

__all__ = ["shop"]


def stripe_event(**changes: Any) -> dict[str, Any]:
    """An event about nothing of ours."""
    subject = {"object": "customer", "id": "cus_1"}
    return {
        "id": f"evt_{time.monotonic_ns()}", "object": "event", "type": "customer.created", "livemode": False,
        "created": int(time.time()), "data": {"object": subject}, **changes,
    }  # fmt: skip


async def post_stripe(shop: Shop, event: object, *, secret: str = STRIPE_SECRET, age: int = 0) -> httpx.Response:
    body = event if isinstance(event, bytes) else json.dumps(event).encode()
    header = stripe.WebhookSignature.generate_signature_header(body.decode(), secret, timestamp=int(time.time()) - age)
    return await shop.stack.http.post("/api/v1/webhooks/stripe", content=body, headers={"stripe-signature": header})


async def post_paystack(shop: Shop, event: object, signature: str | None = None) -> httpx.Response:
    body = json.dumps(event).encode()
    headers = {"x-paystack-signature": sign(body, PAYSTACK_KEY) if signature is None else signature}
    return await shop.stack.http.post("/api/v1/webhooks/paystack", content=body, headers=headers)


def stored(shop: Shop, event_id: str) -> list[tuple[Any, ...]]:
    return shop.stack.rows("select type, outcome from billing.payment_events where event_id = %s", event_id)


async def test_an_unknown_event_is_stored_answered_and_ignored(shop: Shop) -> None:
    event = stripe_event()
    assert (await post_stripe(shop, event)).status_code == 200
    await shop.work()
    assert stored(shop, event["id"]) == [("unknown", "ignored")]


async def test_a_replayed_event_is_answered_and_stored_once(shop: Shop) -> None:
    event = stripe_event()
    assert [(await post_stripe(shop, event)).status_code for _ in range(3)] == [200, 200, 200]
    assert len(stored(shop, event["id"])) == 1
    jobs = shop.stack.rows(
        "select 1 from jobs.procrastinate_jobs where task_name = 'payments.handle_event' and args ->> 'event_id' = %s",
        event["id"],
    )
    assert len(jobs) == 1


async def test_what_is_not_proven_is_refused_and_not_stored(shop: Shop) -> None:
    event = stripe_event()
    answers = [
        await post_stripe(shop, event, secret="whsec_other"),
        await post_stripe(shop, event, age=301),
        await post_stripe(shop, b"[]"),
        await shop.stack.http.post("/api/v1/webhooks/stripe", json=event),
        await post_paystack(shop, {"event": "charge.success", "data": {"id": 1}}, ""),
        await post_paystack(shop, {"event": "charge.success", "data": {"id": 1}}, sign(b"other bytes", PAYSTACK_KEY)),
        await post_paystack(shop, []),
    ]
    assert [answer.status_code for answer in answers] == [400] * 7
    assert {answer.json()["error"]["code"] for answer in answers} == {"INVALID_REQUEST"}
    assert stored(shop, event["id"]) == []


async def test_what_is_no_json_or_too_large_is_refused_and_not_stored(shop: Shop) -> None:
    event = stripe_event()
    body = json.dumps(event).encode()
    header = {"stripe-signature": stripe.WebhookSignature.generate_signature_header(body.decode(), STRIPE_SECRET)}
    post = shop.stack.http.post
    for kind in ("text/plain", "application/x-www-form-urlencoded", "application/jsonx"):
        for name, signed in (("stripe", header), ("paystack", {"x-paystack-signature": sign(body, PAYSTACK_KEY)})):
            answer = await post(f"/api/v1/webhooks/{name}", content=body, headers={**signed, "content-type": kind})
            assert (answer.status_code, answer.json()["error"]["code"]) == (415, "INVALID_REQUEST")
    large = await post_stripe(shop, stripe_event(note="x" * 1_048_576))
    assert (large.status_code, large.json()["error"]["code"]) == (413, "INVALID_REQUEST")
    assert stored(shop, event["id"]) == []
    kind = "application/json; charset=utf-8"
    assert (await post("/api/v1/webhooks/stripe", content=body, headers={**header, "content-type": kind})).is_success
    assert len(stored(shop, event["id"])) == 1


async def test_what_is_refused_is_counted_by_provider_and_fault(shop: Shop) -> None:
    before = await refusals(shop)
    await post_stripe(shop, stripe_event(), age=301)
    await post_paystack(shop, {"event": "charge.success", "data": {"id": 1}}, "")
    after = await refusals(shop)
    assert {key: count - before.get(key, 0) for key, count in after.items() if count != before.get(key)} == {
        ("stale", "stripe"): 1, ("missing", "paystack"): 1,
    }  # fmt: skip


async def refusals(shop: Shop) -> dict[tuple[str, str], float]:
    text = (await shop.stack.http.get("/metrics")).text
    found = re.findall(r'^webhooks_refused_total{fault="(\w+)",provider="(\w+)"} (\S+)', text, re.MULTILINE)
    return {(fault, provider): float(count) for fault, provider, count in found}


async def test_an_event_of_the_other_mode_changes_nothing(shop: Shop) -> None:
    subject = {"object": "checkout.session", "id": "cs_live_1", "payment_status": "paid"}
    event = stripe_event(type="checkout.session.completed", livemode=True, data={"object": subject})
    assert (await post_stripe(shop, event)).status_code == 200
    await shop.work()
    assert stored(shop, event["id"]) == [("payment_succeeded", "wrong_mode")]


async def test_an_event_about_a_payment_that_the_provider_does_not_know_changes_nothing(shop: Shop) -> None:
    subject = {"object": "checkout.session", "id": "cs_test_nobodys", "payment_status": "paid"}
    event = stripe_event(type="checkout.session.completed", data={"object": subject})
    assert (await post_stripe(shop, event)).status_code == 200
    await shop.work()
    assert stored(shop, event["id"]) == [("payment_succeeded", "unknown_to_provider")]


async def test_a_claim_of_payment_is_not_believed_before_the_provider_confirms_it(shop: Shop) -> None:
    customer = await shop.customer()
    await customer.pay("paystack")
    reference = (await shop.attempts(customer))[0].reference
    claim = {"event": "charge.success", "data": {
        "id": 77, "domain": "test", "status": "success", "reference": reference, "amount": 5000, "currency": "USD",
    }}  # fmt: skip
    assert (await post_paystack(shop, claim)).status_code == 200
    await shop.work()
    assert (await shop.cycle(customer)).status == "pending"


async def test_metadata_that_is_no_object_does_not_stop_a_payment(shop: Shop) -> None:
    for form in ("zero", "empty", "null"):
        customer = await shop.customer()
        await shop.control("paystack", metadata_as=form)
        started = (await customer.pay("paystack")).data
        await shop.press(started["payment_url"])
        await shop.work()
        await shop.control("paystack", reset=True)
        assert (await shop.cycle(customer)).status == "paid", form


async def test_a_bank_debit_is_paid_only_when_the_bank_has_paid(shop: Shop) -> None:
    customer = await shop.customer()
    started = (await customer.pay()).data
    await shop.press(started["payment_url"], "later")
    await shop.work()
    assert (await shop.cycle(customer)).status == "pending", "completed is not paid"
    assert (await customer.pay("paystack")).code == "CONFLICT", "the money is on its way"
    session = (await shop.attempts(customer))[0].reference
    await shop.control("stripe/settle", session=session, outcome="succeeded")
    await shop.delivered()
    await shop.work()
    assert (await shop.cycle(customer)).status == "paid"


async def test_without_a_secret_there_is_no_such_endpoint(shop: Shop) -> None:
    bare = Settings.model_validate(
        shop.stack.settings.model_dump() | {"stripe_webhook_secret": None, "paystack_secret_key": None}
    )
    async with serving(bare, shop.stack.clock) as (http, _):
        other = replace(shop, stack=replace(shop.stack, http=http))
        assert (await post_stripe(other, stripe_event())).status_code == 404
        assert (await post_paystack(other, {"event": "x", "data": {"id": 1}})).status_code == 404


async def test_a_nul_in_an_event_does_not_stop_it(shop: Shop) -> None:
    event = stripe_event(note="a\x00b")
    assert (await post_stripe(shop, event)).status_code == 200
    assert len(stored(shop, event["id"])) == 1
