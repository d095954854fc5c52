"""The framework served for real, and organizations planted in its database."""

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import psycopg
import pytest

from api import health
from api.app import create_app
from settings import Settings
from tests.http import subjects
from tests.http.planting import Planted, plant
from tests.http.server import serving
from tests.servers import Urls

Ask = Callable[..., Any]


@pytest.fixture(scope="module")
def settings(urls: Urls, redis_url: str) -> Settings:
    """The settings of an API process on this module's database."""
    return Settings.from_env(
        {
            "DATABASE_URL": urls.api,
            "REDIS_URL": redis_url,
            "SMTP_URL": "smtp://127.0.0.1:9",
            "JWT_SECRET": "a test's secret of 32 characters",
            "BASE_URL": "https://api.example.com",
            "CORS_ORIGINS": "https://app.example.com",
            "TRUSTED_PROXIES": "127.0.0.0/8",
        }
    )


@pytest.fixture(scope="module")
def client(settings: Settings) -> Iterator[httpx.Client]:
    """A client of a server with the test's own subjects."""
    app = create_app(settings, [health.router, health.probes, subjects.router])
    with serving(app) as running:
        yield running


@pytest.fixture(scope="module")
def planted(settings: Settings) -> Planted:
    """An organization with an owner, an admin, a member and keys."""
    return plant(settings)


@pytest.fixture
def ask(urls: Urls) -> Ask:
    """Ask Postgres as its superuser, around all row security."""

    def value(statement: str, *arguments: object) -> Any:
        with psycopg.connect(urls.superuser, autocommit=True) as connection:
            row = connection.execute(statement.encode(), arguments).fetchone()
        return row[0] if row else None

    return value
