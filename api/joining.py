"""Answering an invitation, by whatever door: its token proves the mailbox, but never opens a session by itself."""

from dataclasses import dataclass
from datetime import datetime

from api import signing_in
from api.call import PublicCall
from api.credentials import NewPerson, authenticate, invalid_credentials, new_person
from api.signing_in import SignedIn, acting
from api.tokens import Claims
from db import accounts, first_requests, invitations, organizations, sessions, team
from db.accounts import Account
from db.errors import Invalid, Unauthorized
from db.first_requests import FirstRequest
from db.invitations import OpenInvitation
from db.pool import Tenant
from db.types import SYSTEM, AccountId, OrganizationId, UserId, new_id


@dataclass(frozen=True, slots=True)
class Preview:
    """What the receiver of an invitation is shown before answering; `account` is the one that has the address."""

    organization_id: OrganizationId
    invitation: OpenInvitation
    account: Account | None


async def preview(call: PublicCall, token: str) -> Preview:
    """The invitation that a token leads to, and who has its address; raises Unauthorized INVALID_TOKEN."""
    database = call.resources.database
    async with database.resolver(read_only=True) as conn:
        organization_id, invitation_id = await invitations.resolve(conn, token)
    async with database.tenant(organization_id, SYSTEM, read_only=True) as tenant:
        invitation = await invitations.open_invitation(tenant, invitation_id, call.now())
    async with database.resolver(read_only=True) as conn:
        return Preview(organization_id, invitation, await accounts.find(conn, invitation.email))


async def accept(
    call: PublicCall,
    token: str,
    password: str | None,
    full_name: str | None = None,
    claims: Claims | None = None,
    request: FirstRequest | None = None,
) -> SignedIn:
    """Join the organization and open a session there.

    A new person chooses a password. Somebody with an account is logged in to it (`claims`) or gives its password.
    Raises Unauthorized INVALID_TOKEN or INVALID_CREDENTIALS, Invalid without a (good) password, Conflict USER_EXISTS,
    or when a twin of the `request` is under way.
    """
    found = await preview(call, token)
    person = await _prove(call, found, password, full_name, claims)
    user_id, now = UserId(new_id()), call.now()
    async with acting(call, found.organization_id, user_id) as tenant:
        if request is not None:
            await first_requests.keep(tenant, request, user_id, now)
        await organizations.lock(tenant)
        invitation = await invitations.open_invitation(tenant, found.invitation.id, now)
        await invitations.accept(tenant, invitation.id, now)
        account_id = await _account_of(tenant, person, now, by_password=password is not None)
        member = await team.add(tenant, user_id, account_id, person.email, invitation.granted, now)
        return await signing_in.open_session(call, tenant, member)


async def decline(call: PublicCall, token: str) -> None:
    """Refuse the invitation for good; raises Unauthorized INVALID_TOKEN."""
    database = call.resources.database
    async with database.resolver(read_only=True) as conn:
        organization_id, invitation_id = await invitations.resolve(conn, token)
    async with database.tenant(organization_id, SYSTEM, request_id=call.request_id, address=call.address) as tenant:
        await invitations.decline(tenant, invitation_id, call.now())


async def _prove(
    call: PublicCall, found: Preview, password: str | None, full_name: str | None, claims: Claims | None
) -> Account | NewPerson:
    """Who joins: the account of the address, proven by its session or password, or a new person."""
    if found.account is None:
        if password is None:
            raise Invalid.field("password", "Choose a password to join")
        invitation = found.invitation
        return await new_person(call, invitation.email, full_name, password, invitation.organization_name)
    return await prove_account(call, found.account, password, claims)


async def prove_account(call: PublicCall, account: Account, password: str | None, claims: Claims | None) -> Account:
    """The account, for whoever is logged in to it or gives its password; raises Unauthorized."""
    if claims is not None and await _is_logged_in(call, account.id, claims):
        return account
    if password is None:
        raise Unauthorized("UNAUTHORIZED", "This e-mail address has an account: log in to it, or give its password")
    return await authenticate(call, account.email, password)


async def _is_logged_in(call: PublicCall, account_id: AccountId, claims: Claims) -> bool:
    """Whether the caller's live session is one of this account; raises Unauthorized for an ended one."""
    async with acting(call, claims.organization_id, claims.user_id, read_only=True) as tenant:
        seat = await sessions.seat(tenant, claims.session_id, claims.user_id, call.now())
    return seat.account_id == account_id


async def _account_of(tenant: Tenant, person: Account | NewPerson, now: datetime, by_password: bool) -> AccountId:
    """The account that joins, its mailbox proven: first, because a shared lock could not be raised later."""
    if isinstance(person, NewPerson):
        account_id = await accounts.create(
            tenant.conn, email=person.email, full_name=person.full_name, password_hash=person.password_hash
        )
        await accounts.mark_verified(tenant.conn, account_id, now)
        return account_id
    await accounts.mark_verified(tenant.conn, person.id, now)
    if by_password and not await accounts.hold_password(tenant.conn, person):
        raise invalid_credentials()
    return person.id
