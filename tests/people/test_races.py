"""Races that people run, a thousand times each on real connections: one of two wins, and the books agree with it.

What each contestant does is what its endpoint does in its transaction; a few rounds over HTTP stand beside the rest.
"""

from datetime import timedelta

import pytest

from db import accounts, invitations, organizations, sessions, team, tokens
from db.errors import Forbidden
from db.types import SYSTEM, AccountId, Actor, OrganizationId, UserId, new_id, system_clock
from tests.founding import Founded, found
from tests.people.racing import (
    ROUNDS,
    Ring,
    change_role,
    in_each_lane,
    in_lanes,
    new_account,
    new_member,
    outcomes,
    remove,
    ring,
)

__all__ = ["ring"]

pytestmark = pytest.mark.slow


async def test_two_owners_who_demote_each_other_leave_one(ring: Ring) -> None:
    partners: dict[OrganizationId, UserId] = {}

    async def race(home: Founded) -> None:
        first = home.user_id
        if home.organization_id not in partners:
            partners[home.organization_id] = await new_member(ring, home, "owner")
        second = partners[home.organization_id]
        codes = await outcomes(
            change_role(ring, home, first, second, "member"), change_role(ring, home, second, first, "member")
        )
        assert codes == ["OK", "PERMISSION_DENIED"]
        async with ring.database.tenant(home.organization_id, SYSTEM) as tenant:
            (left,) = await team.owners(tenant)
            await team.set_role(tenant, second if left.id == first else first, "owner")

    await in_each_lane(ring, race)


async def test_behind_the_lock_the_database_itself_keeps_an_owner(ring: Ring) -> None:
    """The same race by a handler that forgot the lock: the constraint trigger decides at the commit."""
    home = await found(ring.database)
    second = await new_member(ring, home, "owner")

    async def blunt(target: UserId) -> None:
        async with ring.database.tenant(home.organization_id, SYSTEM) as tenant:
            await team.set_role(tenant, target, "member")

    for _ in range(100):
        codes = await outcomes(blunt(home.user_id), blunt(second))
        assert codes.count("OK") <= 1, codes
        async with ring.database.tenant(home.organization_id, SYSTEM) as tenant:
            assert await team.owners(tenant)
            await team.set_role(tenant, home.user_id, "owner")
            await team.set_role(tenant, second, "owner")


async def test_two_accepts_of_one_token_make_one_seat(ring: Ring) -> None:
    async def accept(token: str, account_id: AccountId, email: str) -> None:
        user_id, now = UserId(new_id()), system_clock.now()
        async with ring.database.resolver(read_only=True) as conn:
            organization_id, invitation_id = await invitations.resolve(conn, token)
        async with ring.database.tenant(organization_id, Actor("user", user_id)) as tenant:
            await organizations.lock(tenant)
            invitation = await invitations.open_invitation(tenant, invitation_id, now)
            await invitations.accept(tenant, invitation.id, now)
            await accounts.mark_verified(tenant.conn, account_id, now)
            await team.add(tenant, user_id, account_id, email, invitation.granted, now)

    async def race(home: Founded) -> None:
        account_id, email = await new_account(ring)
        now = system_clock.now()
        async with ring.database.tenant(home.organization_id, SYSTEM) as tenant:
            invitation = await invitations.invite(tenant, email=email, role="admin", invited_by=home.user_id, now=now)
            token = await invitations.issue_token(tenant, invitation.id)
        codes = await outcomes(accept(token, account_id, email), accept(token, account_id, email))
        assert codes == ["INVALID_TOKEN", "OK"]

    await in_each_lane(ring, race)
    seats = ring.ask("select count(*), count(distinct account_id) from tenancy.users where email like 'racer-%%'")
    directory = ring.ask(
        "select count(*) from identity.seat_directory s join identity.accounts a on a.id = s.account_id"
        " where a.email like 'racer-%%'"
    )
    assert seats[0][0] == seats[0][1] == directory[0][0] >= ROUNDS


async def test_two_registrations_of_one_address_make_one_account_and_one_organization(ring: Ring) -> None:
    async def register(email: str) -> None:
        organization_id, user_id, now = OrganizationId(new_id()), UserId(new_id()), system_clock.now()
        async with ring.database.tenant(organization_id, Actor("user", user_id)) as tenant:
            account_id = await accounts.create(tenant.conn, email=email, full_name=None, password_hash="!")
            await organizations.create(tenant, name="Twin", email=email, now=now)
            await team.add(tenant, user_id, account_id, email, "owner", now)

    async def one(_: int) -> None:
        email = f"twin-{new_id().hex}@example.com"
        assert await outcomes(register(email), register(email.upper())) == ["EMAIL_TAKEN", "OK"]

    await in_lanes(one)
    kept = ring.ask("select count(*) from tenancy.organizations where name = 'Twin'")
    assert kept == ring.ask("select count(*) from identity.accounts where email_key like 'twin-%%'") == [(ROUNDS,)]


async def test_a_reset_token_used_twice_at_once_is_used_once_and_no_session_outlives_it(ring: Ring) -> None:
    async def reset(token: str, new_hash: str) -> str:
        async with ring.database.resolver() as conn:
            account_id = await tokens.consume(conn, token, "password_reset", system_clock.now())
            await accounts.set_password(conn, account_id, new_hash)
            await sessions.revoke_all(conn, account_id)
        return new_hash

    async def log_in_with(home: Founded, checked_hash: str) -> None:
        async with ring.database.tenant(home.organization_id, Actor("user", home.user_id)) as tenant:
            account = await accounts.get(tenant.conn, home.account_id)
            checked = accounts.Account(account.id, account.email, None, checked_hash, None, account.created_at)
            if not await accounts.hold_password(tenant.conn, checked):
                raise Forbidden("INVALID_CREDENTIALS", "The password was changed")
            now = system_clock.now()
            await sessions.open_session(
                tenant, account_id=home.account_id, user_id=home.user_id, user_agent=None, address=None, now=now,
                expires_at=now + timedelta(days=7),
            )  # fmt: skip

    async def race(home: Founded) -> None:
        async with ring.worker.resolver() as conn:
            token = await tokens.issue(conn, home.account_id, "password_reset", system_clock.now())
        before = f"before {token}"
        async with ring.database.resolver() as conn:
            await accounts.set_password(conn, home.account_id, before)
        codes = await outcomes(reset(token, "first"), reset(token, "second"), log_in_with(home, before))
        assert codes in (["INVALID_TOKEN", "OK", "OK"], ["INVALID_CREDENTIALS", "INVALID_TOKEN", "OK"])
        async with ring.database.resolver() as conn:
            assert await sessions.list_live(conn, home.account_id, system_clock.now()) == []

    await in_each_lane(ring, race)


async def test_a_promotion_and_a_removal_at_once_never_remove_an_owner(ring: Ring) -> None:
    won: list[str] = []

    async def race(home: Founded) -> None:
        target = await new_member(ring, home, "admin")
        codes = await outcomes(
            change_role(ring, home, home.user_id, target, "owner"), remove(ring, home, home.user_id, target)
        )
        async with ring.database.tenant(home.organization_id, SYSTEM) as tenant:
            role = await team.role_of(tenant, target)
            won.append(codes[0])
            assert (codes, role) in ((["NOT_FOUND", "OK"], None), (["OK", "PERMISSION_DENIED"], "owner"))
            if role == "owner":
                await team.set_role(tenant, target, "member")

    await in_each_lane(ring, race)
    assert set(won) == {"NOT_FOUND", "OK"}  # either won at times: they did race
    removed_but_found = ring.ask(
        "select count(*) from identity.seat_directory s join tenancy.users u on u.id = s.user_id"
        " where u.removed_at is not null"
    )
    assert removed_but_found == [(0,)]
