"""Registering and logging in, by whatever door: shared by the JSON endpoints and the pages."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from api import devices, tokens
from api.call import PublicCall
from api.credentials import NewPerson, authenticate, invalid_credentials, new_person
from db import accounts, first_requests, organizations, sessions, team
from db.accounts import Account, SeatReference
from db.errors import Forbidden, NotFound, Unauthorized
from db.first_requests import FirstRequest
from db.organizations import Organization
from db.pool import Tenant
from db.team import Member
from db.types import AccountId, Actor, OrganizationId, Role, UserId, new_id
from jobs import email as mail

_NOTICE_PAUSE = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A person at work in an organization, with the token of the session that was opened."""

    member: Member
    organization: Organization
    token: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Membership:
    """One of a person's organizations."""

    id: OrganizationId
    name: str
    role: Role
    status: str


async def register(
    call: PublicCall,
    *,
    organization_name: str,
    email: str,
    password: str,
    full_name: str | None,
    request: FirstRequest | None = None,
) -> SignedIn:
    """A new organization with its owner, its first session and its first mails, in one transaction.

    A known e-mail with its right password makes another organization for that account. Raises Conflict EMAIL_TAKEN
    for any other password, Invalid for a weak one, TooMany, and Conflict when a twin of the `request` is under way.
    """
    async with call.resources.database.resolver(read_only=True) as conn:
        known = await accounts.find(conn, email)
    founder: Account | NewPerson
    if known is not None:
        founder = await prove_ownership(call, known, password)
    else:
        founder = await new_person(call, email, full_name, password, organization_name)
    organization_id, user_id, now = OrganizationId(new_id()), UserId(new_id()), call.now()
    async with acting(call, organization_id, user_id) as tenant:
        if request is not None:
            await first_requests.keep(tenant, request, user_id, now)
        account_id = await _account_of(tenant, founder)
        await organizations.create(tenant, name=organization_name, email=founder.email, now=now)
        owner = await team.add(tenant, user_id, account_id, founder.email, "owner", now)
        await mail.enqueue(tenant, "welcome", subject_id=user_id, recipient=founder.email)
        return await open_session(call, tenant, owner)


async def list_seats(call: PublicCall, account_id: AccountId) -> list[SeatReference]:
    """The organizations a person may choose from, the last used first."""
    async with call.resources.database.resolver(read_only=True) as conn:
        return await accounts.list_seats(conn, account_id)


def choose(seats: list[SeatReference], wanted: UUID | None = None) -> SeatReference:
    """The seat to log in to: the wanted one, else the last used that is active.

    Raises NotFound for an organization without a seat, Forbidden for a suspended one or when there is none at all.
    """
    fitting = [seat for seat in seats if wanted is None or seat.organization_id == wanted]
    if not fitting and wanted is not None:
        raise NotFound("Organization")
    if not fitting:
        raise Forbidden("PERMISSION_DENIED", "You belong to no organization; register one or accept an invitation")
    for seat in fitting:
        if seat.status == "active":
            return seat
    raise Forbidden("ORGANIZATION_SUSPENDED", "This organization is suspended")


async def sign_in(call: PublicCall, account: Account, seat: SeatReference) -> SignedIn:
    """Open a session for a person whose password was checked just now; raises Unauthorized if it was changed since."""
    async with acting(call, seat.organization_id, seat.user_id) as tenant:
        if not await accounts.hold_password(tenant.conn, account):
            raise invalid_credentials()
        return await open_session(call, tenant, await team.member(tenant, seat.user_id))


async def open_session(call: PublicCall, tenant: Tenant, member: Member, *, goes_on: bool = False) -> SignedIn:
    """Open a session within the caller's transaction and sign its token.

    The person is told of a log-in from a new device, unless the session `goes_on` from one that ends with it.
    """
    now = call.now()
    expires_at = (now + timedelta(days=call.settings.session_days)).replace(microsecond=0)
    session_id = await sessions.open_session(
        tenant, account_id=member.account_id, user_id=member.id, user_agent=call.exchange.header(b"user-agent"),
        address=call.address, now=now, expires_at=expires_at,
    )  # fmt: skip
    if not goes_on and await devices.is_new(call, tenant, member, session_id):
        await mail.enqueue(tenant, "new_session", subject_id=session_id, recipient=member.email)
    token, _ = tokens.issue(
        call.settings, account_id=member.account_id, user_id=member.id, organization_id=tenant.organization_id,
        session_id=session_id, now=now, expires_at=expires_at,
    )  # fmt: skip
    return SignedIn(member, await organizations.get(tenant), token, expires_at)


async def memberships(call: PublicCall, seats: list[SeatReference]) -> list[Membership]:
    """A person's organizations by name; each is asked in a transaction of its own, for none can see another."""
    found = []
    for seat in seats:
        async with acting(call, seat.organization_id, seat.user_id, read_only=True) as tenant:
            organization = await organizations.get(tenant)
            role = await team.role_of(tenant, seat.user_id)
        if role is not None:
            found.append(Membership(organization.id, organization.name, role, seat.status))
    return found


@asynccontextmanager
async def acting(
    call: PublicCall, organization_id: OrganizationId, user_id: UserId, *, read_only: bool = False
) -> AsyncIterator[Tenant]:
    """A transaction of an organization on behalf of a person, from this request."""
    async with call.resources.database.tenant(
        organization_id, Actor("user", user_id), read_only=read_only, request_id=call.request_id, address=call.address
    ) as tenant:
        yield tenant


async def prove_ownership(call: PublicCall, known: Account, password: str) -> Account:
    """The account, for whoever has its password; its owner hears of a failure, at most once a day.

    Raises Conflict EMAIL_TAKEN, TooMany.
    """
    try:
        return await authenticate(call, known.email, password)
    except Unauthorized:
        async with call.resources.database.resolver() as conn:
            await mail.enqueue_account(conn, known.id, "account_exists", unless_since=call.now() - _NOTICE_PAUSE)
        raise accounts.email_taken() from None


async def _account_of(tenant: Tenant, founder: Account | NewPerson) -> AccountId:
    """The account of a founder: a new one, who is asked to prove the mailbox, or one whose password still holds."""
    if isinstance(founder, Account):
        if not await accounts.hold_password(tenant.conn, founder):
            raise accounts.email_taken()
        return founder.id
    account_id = await accounts.create(
        tenant.conn, email=founder.email, full_name=founder.full_name, password_hash=founder.password_hash
    )
    await mail.enqueue_account(tenant.conn, account_id, "verification")
    return account_id
