"""How people and organizations look in answers, the same wherever they appear."""

from typing import Self
from uuid import UUID

from pydantic import Field

from api.fields import Answer, Timestamp
from api.signing_in import Membership, SignedIn
from db.sessions import Home, Seat
from db.team import Member


class UserAnswer(Answer):
    """A person's seat in the organization."""

    id: UUID
    email: str
    full_name: str | None
    role: str
    organization_id: UUID
    email_verified: bool
    created_at: Timestamp

    @classmethod
    def of_member(cls, member: Member, organization_id: UUID) -> Self:
        """A member."""
        return cls.of(member, organization_id=organization_id)

    @classmethod
    def of_seat(cls, seat: Seat) -> Self:
        """Who calls."""
        return cls.of(seat, id=seat.user_id)


class OrganizationAnswer(Answer):
    """An organization."""

    id: UUID
    name: str
    email: str = Field(description="Where invoices and notices go")
    plan: str
    created_at: Timestamp


class MembershipAnswer(Answer):
    """One of a person's organizations."""

    id: UUID
    name: str
    role: str
    status: str


class SignedInAnswer(Answer):
    """A person at work in an organization."""

    user: UserAnswer
    organization: OrganizationAnswer
    token: str = Field(description="Send it as `Authorization: Bearer TOKEN`")
    expires_at: Timestamp


class LoggedInAnswer(SignedInAnswer):
    """A person at work, with all organizations to choose from."""

    organizations: list[MembershipAnswer]


class MeAnswer(Answer):
    """Who calls."""

    user: UserAnswer
    organization: OrganizationAnswer


def signed_in(result: SignedIn) -> SignedInAnswer:
    """The answer to whoever has a session now."""
    return SignedInAnswer(
        user=UserAnswer.of_member(result.member, result.organization.id),
        organization=OrganizationAnswer.of(result.organization),
        token=result.token,
        expires_at=result.expires_at,
    )


def logged_in(result: SignedIn, memberships: list[Membership]) -> LoggedInAnswer:
    """The answer to a log-in."""
    return LoggedInAnswer.of(signed_in(result), organizations=[MembershipAnswer.of(each) for each in memberships])


def me(seat: Seat, home: Home) -> MeAnswer:
    """The answer to who one is."""
    return MeAnswer(user=UserAnswer.of_seat(seat), organization=OrganizationAnswer.of(home))
