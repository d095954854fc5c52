"""An Idempotency-Key: one effect, one answer."""

from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from settings import Settings
from tests.http.conftest import Ask
from tests.http.planting import Planted, plant
from tests.http.test_errors import error

NAME = "select name from tenancy.organizations where organization_id = %s"


def test_the_same_idempotency_key_gives_the_first_answer_and_one_effect(
    client: httpx.Client, settings: Settings, ask: Ask
) -> None:
    organization = plant(settings)
    for path, name_then in (("orders", "Acme+"), ("charges", "Acme+-")):
        headers = organization.headers("owner") | {"Idempotency-Key": f"{path}-1"}
        first = client.post(f"/api/v1/try/{path}", json={"text": "a"}, headers=headers)
        again = client.post(
            f"/api/v1/try/{path}", json={"text": "a"}, headers=headers | {"Idempotency-Key": f'"{path}-1"'}
        )
        assert first.status_code == again.status_code == 201
        assert first.content == again.content
        assert "idempotent-replayed" not in first.headers
        assert again.headers["idempotent-replayed"] == "true"
        assert ask(NAME, organization.organization_id) == name_then
        error(client.post(f"/api/v1/try/{path}", json={"text": "b"}, headers=headers), 422, "IDEMPOTENCY_KEY_REUSED")
        assert ask(NAME, organization.organization_id) == name_then


def test_a_failure_leaves_neither_effect_nor_answer_and_the_key_may_be_used_again(
    client: httpx.Client, settings: Settings, ask: Ask
) -> None:
    organization = plant(settings)
    headers = organization.headers("owner") | {"Idempotency-Key": "k"}
    error(client.post("/api/v1/try/orders", json={"text": "fail"}, headers=headers), 409, "CONFLICT")
    error(client.post("/api/v1/try/orders", json={"text": "break"}, headers=headers), 500, "INTERNAL_ERROR")
    assert ask(NAME, organization.organization_id) == "Acme"
    answer = client.post("/api/v1/try/orders", json={"text": "fine"}, headers=headers)
    assert answer.status_code == 201
    assert "idempotent-replayed" not in answer.headers


def test_concurrent_twins_have_one_effect(client: httpx.Client, settings: Settings, ask: Ask) -> None:
    organization = plant(settings)
    headers = organization.headers("owner") | {"Idempotency-Key": "twin"}

    def send(_: int) -> httpx.Response:
        return client.post("/api/v1/try/orders", json={}, headers=headers)

    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(send, range(6)))
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert len({answer.content for answer in answers if answer.status_code == 201}) == 1
    assert ask(NAME, organization.organization_id) == "Acme+"


def test_a_secret_answer_is_not_stored_in_clear(client: httpx.Client, settings: Settings, ask: Ask) -> None:
    organization = plant(settings)
    headers = organization.headers("owner") | {"Idempotency-Key": "secret"}
    answer = client.post("/api/v1/try/orders", json={}, headers=headers)
    stored = ask("select answer from tenancy.idempotency_keys where organization_id = %s", organization.organization_id)
    assert answer.json()["data"]["order"].encode() not in stored


@pytest.mark.parametrize("key", ["", "a b", "x" * 256, "\u00e9"])
def test_a_malformed_idempotency_key_is_refused(client: httpx.Client, planted: Planted, key: str) -> None:
    headers = {**planted.headers("owner"), "Idempotency-Key": key}
    raw = {name.encode(): value.encode("latin-1") for name, value in headers.items()}
    error(client.post("/api/v1/try/orders", json={}, headers=raw), 400, "INVALID_REQUEST")
