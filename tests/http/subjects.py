"""Subjects that exist only for these tests: one endpoint for each thing that the framework promises."""

from decimal import Decimal
from typing import Any, Literal
from uuid import UUID

from pydantic import Field
from starlette.responses import HTMLResponse

from api.fields import Amount, Answer, Body, Day, Email, Integer, Name, PageQuery, Password, Query, Timestamp, amount
from api.http import (
    ANY_USER,
    PUBLIC,
    SIGNED,
    KeyCall,
    Limit,
    Permission,
    PublicCall,
    Router,
    Scope,
    SignedCall,
    UserCall,
)
from db.errors import Conflict

router = Router("/try", tag="Try")


class Person(Body):
    """A body with a field of each kind."""

    email: Email
    name: Name
    password: Password
    age: Integer = Field(0, ge=0, le=150)
    kind: Literal["cat", "dog"] = "cat"
    metadata: dict[str, Any] = Field({})


class Greeting(Answer):
    """What a person is told."""

    email: str
    name: str
    age: int


class Bill(Answer):
    """Every amount in it must leave exactly."""

    total_amount: Amount
    cost: Amount | None
    lines: list[Amount]
    note: str
    at: Timestamp


class Money(Query):
    """An amount in cents, and a text beside it."""

    minor: int
    note: str = ""


class Span(Query):
    """Days from and to."""

    start_date: Day
    end_date: Day | None = None
    tags: list[str] = Field([])


class Note(Body):
    """Everything in it is optional."""

    text: str = "nothing"


@router.post("/people", access=PUBLIC, status=201, message="Person added", limit=None)
async def add_person(call: PublicCall, body: Person) -> Greeting:
    """Add a person.

    More about adding people.
    """
    return Greeting(email=body.email, name=body.name, age=body.age)


@router.post("/notes", access=PUBLIC, limit=None)
async def add_note(call: PublicCall, body: Note) -> Note:
    """Add a note."""
    return body


@router.get("/people/{person_id}", access=PUBLIC, limit=None)
async def person(call: PublicCall, person_id: UUID) -> dict[str, UUID]:
    """One person."""
    return {"id": person_id}


@router.get("/people/{person_id}/tags/{number}", access=PUBLIC, limit=None)
async def tag(call: PublicCall, person_id: UUID, number: int) -> dict[str, int]:
    """One tag of a person."""
    return {"number": number}


@router.get("/bill", access=PUBLIC, limit=None)
async def bill(call: PublicCall, query: Money) -> Bill:
    """An amount in every place."""
    total = amount(query.minor)
    return Bill(total_amount=total, cost=None, lines=[total, Decimal(0)], note=query.note, at=call.now())


@router.get("/span", access=PUBLIC, limit=None)
async def span(call: PublicCall, query: Span) -> dict[str, Any]:
    """What a query was read as."""
    return query.model_dump()


@router.get("/pages", access=PUBLIC, limit=None)
async def pages(call: PublicCall, query: PageQuery) -> dict[str, int]:
    """Paging."""
    return {"offset": query.offset}


@router.delete("/nothing", access=PUBLIC, limit=None, message="Done")
async def nothing(call: PublicCall) -> None:
    """Answer without data."""


@router.get("/page", access=PUBLIC, limit=None)
async def page(call: PublicCall) -> HTMLResponse:
    """A response of the handler's own."""
    return HTMLResponse("<p>hello</p>", headers={"Content-Security-Policy": "default-src 'none'"})


@router.get("/broken", access=PUBLIC, limit=None)
async def broken(call: PublicCall) -> None:
    """A fault of ours."""
    raise RuntimeError("the secret plan at ada@example.com is hunter2")


@router.get("/taken", access=PUBLIC, limit=None, errors=("EMAIL_TAKEN",))
async def taken(call: PublicCall) -> None:
    """A refusal with details."""
    raise Conflict("EMAIL_TAKEN", "This e-mail has an account", {"field": "email"})


@router.get("/limited", access=PUBLIC, limit=Limit("try", 3, 60))
async def limited(call: PublicCall) -> None:
    """Three a minute."""


@router.get("/address", access=PUBLIC, limit=None)
async def address(call: PublicCall) -> dict[str, str]:
    """Where the caller is."""
    return {"address": call.address}


@router.post("/signed", access=SIGNED)
async def signed(call: SignedCall) -> dict[str, int]:
    """How many bytes came."""
    return {"size": len(call.raw)}


@router.get("/me", access=ANY_USER)
async def me(call: UserCall) -> dict[str, Any]:
    """Who calls."""
    own = await call.tenant.conn.fetchval("select count(*) from tenancy.organizations")
    return {"email": call.seat.email, "role": call.seat.role, "organizations": own}


@router.post("/orders", access=Permission.PAY_INVOICES, status=201, idempotent=True, secret_answer=True)
async def order(call: UserCall, body: Note) -> dict[str, str]:
    """Rename the organization: an effect that can be counted."""
    await call.tenant.conn.execute(
        "update tenancy.organizations set name = name || '+' where organization_id = $1", call.organization_id
    )
    if body.text == "fail":
        raise Conflict("CONFLICT", "Not now")
    if body.text == "break":
        raise RuntimeError("broken")
    return {"order": str(call.exchange.record_id)}


@router.post("/charges", access=Permission.PAY_INVOICES, status=201, idempotent=True, transaction=False)
async def charge(call: UserCall, body: Note) -> dict[str, str]:
    """The same for a handler that opens its own transactions."""
    async with call.transaction() as tenant:
        await tenant.conn.execute(
            "update tenancy.organizations set name = name || '-' where organization_id = $1", call.organization_id
        )
    return {"charge": str(call.exchange.record_id)}


@router.post("/invitations", access=Permission.INVITE_MEMBERS, verified=True)
async def invite(call: UserCall, body: Person) -> None:
    """For owners and admins with a verified e-mail."""


@router.delete("/keys/{key_id}", access=Permission.REVOKE_KEYS)
async def revoke(call: UserCall, key_id: UUID) -> dict[str, bool]:
    """Whether only one's own keys may be revoked."""
    return {"own_only": call.own_only}


@router.post("/sends", access=Scope.MESSAGES_SEND)
async def send(call: KeyCall, body: Note) -> dict[str, str]:
    """An endpoint for keys."""
    if body.text == "break":
        raise RuntimeError("broken")
    return {"organization_id": str(call.organization_id)}


@router.get("/usage", access=Scope.USAGE_READ)
async def usage(call: KeyCall) -> None:
    """An endpoint for keys with another scope."""


class Moment(Body):
    """A time."""

    at: Timestamp


@router.post("/times", access=PUBLIC, limit=None)
async def moment(call: PublicCall, body: Moment) -> Moment:
    """The time that was read."""
    return body
