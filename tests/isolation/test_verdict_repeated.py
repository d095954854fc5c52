"""A guard that falls while the product runs: /readyz and `mts doctor` repeat the sentence of the start's own check."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.cli.programs import environment, mts
from tests.servers import Urls
from tests.stack import Stack

SENTENCE = "Row security does not hold on tenancy.users (OPEN: row security does not bind the owner)"


@pytest.fixture
def fallen(urls: Urls) -> Iterator[None]:
    """One table's FORCE is gone."""
    with psycopg.connect(urls.superuser, autocommit=True) as conn:
        conn.execute("alter table tenancy.users no force row level security")
        yield
        conn.execute("alter table tenancy.users force row level security")


async def test_a_healthy_installation_is_ready(stack: Stack) -> None:
    assert (await stack.http.get("/readyz")).json() == {"status": "ready", "reasons": []}


@pytest.mark.usefixtures("fallen")
async def test_readyz_repeats_the_verdict(stack: Stack) -> None:
    answer = await stack.http.get("/readyz")
    assert (answer.status_code, answer.json()["status"]) == (503, "not ready")
    assert SENTENCE in answer.json()["reasons"][0]


@pytest.mark.usefixtures("fallen")
def test_doctor_repeats_the_verdict(urls: Urls, redis_url: str, tmp_path: Path) -> None:
    env = environment(
        DATABASE_URL=urls.api, REDIS_URL=redis_url, SMTP_URL="smtp://127.0.0.1:9", DATA_DIR=str(tmp_path),
        JWT_SECRET="a secret of the tests, long enough for its use", MAIL_FROM="MTS <a@mts.example>",
        BASE_URL="http://mts.example", ENVIRONMENT="dev",
    )  # fmt: skip
    answer = mts("doctor", env=env)
    assert answer.returncode == 1
    assert f"✗ Isolation    {SENTENCE}" in answer.stdout
