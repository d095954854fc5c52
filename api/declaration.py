"""What is said about an endpoint where it is registered."""

from dataclasses import dataclass

from api.permissions import Access, Permission, Scope

AccessRule = Access | Permission | Scope


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `count` calls in `window` seconds: by address prefix on public endpoints, by user on the others."""

    name: str
    count: int
    window: int


@dataclass(frozen=True, slots=True)
class Declaration:
    """What a subject says about an endpoint where it registers it; `api.http.Options` explains each field."""

    method: str
    template: str
    tag: str
    access: AccessRule
    status: int
    message: str
    limit: Limit | None
    idempotent: bool
    secret_answer: bool
    read_only: bool
    transaction: bool
    at_once: bool
    replica: bool
    verified: bool
    cache: str
    errors: tuple[str, ...]
    quiet: bool
