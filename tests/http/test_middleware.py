"""CORS, logs, metrics and health, as a browser and an operator see them."""

import json
import time
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from api import health
from api.app import create_app
from settings import Settings
from tests.http import subjects
from tests.http.server import serving

ORIGIN = {"Origin": "https://app.example.com"}


def test_a_configured_origin_may_call_and_read_our_headers(client: httpx.Client) -> None:
    headers = client.get("/livez", headers=ORIGIN).headers
    assert headers["access-control-allow-origin"] == "https://app.example.com"
    assert headers["vary"] == "Origin"
    assert "Retry-After" in headers["access-control-expose-headers"]
    assert "access-control-allow-credentials" not in headers


@pytest.mark.parametrize("origin", ["https://evil.example.com", "null", "https://app.example.com.evil.example"])
def test_any_other_origin_may_not(client: httpx.Client, origin: str) -> None:
    asked = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    for answer in (client.get("/livez", headers=asked), client.options("/livez", headers=asked)):
        assert "access-control-allow-origin" not in answer.headers
        assert answer.headers["vary"] == "Origin"


def test_a_preflight_is_answered_without_a_session(client: httpx.Client) -> None:
    asked = ORIGIN | {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "x-api-key"}
    answer = client.options("/api/v1/try/orders", headers=asked)
    assert (answer.status_code, answer.text) == (204, "")
    assert "X-API-Key" in answer.headers["access-control-allow-headers"]
    assert "POST" in answer.headers["access-control-allow-methods"]


def test_errors_reach_the_browser_too(client: httpx.Client) -> None:
    for path in ("/nowhere", "/api/v1/try/broken", "/api/v1/try/me"):
        assert "access-control-allow-origin" in client.get(path, headers=ORIGIN).headers


def test_a_request_is_logged_by_template_and_without_its_query(
    client: httpx.Client, capsys: pytest.CaptureFixture[str]
) -> None:
    given = {"X-Request-ID": "logged-1"}
    client.get("/api/v1/try/people/0192f0c1-2b7d-7cc3-98c4-dc0c0c07398f?secret=hunter2", headers=given)
    line = wait_for(capsys, "logged-1")
    assert line["event"] == "http.request"
    assert (line["method"], line["route"], line["status"]) == ("GET", "/api/v1/try/people/{person_id}", 200)
    assert line["duration_ms"] > 0
    assert "hunter2" not in json.dumps(line)


def test_a_fault_is_logged_with_its_stack_and_no_full_address(
    client: httpx.Client, capsys: pytest.CaptureFixture[str]
) -> None:
    client.get("/api/v1/try/broken", headers={"X-Request-ID": "fault-1"})
    line = wait_for(capsys, "fault-1", "http.fault")
    assert line["level"] == "error"
    assert "subjects.py" in line["stack"]
    assert "ada@example.com" not in line["stack"]


def test_metrics_are_labelled_by_template(client: httpx.Client) -> None:
    client.get("/api/v1/try/people/0192f0c1-2b7d-7cc3-98c4-dc0c0c07398f")
    client.request("BREW", "/nowhere")
    text = client.get("/metrics").text
    labels = '{method="GET",route="/api/v1/try/people/{person_id}",status="2xx"}'
    assert f"http_request_duration_seconds_count{labels}" in text
    assert "BREW" not in text


def test_health_is_told_without_the_envelope(client: httpx.Client) -> None:
    for path in ("/health", "/api/v1/health"):
        assert client.get(path).json() == {"status": "healthy"}
    assert client.get("/livez").json() == {"status": "alive"}
    ready = client.get("/readyz")
    assert (ready.status_code, ready.json()) == (200, {"status": "ready", "reasons": []})


def test_without_redis_the_service_is_degraded_and_serves(settings: Settings) -> None:
    away = settings.model_copy(update={"redis_url": SecretStr("redis://127.0.0.1:1")})
    with serving(create_app(away, [health.router, health.probes, subjects.router])) as client:
        answer = client.get("/health")
        assert (answer.status_code, answer.json()["reason"]) == (503, "redis connection failed")
        ready = client.get("/readyz")
        assert (ready.status_code, ready.json()["status"]) == (200, "degraded")
        assert client.get("/api/v1/try/limited").status_code == 200


def wait_for(capsys: pytest.CaptureFixture[str], request_id: str, event: str = "http.request") -> dict[str, Any]:
    """The log line of a request, which is written just after its answer."""
    deadline, text = time.monotonic() + 5, ""
    while time.monotonic() < deadline:
        text += capsys.readouterr().out
        for line in text.splitlines():
            if f'"request_id":"{request_id}"' in line and f'"event":"{event}"' in line:
                found: dict[str, Any] = json.loads(line)
                return found
        time.sleep(0.01)
    raise AssertionError(f"no {event} of {request_id} in:\n{text}")
