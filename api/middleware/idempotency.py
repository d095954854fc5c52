"""An Idempotency-Key: the first answer is stored in the transaction of its effect, and replayed for a day."""

from hashlib import sha256
from uuid import UUID

from api.call import TenantCall
from api.endpoint import Endpoint
from api.exchange import Exchange
from api.reply import Reply
from db import idempotency
from db.errors import Invalid


async def once(endpoint: Endpoint, call: TenantCall, subject_id: UUID, raw: bytes) -> Reply:
    """Run the handler, or replay what it answered to the same key; needs the open transaction of `call`."""
    key = _key(call.exchange) if endpoint.declared.idempotent else None
    if key is None:
        return await endpoint.run(call, raw)
    fingerprint = _fingerprint(call.exchange, raw)
    stored = await idempotency.find(call.tenant, subject_id, key, fingerprint)
    if stored is not None:
        call.add_header("Idempotent-Replayed", "true")
        return endpoint.replayed(stored.status_code, stored.answer)
    reply = await endpoint.run(call, raw)
    await idempotency.store(
        call.tenant, subject_id, key, fingerprint, reply.status, reply.body, secret=endpoint.declared.secret_answer
    )
    return reply


def _fingerprint(exchange: Exchange, raw: bytes) -> bytes:
    """What makes two requests the same: method, path and body."""
    place = f"{exchange.scope['method']} {exchange.scope['path']}\n".encode("utf-8", "surrogateescape")
    return sha256(place + raw).digest()


def _key(exchange: Exchange) -> str | None:
    value = exchange.header(b"idempotency-key")
    if value is None:
        return None
    bare = value[1:-1] if len(value) > 2 and value[0] == value[-1] == '"' else value
    if not 1 <= len(bare) <= 255 or not all("!" <= character <= "~" for character in bare):
        raise Invalid("INVALID_REQUEST", "Idempotency-Key must be 1 to 255 visible ASCII characters")
    return bare
