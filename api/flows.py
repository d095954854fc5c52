"""The way of a request through the steps that depend on who may call: authentication, limit, usage, handler."""

from starlette.types import Receive, Scope

from api.call import KeyCall, PublicCall, SignedCall, UserCall
from api.endpoint import Endpoint, Flow
from api.exchange import Exchange
from api.inputs import read_body
from api.middleware import authentication, idempotency, limit, replica, usage
from api.middleware.recovery import refusal_of
from api.permissions import PUBLIC, SIGNED
from api.permissions import Scope as KeyScope
from api.reply import Reply
from db.errors import DomainError, Forbidden
from db.limits import Admission
from db.types import Actor
from jobs.resources import Resources


async def public(endpoint: Endpoint, exchange: Exchange, scope: Scope, receive: Receive) -> Reply:
    """Anybody, limited by address."""
    resources: Resources = scope["state"]["resources"]
    await limit.by_address(endpoint.declared.limit, exchange, resources)
    raw = await endpoint.read(receive)
    return await endpoint.run(PublicCall(exchange, resources, receive), raw)


async def signed(endpoint: Endpoint, exchange: Exchange, scope: Scope, receive: Receive) -> Reply:
    """A webhook: the handler gets the exact bytes."""
    resources: Resources = scope["state"]["resources"]
    await limit.by_address(endpoint.declared.limit, exchange, resources)
    raw = await read_body(receive)
    return await endpoint.run(SignedCall(exchange, resources, receive, raw), raw)


async def user(endpoint: Endpoint, exchange: Exchange, scope: Scope, receive: Receive) -> Reply:
    """A person with a session: the body is read first, so that no slow sender holds a connection."""
    resources: Resources = scope["state"]["resources"]
    claims = endpoint.claims(exchange, resources)
    exchange.belongs_to(claims.organization_id)
    await limit.by_user(endpoint.declared.limit, claims.user_id, resources)
    raw = await endpoint.read(receive)
    call = UserCall(exchange, resources, receive, claims, Actor("user", claims.user_id))
    declared = endpoint.declared
    if declared.at_once:
        return await endpoint.run(call, raw)
    replayed = await replica.place(endpoint, call)
    async with call.transaction(read_only=declared.read_only or not declared.transaction) as tenant:
        await authentication.take_seat(endpoint, call, tenant)
        if declared.transaction and replayed is None:
            return await idempotency.once(endpoint, call, claims.user_id, raw)
    if replayed is not None:
        return await replica.read(endpoint, call, raw, replayed)
    return await idempotency.apart(endpoint, call, claims.user_id, raw)


async def key(endpoint: Endpoint, exchange: Exchange, scope: Scope, receive: Receive) -> Reply:
    """A program with an API key: admitted, answered, recorded – and only then sent."""
    resources: Resources = scope["state"]["resources"]
    with resources.usage.coming:
        admission = await limit.by_key(exchange, resources)
        reached = False
        refusal = admission.refusal or _missing_scope(endpoint, admission)
        try:
            if refusal is not None:  # not raised: its own frame would hold on to it until the garbage collector comes
                reply = endpoint.error(refusal, exchange)
            else:
                raw = await endpoint.read(receive)
                reached = True
                reply = await _with_key(endpoint, exchange, resources, receive, admission, raw)
        except Exception as error:  # noqa: BLE001 - whatever is answered must be recorded first
            reply = endpoint.error(refusal_of(error, exchange), exchange)
    return await usage.record(endpoint, exchange, resources, admission, reply, reached)


async def _with_key(
    endpoint: Endpoint, exchange: Exchange, resources: Resources, receive: Receive, admission: Admission, raw: bytes
) -> Reply:
    key_id = admission.key.api_key_id
    call = KeyCall(exchange, resources, receive, admission, Actor("api_key", key_id))
    if endpoint.declared.at_once and not idempotency.is_asked_for(endpoint, exchange):
        return await endpoint.run(call, raw)
    if not endpoint.declared.transaction:
        return await idempotency.apart(endpoint, call, key_id, raw)
    replayed = await replica.place(endpoint, call)
    if replayed is not None:
        return await replica.read(endpoint, call, raw, replayed)
    async with call.transaction(read_only=endpoint.declared.read_only):
        return await idempotency.once(endpoint, call, key_id, raw)


def _missing_scope(endpoint: Endpoint, admission: Admission) -> DomainError | None:
    wanted = endpoint.declared.access
    if wanted in admission.key.scopes:
        return None
    return Forbidden("PERMISSION_DENIED", "The key's scopes do not include this", {"scope": str(wanted)})


def flow_for(access: object) -> Flow:
    """The flow of an access rule."""
    if access is PUBLIC:
        return public
    if access is SIGNED:
        return signed
    return key if isinstance(access, KeyScope) else user
