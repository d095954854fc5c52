"""Faults on demand: a provider that is slow, broken, forgetful, repeats itself or speaks out of order."""

import asyncio
from collections.abc import Callable

from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

Broken = Callable[[int], Response]
"""Makes the provider's own error body for a status."""


class Faults(BaseModel):
    """What is wrong with one provider now; the `…_next` and `…_webhooks` counts go down as they are used up."""

    model_config = ConfigDict(extra="forbid", validate_assignment=True)

    delay_ms: int = Field(0, ge=0, description="every answer of the API waits this long")
    fail_next: int = Field(0, ge=0, description="so many calls are answered with `status` and have no effect")
    lose_next: int = Field(0, ge=0, description="so many calls take effect but are answered with `status`")
    only_posts: bool = Field(False, description="failures and losses befall writes only")
    status: int = Field(500, ge=400, le=599)
    retry_after: int | None = Field(None, ge=0, description="seconds in a Retry-After header of failures")
    duplicate_webhooks: int = Field(0, ge=0, description="so many events are posted twice")
    drop_webhooks: int = Field(0, ge=0, description="so many events are never posted")
    reorder: bool = Field(False, description="events of the same moment are posted last one first")
    hold_webhooks: bool = Field(False, description="nothing is posted until this is false again")
    requests: int = Field(0, ge=0, description="calls of the API so far")
    metadata_as: str | None = Field(None, description="Paystack only: `zero`, `empty`, `null` instead of the metadata")

    def take(self, name: str) -> bool:
        """Use up one of a count; False when none is left."""
        left: int = getattr(self, name)
        if left:
            setattr(self, name, left - 1)
        return left > 0


class FaultGate:
    """Stands before one provider's API and applies its faults."""

    def __init__(self, app: ASGIApp, faults: Faults, broken: Broken) -> None:
        self.app = app
        self.faults = faults
        self.broken = broken

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.faults.requests += 1
        if self.faults.delay_ms:
            await asyncio.sleep(self.faults.delay_ms / 1000)
        spared = self.faults.only_posts and scope["method"] != "POST"
        if not spared and self.faults.take("fail_next"):
            await self._failure()(scope, receive, send)
        elif not spared and self.faults.take("lose_next"):
            await self.app(scope, receive, _nowhere)
            await self._failure()(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    def _failure(self) -> Response:
        response = self.broken(self.faults.status)
        if self.faults.retry_after is not None:
            response.headers["retry-after"] = str(self.faults.retry_after)
        return response


async def _nowhere(message: Message) -> None:
    """The answer of a call whose effect stays and whose answer is lost."""
