"""The local Paystack beside its published description: every field that it requires is there, in the right kind."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.providers import paystack_description as described
from tests.providers.conftest import PAYSTACK_KEY, Control, press
from tests.providers.inbox import Inbox
from tests.providers.paystack_description import gaps


@pytest.fixture
def api(sandbox: str) -> Iterator[httpx.Client]:
    with httpx.Client(
        base_url=f"{sandbox}/paystack", headers={"authorization": f"Bearer {PAYSTACK_KEY}"}, timeout=10
    ) as client:
        yield client


def asked(answer: httpx.Response, kinds: Any, path: str) -> Any:
    """The `data` of an answer, which is as described."""
    body = answer.json()
    assert answer.status_code == 200, body
    assert gaps(body, {"status": bool, "message": str, "data": kinds}, path) == []
    return body["data"]


def opened(api: httpx.Client) -> dict[str, Any]:
    """A transaction that nobody has paid yet."""
    request = {"email": "a@example.org", "amount": 20_000, "currency": "NGN", "metadata": {"attempt_id": "7"}}
    found: dict[str, Any] = asked(
        api.post("/transaction/initialize", json=request), described.INITIALIZED, "initialize"
    )
    return found


def test_a_transaction_is_as_described_before_and_after_it_is_paid(api: httpx.Client) -> None:
    for outcome in (None, "decline", "pay"):
        page = opened(api)
        if outcome:
            press(page["authorization_url"], outcome)
        verified = asked(api.get(f"/transaction/verify/{page['reference']}"), described.VERIFIED, "verify")
        asked(api.get(f"/transaction/{verified['id']}"), described.VERIFIED, "fetch")
    listing = api.get("/transaction", params={"perPage": 2})
    assert len(asked(listing, [described.LISTED], "list")) == 2
    assert gaps(listing.json()["meta"], described.META, "meta") == []


def test_a_refund_is_as_described_when_it_is_made_read_and_listed(api: httpx.Client) -> None:
    page = opened(api)
    press(page["authorization_url"], "pay")
    body = {"transaction": page["reference"], "amount": 5000}
    made = asked(api.post("/refund", json=body), described.REFUND_CREATED, "refund")
    asked(api.get(f"/refund/{made['id']}"), described.REFUND_FETCHED, "refund fetch")
    assert len(asked(api.get("/refund"), [described.REFUND_LISTED], "refund list")) == 1


def test_every_event_is_as_described(api: httpx.Client, inbox: Inbox, control: Control) -> None:
    page = opened(api)
    press(page["authorization_url"], "pay")
    api.post("/refund", json={"transaction": page["reference"], "amount": 5000})
    dispute = control("paystack/dispute", reference=page["reference"])
    control("paystack/close-dispute", dispute=dispute["id"], status="lost")
    for kind, kinds in described.EVENTS.items():
        body = json.loads(inbox.wait_for(f'"{kind}"'.encode()).body)
        assert set(body) == {"event", "data"}
        assert gaps(body["data"], kinds, kind) == []


def test_a_refusal_is_as_described(api: httpx.Client) -> None:
    for answer in (api.get("/transaction/verify/none"), api.post("/transaction/initialize", json={"amount": 1})):
        assert answer.status_code == 400
        assert gaps(answer.json(), described.REFUSED, "refusal") == []
        assert answer.json()["status"] is False


def test_a_field_that_is_missing_or_of_another_kind_is_noticed(api: httpx.Client) -> None:
    page = opened(api)
    press(page["authorization_url"], "pay")
    whole = asked(api.get(f"/transaction/verify/{page['reference']}"), described.VERIFIED, "verify")
    for name in described.VERIFIED:
        without = {field: value for field, value in whole.items() if field != name}
        assert gaps(without, described.VERIFIED, "verify") == [f"verify.{name} is missing"]
        assert gaps({**whole, name: 1.5}, described.VERIFIED, "verify") == [f"verify.{name} is float"]
    assert gaps({**whole, "amount": True}, described.VERIFIED, "verify") == ["verify.amount is bool"]
