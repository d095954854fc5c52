"""An Idempotency-Key: the first answer is stored in the transaction of its effect, and replayed for a day."""

from hashlib import sha256
from uuid import UUID

from api.call import TenantCall
from api.endpoint import Endpoint
from api.exchange import Exchange
from api.reply import Reply
from db import idempotency
from db.errors import Invalid


def is_asked_for(endpoint: Endpoint, exchange: Exchange) -> bool:
    """Whether the answer to this request has to be stored beside its effect."""
    return endpoint.declared.idempotent and b"idempotency-key" in exchange.request_headers


async def once(endpoint: Endpoint, call: TenantCall, subject_id: UUID, raw: bytes) -> Reply:
    """Run the handler, or replay what it answered to the same key; needs the open transaction of `call`."""
    key = key_of(call.exchange) if endpoint.declared.idempotent else None
    if key is None:
        return await endpoint.run(call, raw)
    claim = _claim(call.exchange, subject_id, key, raw)
    stored = await idempotency.find(call.tenant, claim, call.now())
    if stored is not None:
        return _replay(endpoint, call, stored)
    reply = await endpoint.run(call, raw)
    await _keep(endpoint, call, claim, reply)
    return reply


async def apart(endpoint: Endpoint, call: TenantCall, subject_id: UUID, raw: bytes) -> Reply:
    """The same for a handler that opens its own transactions: look first, run, then store.

    Twins in flight both reach such a handler, which talks to the outside and has its own unique rows against a second
    effect; the first of them to finish decides what both answer.
    """
    key = key_of(call.exchange) if endpoint.declared.idempotent else None
    if key is None:
        return await endpoint.run(call, raw)
    claim = _claim(call.exchange, subject_id, key, raw)
    try:
        async with call.transaction() as tenant:
            stored = await idempotency.find(tenant, claim, call.now())
            if stored is None:
                raise _NotAnsweredError  # rolls the claim back: nothing is held while the outside world is asked
            return _replay(endpoint, call, stored)
    except _NotAnsweredError:
        reply = await endpoint.run(call, raw)
    async with call.transaction() as tenant:
        stored = await idempotency.find(tenant, claim, call.now())
        if stored is not None:
            return _replay(endpoint, call, stored)
        await _keep(endpoint, call, claim, reply)
    return reply


class _NotAnsweredError(Exception):
    """Nothing is stored yet."""


def _replay(endpoint: Endpoint, call: TenantCall, stored: idempotency.Stored) -> Reply:
    if stored.was_recorded:
        call.exchange.replayed = True
    else:
        # The first answer never left, and was not charged: this one takes its place in the books.
        call.exchange.record_id = stored.record_id
    call.add_header("Idempotent-Replayed", "true")
    return endpoint.replayed(stored.status_code, stored.answer)


async def _keep(endpoint: Endpoint, call: TenantCall, claim: idempotency.Claim, reply: Reply) -> None:
    secret = endpoint.declared.secret_answer
    await idempotency.store(call.tenant, claim, reply.status, reply.body, call.now(), secret=secret)


def _claim(exchange: Exchange, subject_id: UUID, key: str, raw: bytes) -> idempotency.Claim:
    return idempotency.Claim(subject_id, key, _fingerprint(exchange, raw), exchange.record_id)


def _fingerprint(exchange: Exchange, raw: bytes) -> bytes:
    """What makes two requests the same: method, path and body."""
    place = f"{exchange.scope['method']} {exchange.scope['path']}\n".encode("utf-8", "surrogateescape")
    return sha256(place + raw).digest()


def key_of(exchange: Exchange) -> str | None:
    """The Idempotency-Key of a request, bare or quoted; raises Invalid for one of wrong shape."""
    value = exchange.header(b"idempotency-key")
    if value is None:
        return None
    bare = value[1:-1] if len(value) > 2 and value[0] == value[-1] == '"' else value
    if not 1 <= len(bare) <= 255 or not all("!" <= character <= "~" for character in bare):
        raise Invalid("INVALID_REQUEST", "Idempotency-Key must be 1 to 255 visible ASCII characters")
    return bare
