"""Where the metered path is measured: servers side by side over stores of one run, and the requests they are asked."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx

from tests.bench.load import Asked
from tests.bench.planting import Planted
from tests.metered.served import Served, environment, served
from tests.servers import TestServers, Urls

SEND = '{"to":"reader@example.com","type":"email","message":"Your parcel is on its way"}'


@dataclass
class Run:
    """Servers that run side by side, over stores of this run."""

    stores: TestServers
    urls: Urls
    redis_url: str
    settings: dict[str, str]

    @contextmanager
    def ours(self) -> Iterator[Served]:
        """The product."""
        with served(self.settings) as server:
            yield server

    @contextmanager
    def other(self, app: str) -> Iterator[Served]:
        """One of tests/bench/bare.py."""
        with served({**self.settings, "BENCH_APP": app}, ("-m", "tests.bench.bare")) as server:
            yield server


@contextmanager
def started(workers: int) -> Iterator[Run]:
    """New stores with settings for servers over them."""
    stores = TestServers.begin()
    try:
        with stores.database("bench") as name:
            urls, redis_url = stores.urls(name), stores.redis_url("bench")
            yield Run(stores, urls, redis_url, environment(urls.api, redis_url, WORKERS=str(workers)))
    finally:
        stores.end()


def kinds(planted: Planted, port: int) -> dict[str, Asked]:
    """The requests that are measured."""
    key = {"X-API-Key": planted.key}
    sent = httpx.post(
        f"http://127.0.0.1:{port}/api/v1/messages/send", content=SEND,
        headers={**key, "Content-Type": "application/json"},
    )  # fmt: skip
    path = f"/api/v1/messages/{sent.json()['data']['message_id']}"
    return {
        "send": Asked("POST", "/api/v1/messages/send", key, SEND),
        "show": Asked("GET", path, key),
        "refused": Asked("GET", path, {"X-API-Key": planted.limited_key}),
        "unknown": Asked("GET", path, {"X-API-Key": "sk_live_" + "0" * 64}),
        "unknown, each new": Asked("GET", path, {}, random_key=True),
        "me": Asked("GET", "/api/v1/auth/me", {}, tokens=planted.tokens),
    }
