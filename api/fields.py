"""The types of request and answer fields, and the base classes of bodies, queries and answers."""

import re
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated, Any, Self

from email_validator import EmailNotValidError, validate_email
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    SecretStr,
    StringConstraints,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError


class Body(BaseModel):
    """A JSON request body: strict about types, and refusing unknown fields by name."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False, hide_input_in_errors=True)


class Query(BaseModel):
    """The query string: values are read from text, unknown names are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, hide_input_in_errors=True)


class Answer(BaseModel):
    """The `data` of an answer."""

    model_config = ConfigDict(frozen=True, from_attributes=True, hide_input_in_errors=True)

    @classmethod
    def of(cls, result: object, **more: Any) -> Self:
        """Make the answer from the attributes of a domain result; `more` adds or replaces fields."""
        if not more:
            return cls.model_validate(result)
        names = [name for name in cls.model_fields if name not in more and hasattr(result, name)]
        return cls.model_validate({name: getattr(result, name) for name in names} | more)


# Money
# JSON has no decimals and a float would lose the second one, so an amount leaves as a string marked with NUL – which
# no text of a user can contain – and `unmark` turns the marked strings into bare numbers.
_MARKED = re.compile(rb'"\\u0000(-?\d+\.\d\d)"')
_CENT = Decimal("0.01")


def _two_decimals(value: Decimal) -> Decimal:
    exact = value.quantize(_CENT)
    if exact != value:
        raise PydanticCustomError("amount", "Must have at most two decimals")
    return exact


def _integral(value: object) -> object:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def unmark(body: bytes) -> bytes:
    """Turn marked amounts in serialized JSON into numbers with exactly two decimals."""
    return _MARKED.sub(rb"\1", body) if b'"\\u0000' in body else body


def amount(minor: int) -> Decimal:
    """Minor units (cents) as an exact amount."""
    return Decimal(minor).scaleb(-2)


Amount = Annotated[
    Decimal,
    AfterValidator(_two_decimals),
    PlainSerializer(lambda value: f"\x00{value:.2f}", return_type=str, when_used="json"),
    WithJsonSchema({"type": "number", "description": "With exactly two decimals", "examples": [10.00]}),
]
"""An amount in major units, written as a JSON number with exactly two decimals."""


# Time
_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,6})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


def _read_time(value: object) -> object:
    if isinstance(value, datetime):
        return value
    if not isinstance(value, str) or not _RFC_3339.fullmatch(value):
        raise PydanticCustomError("datetime_parsing", "Must be a time in RFC 3339")
    try:
        return datetime.fromisoformat(value.upper())
    except ValueError:
        raise PydanticCustomError("datetime_parsing", "Must be a time in RFC 3339") from None


def _read_day(value: object) -> object:
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    if not isinstance(value, str) or not _DAY.fullmatch(value):
        raise PydanticCustomError("date_parsing", "Must be a date (YYYY-MM-DD)")
    try:
        return date.fromisoformat(value)
    except ValueError:
        raise PydanticCustomError("date_parsing", "Must be a date (YYYY-MM-DD)") from None


def _utc(value: datetime) -> datetime:
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise PydanticCustomError("datetime_parsing", "Must be a time in RFC 3339") from None


Timestamp = Annotated[AwareDatetime, BeforeValidator(_read_time), AfterValidator(_utc)]
"""An aware time, read and written as RFC 3339, in UTC with `Z`; a number is not one."""

Day = Annotated[date, BeforeValidator(_read_day)]
"""A day, read and written as YYYY-MM-DD; a number is not one."""


# Text
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_PLAIN = r"[^\u0000-\u001f\u007f-\u009f\u2028\u2029]"


def _one_line(value: str) -> str:
    if _CONTROL.search(value):
        raise PydanticCustomError("one_line", "Must be one line without control characters")
    return value


def _email(value: str) -> str:
    try:
        return validate_email(value, check_deliverability=False).normalized
    except EmailNotValidError:
        raise PydanticCustomError("email", "Must be a valid e-mail address") from None


Name = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=200),
    AfterValidator(_one_line),
    WithJsonSchema(
        {"type": "string", "minLength": 1, "maxLength": 200, "pattern": rf"^{_PLAIN}*(?!\s){_PLAIN}+$"},
    ),
]
"""What people call something: one line of 1 to 200 characters, trimmed."""

Email = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=3, max_length=254),
    AfterValidator(_email),
    WithJsonSchema({"type": "string", "format": "email", "maxLength": 254, "examples": ["ada@example.com"]}),
]
"""A deliverable-looking e-mail address, internationalized ones included; its case is kept."""

Password = Annotated[SecretStr, Field(min_length=8, max_length=1024)]
"""A password being chosen: at least 8 characters of any Unicode; read it with `get_secret_value()`."""

GivenPassword = Annotated[SecretStr, Field(min_length=1, max_length=1024)]
"""A password being checked: its rules may have been others when it was chosen."""

Token = Annotated[SecretStr, Field(min_length=16, max_length=512)]
"""A single-use token from an e-mail; read it with `get_secret_value()`."""

Integer = Annotated[int, BeforeValidator(_integral)]
"""An integer in a body; `1.0` is one too, as JSON Schema has it."""


# Pages
Cursor = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,512}$")]
"""An opaque place in a list, as a former answer gave it."""


class PageQuery(Query):
    """Paging by number."""

    page: int = Field(1, ge=1, le=1_000_000, description="Page, from 1")
    limit: int = Field(20, ge=1, le=100, description="Entries a page")

    @property
    def offset(self) -> int:
        """Entries before this page."""
        return (self.page - 1) * self.limit


class Pagination(Answer):
    """Where a page lies in its list."""

    page: int
    limit: int
    total: int
    total_pages: int

    @classmethod
    def at(cls, query: PageQuery, total: int) -> Self:
        """The pagination of `query` over `total` entries."""
        return cls(page=query.page, limit=query.limit, total=total, total_pages=-(-total // query.limit))


class CursorQuery(Query):
    """Paging by cursor."""

    limit: int = Field(20, ge=1, le=100, description="Entries a page")
    cursor: Cursor | None = Field(None, description="`next_cursor` of the page before")


class CursorPagination(Answer):
    """How to read on."""

    limit: int
    next_cursor: str | None
    has_more: bool
