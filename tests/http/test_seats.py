"""A person's requests: session, seat, permission."""

import httpx

from settings import Settings
from tests.http.conftest import Ask
from tests.http.planting import Planted, plant
from tests.http.test_errors import error

ADA = {"email": "ada@example.com", "name": "Ada", "password": "correct horse"}


def test_a_seat_sees_its_own_organization_alone(client: httpx.Client, planted: Planted, settings: Settings) -> None:
    other = plant(settings)
    for organization in (planted, other):
        answer = client.get("/api/v1/try/me", headers=organization.headers("owner"))
        assert answer.json()["data"]["organizations"] == 1
        assert answer.json()["data"]["role"] == "owner"


def test_without_a_session_the_answer_says_what_is_wrong(client: httpx.Client, planted: Planted) -> None:
    path = "/api/v1/try/me"
    assert error(client.get(path), 401, "UNAUTHORIZED")["message"] == "Log in first"
    for header in ("Token abc", "Bearer", "Bearer a b", planted.tokens["owner"]):
        error(client.get(path, headers={"Authorization": header}), 401, "INVALID_TOKEN_FORMAT")
    for token in ("abc", planted.tokens["owner"][:-2], planted.key, "a.b.c", "x" * 5000):
        error(client.get(path, headers={"Authorization": f"Bearer {token}"}), 401, "INVALID_TOKEN")
    assert client.get(path, headers={"Authorization": f"bearer {planted.tokens['owner']}"}).status_code == 200


def test_an_ended_session_is_refused_at_once(client: httpx.Client, settings: Settings, ask: Ask) -> None:
    organization = plant(settings)
    assert client.get("/api/v1/try/me", headers=organization.headers("member")).status_code == 200
    ask("update identity.sessions set revoked_at = now() where id = %s returning 1", organization.sessions["member"])
    error(client.get("/api/v1/try/me", headers=organization.headers("member")), 401, "INVALID_TOKEN")


def test_a_demotion_acts_at_once_because_rights_come_from_the_row(
    client: httpx.Client, settings: Settings, ask: Ask
) -> None:
    organization = plant(settings)
    headers = organization.headers("admin")
    path = "/api/v1/try/keys/0192f0c1-2b7d-7cc3-98c4-dc0c0c07398f"
    assert client.delete(path, headers=headers).json()["data"] == {"own_only": False}
    ask(
        "update tenancy.users set role = 'member' where organization_id = %s and account_id = %s returning 1",
        organization.organization_id, organization.accounts["admin"],
    )  # fmt: skip
    assert client.delete(path, headers=headers).json()["data"] == {"own_only": True}


def test_a_permission_is_checked_before_the_body(client: httpx.Client, planted: Planted) -> None:
    path = "/api/v1/try/invitations"
    error(client.post(path, json={}, headers=planted.headers("member")), 403, "PERMISSION_DENIED")
    error(client.post(path, json=ADA, headers=planted.headers("admin")), 403, "EMAIL_NOT_VERIFIED")
    error(client.post(path, json={}, headers=planted.headers("owner")), 400, "VALIDATION_ERROR")
    assert client.post(path, json=ADA, headers=planted.headers("owner")).status_code == 200


def test_a_suspended_organization_is_refused(client: httpx.Client, settings: Settings, ask: Ask) -> None:
    organization = plant(settings)
    ask(
        "update identity.organization_directory set status = 'suspended' where organization_id = %s returning 1",
        organization.organization_id,
    )
    error(client.get("/api/v1/try/me", headers=organization.headers("owner")), 403, "ORGANIZATION_SUSPENDED")
    error(client.post("/api/v1/try/sends", headers={"X-API-Key": organization.key}), 403, "ORGANIZATION_SUSPENDED")


def test_an_endpoint_of_users_does_not_take_keys(client: httpx.Client, planted: Planted) -> None:
    error(client.get("/api/v1/try/me", headers={"X-API-Key": planted.key}), 401, "UNAUTHORIZED")
