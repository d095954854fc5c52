"""Opaque cursors of lists that page by keyset: the last row's time and id, packed."""

import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, datetime, timedelta
from uuid import UUID

from db.errors import Invalid

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_PLACE = struct.Struct(">q16s")  # microseconds since 1970, then the id
_MICROSECOND = timedelta(microseconds=1)


def encode(at: datetime, key: UUID) -> str:
    """The cursor after the row with this time and id."""
    return urlsafe_b64encode(_PLACE.pack((at - _EPOCH) // _MICROSECOND, key.bytes)).rstrip(b"=").decode()


def decode(cursor: str) -> tuple[datetime, UUID]:
    """The time and id in a cursor; raises Invalid VALIDATION_ERROR for one that we did not make."""
    try:
        micros, key = _PLACE.unpack(urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        return _EPOCH + micros * _MICROSECOND, UUID(bytes=key)
    except (ValueError, OverflowError, struct.error):
        raise invalid_cursor() from None


def invalid_cursor() -> Invalid:
    """The error for a cursor that is not ours."""
    problem = {"field": "cursor", "reason": "Must be the next_cursor of a former answer"}
    return Invalid("VALIDATION_ERROR", "cursor: " + problem["reason"], {**problem, "errors": [problem]})
