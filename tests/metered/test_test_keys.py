"""A test key goes the whole way and stays inside: nothing is sent, nothing is charged, the quota is untouched."""

import pytest

from tests.stack import Stack, stack, visitor

__all__ = ["stack", "visitor"]


@pytest.mark.parametrize("kind", ["email", "sms"])
async def test_a_test_key_neither_sends_nor_charges(stack: Stack, kind: str) -> None:
    owner = await stack.register()
    key = (await owner.post("/keys", {"name": "try-out", "mode": "test"})).data["key"]
    assert key.startswith("sk_test_")
    to = {"email": "nobody@example.com", "sms": "+14155550123"}[kind]
    sent = await owner.ask("POST", "/messages/send", {"to": to, "type": kind, "message": "Hello"}, X_API_Key=key)
    assert sent.data["status"] == "queued"
    await stack.work()
    followed = await owner.ask("GET", f"/messages/{sent.data['message_id']}", X_API_Key=key)
    assert followed.data["status"] == "delivered"
    assert stack.mails("nobody@example.com") == []
    usage = (await owner.get("/billing/usage")).data["summary"]
    assert (usage["total_requests"], usage["billable_requests"]) == (2, 0)
