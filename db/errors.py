"""The typed errors of the domain; one place in the api floor turns them into HTTP."""

from collections.abc import Mapping
from typing import Any

import asyncpg


class DomainError(Exception):
    """A refusal with a stable code of the contract, a sentence for people, and details for programs; never a secret."""

    def __init__(
        self,
        code: str,
        message: str,
        details: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.details = dict(details or {})
        self.headers = dict(headers or {})


class Invalid(DomainError):
    """The request itself is wrong."""

    @classmethod
    def field(cls, field: str, reason: str) -> "Invalid":
        """One wrong field, in the shape of every validation error."""
        return cls(
            "VALIDATION_ERROR",
            f"{field}: {reason}",
            {"field": field, "reason": reason, "errors": [{"field": field, "reason": reason}]},
        )


class Unauthorized(DomainError):
    """Who asks is not known."""


class Forbidden(DomainError):
    """Who asks may not."""


class NotFound(DomainError):
    """There is no such thing for the one who asks; another organization's looks the same."""

    def __init__(self, what: str) -> None:
        super().__init__("NOT_FOUND", f"{what} not found")


class Conflict(DomainError):
    """The state of the resource refuses it."""


class Unprocessable(DomainError):
    """Understood, and contradicted by an earlier request."""


class TooMany(DomainError):
    """A limit is reached; `retry_after` whole seconds later it may work."""

    def __init__(
        self,
        code: str,
        message: str,
        retry_after: int,
        details: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(
            code,
            message,
            {"retry_after": retry_after, **(details or {})},
            {"Retry-After": str(retry_after), **(headers or {})},
        )
        self.retry_after = retry_after


class Unavailable(DomainError):
    """A part that the answer needs is away for the moment."""

    def __init__(
        self, message: str = "A part of the service is away for a moment; try again.", retry_after: int = 2
    ) -> None:
        super().__init__(
            "SERVICE_UNAVAILABLE", message, {"retry_after": retry_after}, {"Retry-After": str(retry_after)}
        )


LOST = (
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.QueryCanceledError,
    asyncpg.LockNotAvailableError,
    asyncpg.DeadlockDetectedError,
)
"""What a statement raises when Postgres goes away under it, restarts, takes too long, or waits for another's lock."""

UNREACHABLE = (*LOST, asyncpg.TooManyConnectionsError, OSError, TimeoutError)
"""What connecting raises when Postgres is away, starting, or full."""
