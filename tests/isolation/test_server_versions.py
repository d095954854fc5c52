"""A server whose minor version has a known way around row security is refused."""

import asyncpg
import pytest

from db import checks
from tests.servers import Urls


@pytest.mark.parametrize(
    ("version", "is_safe"),
    [
        (150013, False), (150014, True), (160009, False), (160010, True), (170005, False), (170006, True),
        (180000, True), (140099, False), (130022, False), (90624, False),
    ],
)  # fmt: skip
def test_the_first_safe_minor_of_each_major(version: int, is_safe: bool) -> None:
    verdict = checks._server({"server_version": version})
    assert verdict.ok == is_safe
    assert is_safe or "upgrade to 1" in verdict.reason


async def test_on_an_older_server_nothing_starts(urls: Urls, monkeypatch: pytest.MonkeyPatch) -> None:
    conn = await asyncpg.connect(urls.api)
    try:
        major = conn.get_server_version().major
        monkeypatch.setitem(checks.SAFE_SERVERS, major, 99)
        with pytest.raises(checks.UnsafeRole, match=f"known row-security leaks: upgrade to {major}.99"):
            await checks.refuse_unsafe(conn)
    finally:
        await conn.close()
