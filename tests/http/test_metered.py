"""A program's requests: key, scope, limits, usage; and limits by network."""

import time

import httpx

from settings import Settings
from tests.http.conftest import Ask
from tests.http.planting import Planted, plant
from tests.http.test_errors import error

KEY_HEADERS = ("x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset", "ratelimit-policy", "ratelimit")


def test_a_key_is_taken_from_either_header_but_not_from_two_that_differ(client: httpx.Client, planted: Planted) -> None:
    path = "/api/v1/try/sends"
    for headers in (
        {"X-API-Key": planted.key},
        {"Authorization": f"Bearer {planted.key}"},
        {"X-API-Key": planted.key, "Authorization": f"Bearer {planted.key}"},
        {"X-API-Key": planted.key, **planted.headers("owner")},
    ):
        answer = client.post(path, headers=headers)
        assert answer.json()["data"] == {"organization_id": str(planted.organization_id)}
        assert all(name in answer.headers for name in KEY_HEADERS)
    both = {"X-API-Key": planted.key, "Authorization": f"Bearer {planted.narrow_key}"}
    error(client.post(path, headers=both), 400, "INVALID_REQUEST")
    error(client.post(path), 401, "MISSING_API_KEY")
    error(client.post(path, headers={"Authorization": f"Basic {planted.key}"}), 401, "MISSING_API_KEY")
    error(client.post(path, headers=planted.headers("owner")), 401, "MISSING_API_KEY")
    for key in ("sk_live_x", "sk_live_" + "0" * 64, "x" * 10_000, "ключ"):
        error(client.post(path, headers={b"X-API-Key": key.encode()}), 401, "INVALID_API_KEY")


def test_a_key_needs_the_scope(client: httpx.Client, planted: Planted) -> None:
    answer = client.post("/api/v1/try/sends", headers={"X-API-Key": planted.narrow_key})
    assert error(answer, 403, "PERMISSION_DENIED")["details"] == {"scope": "messages:send"}
    assert client.get("/api/v1/try/usage", headers={"X-API-Key": planted.narrow_key}).status_code == 200


def test_every_answer_to_a_valid_key_is_recorded_before_it_leaves(
    client: httpx.Client, settings: Settings, ask: Ask
) -> None:
    organization = plant(settings)
    headers = {"X-API-Key": organization.key}
    for json, status, billable in (
        ({"text": "hello"}, 200, True), ({"unknown": 1}, 400, True), ({"text": "break"}, 500, False),
    ):  # fmt: skip
        answer = client.post("/api/v1/try/sends", json=json, headers=headers)
        assert answer.status_code == status
        found = ask(
            "select row(endpoint, method, status_code, is_billable, plan)::text from usage.usage_records"
            " where organization_id = %s and id = %s",
            organization.organization_id, answer.headers["x-request-id"],
        )  # fmt: skip
        assert found == f"(/api/v1/try/sends,POST,{status},{'t' if billable else 'f'},starter)"
        assert all(name in answer.headers for name in KEY_HEADERS)
    client.post("/api/v1/try/sends", headers={"X-API-Key": organization.narrow_key})
    out_of_scope = "select is_billable from usage.usage_records where organization_id = %s and status_code = 403"
    assert ask(out_of_scope, organization.organization_id) is False


def test_a_key_over_its_rate_is_told_when_to_come_back_and_recorded_uncharged(
    client: httpx.Client, settings: Settings, ask: Ask
) -> None:
    organization = plant(settings, plan="free")
    headers = {"X-API-Key": organization.key}
    answers = [client.post("/api/v1/try/sends", headers=headers) for _ in range(11)]
    assert [answer.status_code for answer in answers] == [200] * 10 + [429]
    found = error(answers[-1], 429, "RATE_LIMIT_EXCEEDED")
    assert found["details"]["limit"] == 10
    assert found["details"]["violated_policies"] == ["minute"]
    assert int(answers[-1].headers["retry-after"]) == found["details"]["retry_after"] >= 1
    told = int(answers[-1].headers["ratelimit"].split(",")[0].partition(";t=")[2])
    assert int(answers[-1].headers["retry-after"]) >= told
    assert int(answers[-1].headers["x-ratelimit-reset"]) - time.time() <= told + 1
    assert answers[0].headers["ratelimit-policy"] == '"minute";q=10;w=60, "month";q=1000'
    count = "select count(*) from usage.usage_records where organization_id = %s and is_billable = %s"
    assert ask(count, organization.organization_id, True) == 10
    assert ask(count, organization.organization_id, False) == 1


def test_public_endpoints_are_limited_by_network(client: httpx.Client) -> None:
    def statuses(address: str, times: int) -> list[int]:
        headers = {"X-Forwarded-For": address}
        return [client.get("/api/v1/try/limited", headers=headers).status_code for _ in range(times)]

    assert statuses("203.0.113.7", 4) == [200, 200, 200, 429]
    assert statuses("203.0.113.99", 1) == [429]
    assert statuses("203.0.114.7", 1) == [200]
    refused = client.get("/api/v1/try/limited", headers={"X-Forwarded-For": "203.0.113.7"})
    assert int(refused.headers["retry-after"]) >= 1


def test_forwarded_addresses_count_from_the_right_and_only_through_our_proxies(client: httpx.Client) -> None:
    def seen(*forwarded: str) -> str:
        headers = [("X-Forwarded-For", each) for each in forwarded]
        found: str = client.get("/api/v1/try/address", headers=headers).json()["data"]["address"]
        return found

    assert seen() == "127.0.0.1"
    assert seen("198.51.100.1, 203.0.113.7") == "203.0.113.7"
    assert seen("203.0.113.7, 127.0.0.5") == "203.0.113.7"
    assert seen("198.51.100.1", "2001:db8::1") == "2001:db8::1"
    assert seen("nonsense, 127.0.0.9") == "127.0.0.9"
    assert seen("nonsense") == "127.0.0.1"


def test_a_webhook_gets_the_exact_bytes(client: httpx.Client) -> None:
    assert client.post("/api/v1/try/signed", content=b"\x00\xff raw").json()["data"] == {"size": 6}
