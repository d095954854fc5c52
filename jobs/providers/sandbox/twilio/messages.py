"""Creating, reading and moving messages on: queued, sent, delivered or failed, each with a signed call-back."""

import base64
import hashlib
import hmac
import re
import secrets
import time
from datetime import UTC, datetime
from email.utils import format_datetime
from urllib.parse import parse_qsl, urlencode

from jobs.providers.sandbox.state import Sandbox
from jobs.providers.sandbox.store import Body
from jobs.providers.sandbox.twilio.refusals import TwilioRefusal
from jobs.providers.sandbox.twilio.segments import segments

NUMBER = re.compile(r"^\+[1-9]\d{6,14}$")
STEP_SECONDS = 0.15
NEXT = {"queued": "sent", "sent": "delivered"}
UNREACHABLE = 30003

MAGIC_TO = {
    "+15005550001": (21211, "The 'To' number +15005550001 is not a valid phone number."),
    "+15005550002": (21612, "The 'To' phone number is not currently reachable using the 'From' phone number."),
    "+15005550003": (21408, "Permission to send an SMS has not been enabled for the region of the 'To' number."),
    "+15005550004": (21610, "Attempt to send to unsubscribed recipient."),
    "+15005550009": (21614, "'To' number is not a valid mobile number."),
}
MAGIC_FROM = {
    "+15005550001": (21212, "The 'From' number +15005550001 is not a valid phone number."),
    "+15005550007": (21606, "The 'From' phone number is not a valid, SMS-capable Twilio number."),
    "+15005550008": (21611, "This 'From' number has exceeded the maximum number of queued messages."),
}


def create(sandbox: Sandbox, form: dict[str, str]) -> Body:
    """POST …/Messages.json."""
    _check(form)
    account = sandbox.config.twilio_sid
    sid = f"SM{secrets.token_hex(16)}"
    path = f"/2010-04-01/Accounts/{account}/Messages/{sid}"
    body: Body = {
        "id": sid,
        "sid": sid,
        "account_sid": account,
        "api_version": "2010-04-01",
        "body": form["Body"],
        "date_created": _stamp(),
        "date_sent": None,
        "date_updated": _stamp(),
        "direction": "outbound-api",
        "error_code": None,
        "error_message": None,
        "from": form["From"],
        "messaging_service_sid": None,
        "num_media": "0",
        "num_segments": str(segments(form["Body"])),
        "price": None,
        "price_unit": "USD",
        "status": "queued",
        "subresource_uris": {"media": f"{path}/Media.json"},
        "to": form["To"],
        "uri": f"{path}.json",
        "callback": form.get("StatusCallback"),
    }
    sandbox.store.put("sms", body)
    sandbox.schedule.at(time.time() + STEP_SECONDS, "twilio", "advance", sid)
    return public(body)


def _check(form: dict[str, str]) -> None:
    """Raises TwilioRefusal as the real resource does."""
    to, sender, text = form.get("To", ""), form.get("From", ""), form.get("Body", "")
    if not to:
        raise TwilioRefusal(400, 21604, "A 'To' phone number is required.")
    if not sender:
        raise TwilioRefusal(400, 21603, "A 'From' phone number is required.")
    if sender in MAGIC_FROM:
        raise TwilioRefusal(400, *MAGIC_FROM[sender])
    if to in MAGIC_TO:
        raise TwilioRefusal(400, *MAGIC_TO[to])
    if not NUMBER.match(to):
        raise TwilioRefusal(400, 21211, f"The 'To' number {to} is not a valid phone number.")
    if not text:
        raise TwilioRefusal(400, 21602, "Message body is required.")
    if len(text) > 1600:
        raise TwilioRefusal(400, 21617, "The concatenated message body exceeds the 1600 character limit.")


def public(body: Body) -> Body:
    """A message as the API shows it."""
    return {name: value for name, value in body.items() if name not in ("id", "callback")}


def on_step(sandbox: Sandbox, action: str, sid: str) -> None:
    """The message moves one state on, and the product is told."""
    body = sandbox.store.get("sms", sid)
    if action != "advance" or body is None or body["status"] not in NEXT:
        return
    fails = body["status"] == "sent" and body["to"].endswith("0001")
    body["status"] = "undelivered" if fails else NEXT[body["status"]]
    body["date_updated"] = _stamp()
    body["date_sent"] = body["date_sent"] or _stamp()
    if fails:
        body |= {"error_code": UNREACHABLE, "error_message": "Unreachable destination handset"}
    sandbox.store.put("sms", body)
    if body["status"] in NEXT:
        sandbox.schedule.at(time.time() + STEP_SECONDS, "twilio", "advance", sid)
    _call_back(sandbox, body)


def _call_back(sandbox: Sandbox, body: Body) -> None:
    if not body["callback"]:
        return
    fields = {
        "AccountSid": body["account_sid"],
        "ApiVersion": body["api_version"],
        "From": body["from"],
        "MessageSid": body["sid"],
        "MessageStatus": body["status"],
        "SmsSid": body["sid"],
        "SmsStatus": body["status"],
        "To": body["to"],
    }
    if body["error_code"]:
        fields["ErrorCode"] = str(body["error_code"])
    form = urlencode(fields).encode()
    courier = sandbox.couriers["twilio"]
    courier.post(body["callback"], f"{body['sid']}:{body['status']}", form, "application/x-www-form-urlencoded")


def signature(token: str, url: str, body: bytes) -> dict[str, str]:
    """The header of one call-back: HMAC-SHA1 over the address and the sorted fields."""
    text = url + "".join(name + value for name, value in sorted(parse_qsl(body.decode(), keep_blank_values=True)))
    digest = hmac.new(token.encode(), text.encode(), hashlib.sha1).digest()
    return {"x-twilio-signature": base64.b64encode(digest).decode(), "user-agent": "TwilioProxy/1.1 (sandbox)"}


def _stamp() -> str:
    return format_datetime(datetime.now(UTC))
