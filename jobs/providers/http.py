"""One provider's HTTP API over httpx: credentials, time limits, and retries only where a repeat is harmless."""

import asyncio
import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from jobs.providers.errors import ProviderUnavailable

TOTAL_SECONDS = 10.0
"""No call takes longer than this, retries included."""

NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


@dataclass(frozen=True)
class Answer:
    """A provider's answer below 500: its status and its JSON body."""

    status: int
    body: Any


class HttpApi:
    """Calls below one base address."""

    def __init__(
        self,
        base: str,
        *,
        headers: Mapping[str, str] | None = None,
        auth: tuple[str, str] | None = None,
        timeout: float = 5.0,
        retries: int = 2,
    ) -> None:
        limit = httpx.Timeout(timeout, connect=min(timeout, 3.0))
        self._client = httpx.AsyncClient(base_url=base.rstrip("/"), headers=headers, auth=auth, timeout=limit)
        self._retries = retries

    async def get(self, path: str, **options: Any) -> Answer:
        """Read; repeated when it fails, because reading changes nothing."""
        return await self._bounded("GET", path, idempotent=True, **options)

    async def post(self, path: str, *, idempotent: bool = False, **options: Any) -> Answer:
        """Write; repeated only when `idempotent` or when the request never left.

        Raises ProviderUnavailable, whose `uncertain` tells whether the write may have happened.
        """
        return await self._bounded("POST", path, idempotent=idempotent, **options)

    async def close(self) -> None:
        """Give the connections back."""
        await self._client.aclose()

    async def _bounded(self, method: str, path: str, *, idempotent: bool, **options: Any) -> Answer:
        try:
            async with asyncio.timeout(TOTAL_SECONDS):
                return await self._repeated(method, path, idempotent, options)
        except TimeoutError:
            raise ProviderUnavailable("the time for the whole call ran out", uncertain=not idempotent) from None

    async def _repeated(self, method: str, path: str, idempotent: bool, options: dict[str, Any]) -> Answer:
        for attempt in range(self._retries):
            try:
                return await self._once(method, path, options)
            except ProviderUnavailable as error:
                if error.retry_after is not None or (error.uncertain and not idempotent):
                    raise
            await asyncio.sleep(0.2 * 2**attempt * random.uniform(0.5, 1))  # noqa: S311 - jitter, not a secret
        return await self._once(method, path, options)

    async def _once(self, method: str, path: str, options: dict[str, Any]) -> Answer:
        try:
            response = await self._client.request(method, path, **options)
        except httpx.TransportError as error:
            raise ProviderUnavailable(type(error).__name__, uncertain=not isinstance(error, NEVER_SENT)) from error
        return _answer(response)


def _answer(response: httpx.Response) -> Answer:
    if response.status_code == httpx.codes.TOO_MANY_REQUESTS:
        raise ProviderUnavailable("too many requests", retry_after=retry_after(response.headers) or 1.0)
    if response.is_server_error:
        wait = retry_after(response.headers)
        raise ProviderUnavailable(f"HTTP {response.status_code}", retry_after=wait, uncertain=True)
    try:
        return Answer(response.status_code, response.json())
    except ValueError:
        raise ProviderUnavailable(f"HTTP {response.status_code} without JSON", uncertain=True) from None


def retry_after(headers: Mapping[str, str]) -> float | None:
    """The seconds of a Retry-After header; None when it is missing or a date."""
    value = headers.get("retry-after", "")
    return float(value) if value.isdecimal() else None
