"""Finds the endpoint of a path: one dictionary look-up for fixed paths, few patterns for those with parameters."""

import re
from collections.abc import Iterable
from typing import Any

from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Receive, Scope, Send

from api.endpoint import Endpoint
from api.errors import Refused

Found = tuple[ASGIApp, dict[str, Any]]
_PARAMETER = re.compile(r"{(\w+)}")


class RouteTable(BaseRoute):
    """All endpoints as one Starlette route, so that the cost does not grow with their number.

    A path with another method than its endpoints' is answered 405 with the complete list in `Allow`.
    """

    def __init__(self, endpoints: Iterable[Endpoint]) -> None:
        self.endpoints = tuple(endpoints)
        self._fixed: dict[str, dict[str, Endpoint]] = {}
        self._patterns: dict[int, list[tuple[re.Pattern[str], dict[str, Endpoint]]]] = {}
        for endpoint in self.endpoints:
            self._add(endpoint)

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Starlette's question: is this path ours? Answers with the endpoint and the path's parameters."""
        found = self.find(scope["path"], scope["method"]) if scope["type"] == "http" else None
        return (Match.FULL, {"endpoint": found[0], "path_params": found[1]}) if found else (Match.NONE, {})

    def find(self, path: str, method: str) -> Found | None:
        """Who answers, with the path's parameters; None where nobody does."""
        allowed: list[str] = []
        for methods, parameters in self._candidates(path):
            endpoint = methods.get(method)
            if endpoint is not None:
                return endpoint, parameters
            allowed += methods
        return (_NotAllowed(allowed), {}) if allowed else None

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand over to what `matches` found."""
        await scope["endpoint"](scope, receive, send)

    def _add(self, endpoint: Endpoint) -> None:
        methods = self._methods_of(endpoint.declared.template)
        names = ("GET", "HEAD") if endpoint.declared.method == "GET" else (endpoint.declared.method,)
        for name in names:
            if name in methods:
                raise TypeError(f"{name} {endpoint.declared.template} is registered twice")
            methods[name] = endpoint

    def _methods_of(self, template: str) -> dict[str, Endpoint]:
        if "{" not in template:
            return self._fixed.setdefault(template, {})
        literals = _PARAMETER.split(template)
        pattern = "".join(f"(?P<{part}>[^/]+)" if odd % 2 else re.escape(part) for odd, part in enumerate(literals))
        same_length = self._patterns.setdefault(template.count("/"), [])
        for known, methods in same_length:
            if known.pattern == pattern:
                return methods
        same_length.append((re.compile(pattern), {}))
        return same_length[-1][1]

    def _candidates(self, path: str) -> Iterable[tuple[dict[str, Endpoint], dict[str, Any]]]:
        fixed = self._fixed.get(path)
        if fixed is not None:
            yield fixed, {}
        for pattern, methods in self._patterns.get(path.count("/"), ()):
            found = pattern.fullmatch(path)
            if found is not None:
                yield methods, found.groupdict()


class Straight:
    """The way to an endpoint past the router, which is asked for all that is no endpoint."""

    def __init__(self, table: RouteTable, router: ASGIApp) -> None:
        self.table = table
        self.router = router

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = self.table.find(scope["path"], scope["method"]) if scope["type"] == "http" else None
        if found is None:
            await self.router(scope, receive, send)
            return
        scope["endpoint"], scope["path_params"] = found
        await found[0](scope, receive, send)


class _NotAllowed:
    """Answers 405 with every method that the path knows."""

    def __init__(self, methods: list[str]) -> None:
        self.methods = sorted(set(methods))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        allow = ", ".join(self.methods)
        raise Refused(405, "METHOD_NOT_ALLOWED", "This address does not answer to that method", {"Allow": allow})
