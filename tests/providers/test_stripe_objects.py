"""The official SDK against the local Stripe: every field that the published description requires is there."""

import time
from collections.abc import AsyncIterator
from types import NoneType
from typing import Any, Union, get_args, get_origin

import pytest
import stripe
from stripe import StripeObject
from stripe.checkout import Session

from tests.providers.conftest import STRIPE_KEY, Control, press

NOT_ALWAYS_SENT = {
    Session: {
        "branding_settings",
        "excluded_payment_method_types",
        "line_items",
        "managed_payments",
        "name_collection",
        "optional_items",
        "presentment_details",
        "redirect_on_completion",
        "return_url",
        "tax_id_collection",
    },
    stripe.PaymentIntent: {
        "allowed_payment_method_types",
        "hooks",
        "managed_payments",
        "payment_details",
        "payment_record",
        "presentment_details",
    },
    stripe.Charge: {
        "authorization_code",
        "level3",
        "presentment_details",
        "radar_options",
        "refunds",
        "transfer",
    },
    stripe.Refund: {
        "customer",
        "customer_account",
        "description",
        "failure_balance_transaction",
        "failure_reason",
        "instructions_email",
        "next_action",
        "payment_method",
        "pending_reason",
        "presentment_details",
    },
    stripe.Dispute: {"intended_submission_method", "network_reason_code", "payment_method_details"},
    stripe.Event: {"account", "context"},
}
"""Fields that the published description does not list as sent in every answer."""


@pytest.fixture
async def client(sandbox: str) -> AsyncIterator[stripe.StripeClient]:
    http = stripe.HTTPXClient(timeout=5)
    yield stripe.StripeClient(STRIPE_KEY, base_addresses={"api": f"{sandbox}/stripe"}, http_client=http)
    await http.close_async()  # type: ignore[no-untyped-call]


def fields(model: type[StripeObject]) -> dict[str, Any]:
    """The fields of an object; the SDK annotates its class constants too."""
    return {name: kind for name, kind in model.__annotations__.items() if name.islower() and name[0] != "_"}


def gaps(body: Any, model: Any, path: str) -> list[str]:
    """The places where `body` lacks what `model` says is never missing and never null, all the way down."""
    if get_origin(model) is list and isinstance(body, list):
        return [gap for place, item in enumerate(body) for gap in gaps(item, get_args(model)[0], f"{path}[{place}]")]
    if not (isinstance(model, type) and issubclass(model, StripeObject) and isinstance(body, dict)):
        return []
    found: list[str] = []
    for name, kind in fields(model).items():
        optional = get_origin(kind) is Union and NoneType in get_args(kind)
        if not optional and body.get(name) is None:
            found.append(f"{path}.{name}")
        found += gaps(body.get(name), get_args(kind)[0] if optional else kind, f"{path}.{name}")
    return found


def complete(subject: StripeObject, model: type[StripeObject]) -> None:
    body = subject.to_dict()
    assert gaps(body, model, model.__name__) == []
    assert set(fields(model)) - set(body) <= NOT_ALWAYS_SENT[model]


async def paid(client: stripe.StripeClient) -> Session:
    session = await client.v1.checkout.sessions.create_async(
        {
            "mode": "payment",
            "line_items": [
                {"quantity": 2, "price_data": {"currency": "usd", "unit_amount": 500, "product_data": {"name": "A"}}}
            ],
            "success_url": "https://example.org/done?session={CHECKOUT_SESSION_ID}",
            "expand": ["line_items"],
        }
    )
    complete(session, Session)
    assert session.url
    assert press(session.url, "pay").headers["location"] == f"https://example.org/done?session={session.id}"
    return await client.v1.checkout.sessions.retrieve_async(session.id, {"expand": ["payment_intent.latest_charge"]})


async def test_every_object_carries_what_the_description_requires(
    client: stripe.StripeClient, control: Control
) -> None:
    session = await paid(client)
    complete(session, Session)
    intent = session.payment_intent
    assert isinstance(intent, stripe.PaymentIntent)
    complete(intent, stripe.PaymentIntent)
    assert isinstance(intent.latest_charge, stripe.Charge)
    complete(intent.latest_charge, stripe.Charge)
    complete(await client.v1.refunds.create_async({"payment_intent": intent.id, "amount": 100}), stripe.Refund)
    dispute = control("stripe/dispute", payment_intent=intent.id)
    complete(await client.v1.disputes.retrieve_async(dispute["id"]), stripe.Dispute)
    for event in (await client.v1.events.list_async({"limit": 100})).data:
        complete(event, stripe.Event)


async def test_lists_are_paged_both_ways(client: stripe.StripeClient) -> None:
    ids = [(await paid(client)).id for _ in range(5)][::-1]
    sessions = client.v1.checkout.sessions
    first = await sessions.list_async({"limit": 2})
    assert [session.id for session in first.data] == ids[:2]
    assert first.has_more
    assert [session.id async for session in first.auto_paging_iter()] == ids
    before = await sessions.list_async({"limit": 2, "ending_before": ids[4]})
    assert [session.id for session in before.data] == ids[2:4]
    none = await sessions.list_async({"created": {"gt": int(time.time()) + 60}})
    assert none.data == []
    lines = await sessions.line_items.list_async(ids[0])
    assert [(line.quantity, line.amount_total) for line in lines.data] == [(2, 1000)]


async def test_refunds_and_intents_are_found_by_their_payment(client: stripe.StripeClient) -> None:
    intent = (await paid(client)).payment_intent
    other = (await paid(client)).payment_intent
    assert isinstance(intent, stripe.PaymentIntent)
    assert isinstance(other, stripe.PaymentIntent)
    refund = await client.v1.refunds.create_async({"payment_intent": intent.id})
    assert refund.amount == 1000
    found = await client.v1.refunds.list_async({"payment_intent": intent.id, "expand": ["data.charge"]})
    assert [row.id for row in found.data] == [refund.id]
    assert isinstance(found.data[0].charge, stripe.Charge)
    assert found.data[0].charge.refunded
    assert (await client.v1.refunds.list_async({"payment_intent": other.id})).data == []
    assert {row.id for row in (await client.v1.payment_intents.list_async()).data} == {intent.id, other.id}


async def test_errors_are_stripes_own(client: stripe.StripeClient) -> None:
    with pytest.raises(stripe.InvalidRequestError) as unknown:
        await client.raw_request_async("post", "/v1/refunds", charge="ch_1", colour="red")
    assert unknown.value.code == "parameter_unknown"
    with pytest.raises(stripe.InvalidRequestError) as missing:
        await client.v1.refunds.retrieve_async("re_none")
    assert (missing.value.code, missing.value.http_status) == ("resource_missing", 404)
    session = await paid(client)
    assert isinstance(session.payment_intent, stripe.PaymentIntent)
    await client.v1.refunds.create_async({"payment_intent": session.payment_intent.id})
    with pytest.raises(stripe.InvalidRequestError) as again:
        await client.v1.refunds.create_async({"payment_intent": session.payment_intent.id})
    assert again.value.code == "charge_already_refunded"
    with pytest.raises(stripe.InvalidRequestError):
        await client.v1.customers.list_async()


async def test_a_refused_parameter_may_be_corrected_under_the_same_key(client: stripe.StripeClient) -> None:
    session = await paid(client)
    assert isinstance(session.payment_intent, stripe.PaymentIntent)
    intent = session.payment_intent.id
    with pytest.raises(stripe.InvalidRequestError):
        await client.v1.refunds.create_async({"payment_intent": intent, "amount": 5000}, {"idempotency_key": "k"})
    refund = await client.v1.refunds.create_async({"payment_intent": intent, "amount": 500}, {"idempotency_key": "k"})
    with pytest.raises(stripe.IdempotencyError):
        await client.v1.refunds.create_async({"payment_intent": intent, "amount": 400}, {"idempotency_key": "k"})
    assert refund.amount == 500
