"""People at the product's door: somebody with a browser on a network of his own, the answers he gets, and the clock."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

PASSWORD = "violet-umbrella-42"


class TurnableClock:
    """A clock that runs, and that a test can turn forward."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def now(self) -> datetime:
        """The time now, aware, in UTC."""
        return datetime.now(UTC) + self.ahead

    def turn(self, **amount: float) -> None:
        """Turn the clock forward: `turn(days=8)`; back with a negative amount."""
        self.ahead += timedelta(**amount)


@dataclass
class Reply:
    """An answer: its status, its envelope's parts, and the whole of it."""

    response: httpx.Response

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self.response.status_code

    @property
    def data(self) -> Any:
        """The data of a success; anything else fails the test with the answer in full."""
        body = self.response.json()
        assert body["success"], f"{self.status} {body}"
        return body["data"]

    @property
    def error(self) -> dict[str, Any]:
        """The error of a refusal."""
        error: dict[str, Any] = self.response.json()["error"]
        return error

    @property
    def code(self) -> str:
        """The code of a refusal, `OK` of a success, so that two answers compare in one line."""
        return "OK" if self.response.is_success else str(self.error["code"])


@dataclass
class Visitor:
    """Somebody with a browser of his own (cookies kept) on a network of his own."""

    http: httpx.AsyncClient
    network: str
    token: str | None = None
    cookies: httpx.Cookies = field(default_factory=httpx.Cookies)

    async def ask(self, method: str, path: str, body: object = None, **headers: str) -> Reply:
        """One request below /api/v1; header names take underscores for dashes."""
        sent = {"X-Forwarded-For": self.network} | {name.replace("_", "-"): value for name, value in headers.items()}
        if self.token:
            sent.setdefault("Authorization", f"Bearer {self.token}")
        request = self.http.build_request(
            method, f"/api/v1{path}", json=body if body is not None else None, headers=sent, cookies=self.cookies
        )
        response = await self.http.send(request)
        self.cookies.extract_cookies(response)
        return Reply(response)

    async def get(self, path: str, **headers: str) -> Reply:
        """GET."""
        return await self.ask("GET", path, **headers)

    async def post(self, path: str, body: object = None, **headers: str) -> Reply:
        """POST with a JSON body."""
        return await self.ask("POST", path, body, **headers)

    async def put(self, path: str, body: object, **headers: str) -> Reply:
        """PUT with a JSON body."""
        return await self.ask("PUT", path, body, **headers)

    async def delete(self, path: str, **headers: str) -> Reply:
        """DELETE."""
        return await self.ask("DELETE", path, **headers)


@dataclass
class Person(Visitor):
    """Somebody who is logged in."""

    email: str = ""
    password: str = PASSWORD
    user: dict[str, Any] = field(default_factory=dict)
    organization: dict[str, Any] = field(default_factory=dict)
