"""The yardstick: a Starlette route that returns JSON, under uvicorn as it comes.

Beside it, served as ours is: the same route, and our application without its recording.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from api.app import create_app
from api.server import HttpProtocol
from db.usage import UsageRecord, UsageRecorder


async def answer(request: Request) -> JSONResponse:
    """What a small endpoint returns."""
    return JSONResponse({"success": True, "message": "OK", "data": {"status": "queued"}})


def bare() -> ASGIApp:
    """Starlette and nothing else."""
    return Starlette(routes=[Route("/{path:path}", answer, methods=["GET", "POST"])])


joined = bare  # behind our own protocol class


class NoRecorder(UsageRecorder):
    """Takes records and forgets them."""

    async def record(self, entry: UsageRecord) -> None:
        """Nothing."""


def unrecorded() -> ASGIApp:
    """Our application, for which nobody keeps books."""
    app = create_app()
    opened = app.router.lifespan_context

    @asynccontextmanager
    async def lifespan(inner: Any) -> AsyncIterator[Any]:
        async with opened(inner) as state:
            state["resources"].usage = NoRecorder(state["resources"].database)  # type: ignore[index]
            yield state

    app.router.lifespan_context = lifespan
    return app


if __name__ == "__main__":
    uvicorn.run(
        f"tests.bench.bare:{os.environ['BENCH_APP']}", factory=True, host="127.0.0.1", port=int(os.environ["PORT"]),
        workers=int(os.environ["WORKERS"]), loop="uvloop", access_log=False, proxy_headers=False, server_header=False,
        log_config=None, http="httptools" if os.environ["BENCH_APP"] == "bare" else HttpProtocol,
    )  # fmt: skip
