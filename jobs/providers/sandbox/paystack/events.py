"""Paystack's events, signed with the secret key over the raw bytes."""

import hashlib
import hmac
import json

from jobs.providers.sandbox.state import Sandbox
from jobs.providers.sandbox.store import Body


def emit(sandbox: Sandbox, kind: str, subject: Body) -> None:
    """Post that something happened to `subject`, in the caller's transaction."""
    if sandbox.config.webhook_base:
        body = json.dumps({"event": kind, "data": subject}).encode()
        sandbox.couriers["paystack"].post(
            f"{sandbox.config.webhook_base}/paystack", f"{kind}:{subject.get('id')}", body
        )


def signature(secret_key: str, body: bytes) -> dict[str, str]:
    """The header of one delivery."""
    digest = hmac.new(secret_key.encode(), body, hashlib.sha512).hexdigest()
    return {"x-paystack-signature": digest, "user-agent": "Paystack/2.0 (sandbox)"}
