"""Twilio's Messages resource over httpx, and its signed status call-backs."""

import base64
import hashlib
import hmac
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote, urlsplit
from uuid import UUID

from jobs.providers.errors import SignatureError
from jobs.providers.http import Answer, HttpApi
from jobs.providers.payments import header
from jobs.providers.sms import SmsFault, SmsReceipt, SmsRefused, SmsStatus

STATES: dict[str, SmsStatus] = {
    "sent": "sent",
    "delivered": "delivered",
    "read": "delivered",
    "failed": "failed",
    "undelivered": "failed",
    "canceled": "failed",
}

FAULTS: dict[str, SmsFault] = {
    "21211": "invalid_number",
    "21217": "invalid_number",
    "21265": "invalid_number",
    "21614": "invalid_number",
    "30005": "invalid_number",
    "30006": "invalid_number",
    "21610": "unsubscribed",
    "21612": "unreachable",
    "30003": "unreachable",
    "21611": "temporary",
    "20429": "temporary",
    "14107": "temporary",
    "30001": "temporary",
    "30008": "temporary",
    "30009": "temporary",
    "20003": "account",
    "20005": "account",
    "21212": "account",
    "21408": "account",
    "21606": "account",
    "21659": "account",
    "21660": "account",
    "30002": "account",
}
"""Twilio's error codes by what to do about them (twilio.com/docs/api/errors); any other is `rejected`."""


class TwilioSms:
    """An SmsProvider for one Twilio account and one sender number."""

    name = "twilio"

    def __init__(
        self, account_sid: str, auth_token: str, sender: str, api_base: str, *, timeout: float = 5.0, retries: int = 2
    ) -> None:
        self._token = auth_token
        self._sender = sender
        self._messages = f"/2010-04-01/Accounts/{account_sid}/Messages"
        self._api = HttpApi(api_base, auth=(account_sid, auth_token), timeout=timeout, retries=retries)

    async def send(self, message_id: UUID, to: str, body: str, callback_url: str | None) -> SmsReceipt:
        """Create a message. Twilio keeps no key of ours, so the call-back's address is what names `message_id`."""
        form = {"To": to, "From": self._sender, "Body": body}
        if callback_url:
            form["StatusCallback"] = callback_url
        return _receipt(_accepted(await self._api.post(f"{self._messages}.json", data=form)))

    async def find(
        self, message_id: UUID, to: str, body: str, since: datetime, known: Collection[str] = ()
    ) -> SmsReceipt | None:
        """The oldest message to this number with this text since then that nobody else owns."""
        query = {"To": to, "From": self._sender, "PageSize": 100}
        listed = _accepted(await self._api.get(f"{self._messages}.json", params=query))["messages"]
        earliest = since.replace(microsecond=0)
        found = [
            message
            for message in listed
            if message["body"] == body
            and message["sid"] not in known
            and parsedate_to_datetime(message["date_created"]) >= earliest
        ]
        return _receipt(found[-1]) if found else None

    async def fetch(self, provider_id: str) -> SmsReceipt:
        """The message as it stands now."""
        return _receipt(_accepted(await self._api.get(f"{self._messages}/{quote(provider_id, safe='')}.json")))

    def parse_callback(self, url: str, form: Sequence[tuple[str, str]], headers: Mapping[str, str]) -> SmsReceipt:
        """The state in a call-back whose X-Twilio-Signature was made with our token."""
        given = header(headers, "x-twilio-signature")
        if not given:
            raise SignatureError("missing")
        expected = [sign(address, form, self._token) for address in _spellings(url)]
        if not any(hmac.compare_digest(given.encode(), signature) for signature in expected):
            raise SignatureError("mismatch")
        fields = dict(form)
        if "MessageSid" not in fields or "MessageStatus" not in fields:
            raise SignatureError("malformed")
        code = fields.get("ErrorCode") or None
        return SmsReceipt(fields["MessageSid"], _status(fields["MessageStatus"]), 0, code, _fault(code))

    async def close(self) -> None:
        """Give the connections back."""
        await self._api.close()


def sign(url: str, form: Sequence[tuple[str, str]], token: str) -> bytes:
    """The X-Twilio-Signature of a posted form: HMAC-SHA1 over the address and the sorted fields, in base64."""
    text = url + "".join(name + value for name, value in sorted(set(form)))
    return base64.b64encode(hmac.new(token.encode(), text.encode(), hashlib.sha1).digest())


def _spellings(url: str) -> list[str]:
    """The address as called and with its standard port made explicit: Twilio signs either form."""
    parts = urlsplit(url)
    if parts.port is not None or parts.hostname is None:
        return [url]
    port = 443 if parts.scheme == "https" else 80
    return [url, parts._replace(netloc=f"{parts.netloc}:{port}").geturl()]


def _accepted(answer: Answer) -> dict[str, Any]:
    body: dict[str, Any] = answer.body if isinstance(answer.body, dict) else {}
    if answer.status < 400:
        return body
    code = str(body.get("code") or answer.status)
    raise SmsRefused(code, str(body.get("message", "")), _fault(code) or "rejected")


def _receipt(message: dict[str, Any]) -> SmsReceipt:
    code = str(message["error_code"]) if message.get("error_code") else None
    return SmsReceipt(
        provider_id=message["sid"],
        status=_status(message["status"]),
        segments=int(message.get("num_segments") or 0),
        error_code=code,
        fault=_fault(code),
    )


def _status(raw: str) -> SmsStatus:
    """Accepted, scheduled, queued and sending are all `queued` to us."""
    return STATES.get(raw, "queued")


def _fault(code: str | None) -> SmsFault | None:
    return FAULTS.get(code, "rejected") if code else None
