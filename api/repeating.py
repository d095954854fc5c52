"""An Idempotency-Key of somebody who has no organization yet: a repetition leads to the seat of the first request."""

from api import signing_in
from api.call import PublicCall
from api.middleware.idempotency import key_of
from api.signing_in import SignedIn
from db import accounts, first_requests, team
from db.accounts import Account
from db.first_requests import FirstRequest, Made


def request_of(call: PublicCall, purpose: str, subject: str, *rest: str | None) -> FirstRequest | None:
    """The request under the caller's key, None without one; raises Invalid for a key of wrong shape."""
    key = key_of(call.exchange)
    return FirstRequest.of(key, purpose, subject, *rest) if key else None


async def find(call: PublicCall, request: FirstRequest | None) -> tuple[Made, bool] | None:
    """What the key has made, and whether it was asked for in the same words."""
    if request is None:
        return None
    async with call.resources.database.resolver(read_only=True) as conn:
        return await first_requests.find(conn, request, call.now())


async def account_behind(call: PublicCall, made: Made) -> Account:
    """Whose seat it is; raises NotFound when it was removed since."""
    async with signing_in.acting(call, made.organization_id, made.user_id, read_only=True) as tenant:
        member = await team.member(tenant, made.user_id)
    async with call.resources.database.resolver(read_only=True) as conn:
        return await accounts.get(conn, member.account_id)


async def enter(call: PublicCall, account: Account, made: Made, in_same_words: bool) -> SignedIn:
    """A new session in the seat, for the person who has just proven to be its owner."""
    if not in_same_words:
        raise first_requests.reused()
    seat = signing_in.choose(await signing_in.list_seats(call, account.id), made.organization_id)
    result = await signing_in.sign_in(call, account, seat)
    call.add_header("Idempotent-Replayed", "true")
    return result
