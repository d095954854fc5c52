"""Whatever the OpenAPI document allows, or nearly, gets an answer that it describes – never a fault of ours."""

import os
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from pydantic import SecretStr
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from api.app import create_app
from jobs.providers.sandbox import SandboxConfig
from jobs.providers.sandbox.server import running
from settings import Settings
from tests.http.server import serving
from tests.servers import Urls

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
# These end the very session that the others are tried with.
FAREWELLS = r"/auth/(logout|sessions|change-password)|/team/leave|/team/transfer-ownership"
EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "8"))


@pytest.fixture(scope="module")
def client(urls: Urls, redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A served product with the providers' sandboxes."""
    config = SandboxConfig(
        tmp_path_factory.mktemp("sandbox"), "sk_test_a", "whsec_a", "sk_test_b", "AC" + "0" * 32, "t"
    )
    with running(config) as sandbox:
        product = Settings(
            environment="dev",
            database_url=SecretStr(urls.api),
            redis_url=SecretStr(redis_url),
            smtp_url=SecretStr("smtp://127.0.0.1:9"),
            jwt_secret=SecretStr("x" * 32),
            bcrypt_rounds=4,
            log_level="error",
            stripe_secret_key=SecretStr("sk_test_a"),
            stripe_webhook_secret=SecretStr("whsec_a"),
            stripe_api_base=f"{sandbox}/stripe",
            paystack_secret_key=SecretStr("sk_test_b"),
            paystack_api_base=f"{sandbox}/paystack",
            twilio_account_sid="AC" + "0" * 32,
            twilio_auth_token=SecretStr("t"),
            twilio_api_base=f"{sandbox}/twilio",
            trusted_proxies=("127.0.0.0/8",),
        )
        with serving(create_app(product)) as opened:
            yield opened


@pytest.fixture(scope="module")
def headers(client: httpx.Client) -> dict[str, str]:
    """The session of an owner, and a key of the organization."""
    body = {"organization_name": "Fuzz", "email": "fuzz@example.com", "password": "violet-umbrella-42"}
    token = client.post("/api/v1/auth/register", json=body).json()["data"]["token"]
    session = {"Authorization": f"Bearer {token}"}
    key = client.post("/api/v1/keys", json={"name": "fuzz"}, headers=session).json()["data"]["key"]
    return {**session, "X-API-Key": key}


def test_the_document_holds_for_whatever_comes(client: httpx.Client, headers: dict[str, str]) -> None:
    schema = schemathesis.openapi.from_url(f"{client.base_url}/api/v1/openapi.json").exclude(path_regex=FAREWELLS)
    faults: list[str] = []
    for result in schema.get_all_operations():
        assert isinstance(result, Ok)
        faults += _try(result.ok(), headers)
    assert not faults, "\n\n".join(faults)


def _try(operation: Any, headers: dict[str, str]) -> list[str]:
    faults: list[str] = []

    @settings(
        max_examples=EXAMPLES, deadline=None, database=None, derandomize=True, phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    def attempt(case: Any) -> None:
        response = case.call(headers={**headers, "X-Forwarded-For": "203.0.113.7"})
        case.validate_response(response, checks=CHECKS)

    try:
        given(case=operation.as_strategy())(attempt)()
    except BaseExceptionGroup as found:
        faults += [f"{operation.method.upper()} {operation.path}: {fault}"[:600] for fault in found.exceptions]
    return faults
