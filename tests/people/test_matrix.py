"""Every endpoint that the product serves, walked as nobody, as each role and with each kind of key.

The list is the running application's own: what is registered is walked, and what is not walked cannot be reached.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from starlette.routing import Mount

from api.app import create_app
from api.endpoint import Endpoint
from api.permissions import MATRIX, PUBLIC, SIGNED, Access, Permission, Reach, Role, Scope
from api.routing import RouteTable
from settings import Settings
from tests.http.planting import Planted, plant
from tests.http.server import serving
from tests.networks import new_network
from tests.servers import Urls
from tests.stack import settings_for

APP = create_app(settings_for("postgresql://nobody@127.0.0.1/none", "redis://127.0.0.1", 9, Path("/tmp")))
(TABLE,) = [route for route in APP.routes if isinstance(route, RouteTable)]
ENDPOINTS = TABLE.endpoints
ROLES = tuple(role.value for role in Role)
NOBODYS_ID = "0192f0c1-2b7d-7cc3-98c4-dc0c0c07398f"
DENIED = "Your role does not allow this"  # what a role is told; other refusals have other words
SEES_NOTHING = {"UNAUTHORIZED", "INVALID_TOKEN", "INVALID_TOKEN_FORMAT", "MISSING_API_KEY", "INVALID_API_KEY"}


def kind_of(endpoint: Endpoint) -> str:
    """The family of an endpoint's access."""
    access = endpoint.declared.access
    if isinstance(access, Scope):
        return "key"
    return "open" if access in (PUBLIC, SIGNED) else "seat"


def of_kind(kind: str) -> list[Endpoint]:
    return [each for each in ENDPOINTS if kind_of(each) == kind]


def name_of(endpoint: Endpoint) -> str:
    return f"{endpoint.declared.method} {endpoint.declared.template}"


def is_page(endpoint: Endpoint) -> bool:
    """Whether it takes its session from the cookie, not from a header."""
    return endpoint.claims.__module__ == "api.pages.cookies"


@pytest.fixture(scope="module")
def settings(urls: Urls, redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """The settings of an API process on this module's database."""
    return settings_for(urls.api, redis_url, 9, tmp_path_factory.mktemp("matrix"))


@pytest.fixture(scope="module")
def client(settings: Settings) -> Iterator[httpx.Client]:
    """A client of the whole product."""
    with serving(create_app(settings)) as running:
        yield running


def ask(client: httpx.Client, endpoint: Endpoint, identifier: str = NOBODYS_ID, **headers: str) -> httpx.Response:
    """Call an endpoint without a body worth the name, from a network of its own."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    path = re.sub(r"{\w+}", identifier, endpoint.declared.template)
    form = is_page(endpoint) and endpoint.declared.method == "POST"
    client.cookies.clear()
    return client.request(
        endpoint.declared.method, path, data={"x": ""} if form else None,
        json={} if endpoint.types.body and not form else None,
        headers=sent | {"X-Forwarded-For": new_network()},
    )  # fmt: skip


def ask_as(
    client: httpx.Client, endpoint: Endpoint, planted: Planted, role: str, identifier: str = NOBODYS_ID
) -> httpx.Response:
    """Call it with a role's session, in the cookie for a page."""
    if is_page(endpoint):
        return ask(client, endpoint, identifier, Cookie=f"mts_session={planted.tokens[role]}")
    return ask(client, endpoint, identifier, Authorization=f"Bearer {planted.tokens[role]}")


def code_of(answer: httpx.Response) -> str:
    """The code of an answer's error, whatever form it has."""
    if answer.is_success or answer.is_redirect:
        return "OK"
    if answer.headers.get("content-type", "").startswith("application/json") and "error" in answer.json():
        return str(answer.json()["error"]["code"])
    return ""


def is_shut_out(answer: httpx.Response) -> bool:
    """Whether somebody without a session was turned away before anything else."""
    to_log_in = answer.status_code == 303 and answer.headers["location"].startswith("/login")
    return to_log_in or (answer.status_code == 401 and code_of(answer) in SEES_NOTHING)


def test_the_application_serves_nothing_but_registered_endpoints_and_static_files() -> None:
    others = [route for route in APP.routes if not isinstance(route, RouteTable)]
    assert [route.path for route in others if isinstance(route, Mount)] == ["/static"]
    assert len(others) == 1
    assert len(ENDPOINTS) == sum(len(of_kind(kind)) for kind in ("open", "key", "seat")) > 80


def test_every_permission_and_every_scope_guards_something() -> None:
    guarding = {each.declared.access for each in ENDPOINTS} | {Permission.MANAGE_WEBHOOKS}  # its endpoints are to come
    assert guarding >= set(MATRIX) | set(Access) | {Scope.MESSAGES_SEND, Scope.MESSAGES_READ}
    assert set(MATRIX) == set(Permission)


@pytest.mark.parametrize("endpoint", of_kind("open"), ids=name_of)
def test_what_is_open_asks_nobody_who_he_is(client: httpx.Client, endpoint: Endpoint) -> None:
    answer = ask(client, endpoint)
    assert code_of(answer) not in SEES_NOTHING | {"PERMISSION_DENIED"}
    assert answer.status_code < 500


@pytest.mark.parametrize("endpoint", of_kind("seat"), ids=name_of)
def test_each_role_gets_what_the_matrix_says(client: httpx.Client, settings: Settings, endpoint: Endpoint) -> None:
    planted = plant(settings)
    assert is_shut_out(ask(client, endpoint))
    assert is_shut_out(ask(client, endpoint, X_API_Key=planted.key))
    assert is_shut_out(ask(client, endpoint, Authorization=f"Bearer {planted.key}"))
    for role, cell in reversed(list(zip(ROLES, cells_of(endpoint), strict=True))):
        answer = ask_as(client, endpoint, planted, role)
        assert not is_shut_out(answer), f"{role}: {answer.text}"
        assert answer.status_code < 500, f"{role}: {answer.text}"
        refused = answer.status_code == 403 and DENIED in answer.text
        assert refused == (cell is Reach.NONE), f"{role}: {cell}, but {answer.status_code} {answer.text}"


@pytest.mark.parametrize("endpoint", [each for each in of_kind("seat") if "{" in name_of(each)], ids=name_of)
def test_another_organizations_roles_do_not_count_here(
    client: httpx.Client, settings: Settings, endpoint: Endpoint
) -> None:
    """The same path with an id of another organization answers an owner as one that never was."""
    ours, theirs = plant(settings), plant(settings)
    identifier = key_of(client, theirs, "owner")
    strange = ask_as(client, endpoint, ours, "owner", identifier)
    unknown = ask_as(client, endpoint, ours, "owner")
    assert (strange.status_code, code_of(strange)) == (unknown.status_code, code_of(unknown))


def cells_of(endpoint: Endpoint) -> tuple[Reach, ...]:
    """What the matrix says of each role."""
    access = endpoint.declared.access
    return MATRIX[access] if isinstance(access, Permission) else (Reach.ALL,) * len(ROLES)


OWN = [each for each in of_kind("seat") if Reach.OWN in cells_of(each)]


@pytest.mark.parametrize("endpoint", OWN, ids=name_of)
def test_own_only_is_what_one_has_made_oneself(client: httpx.Client, settings: Settings, endpoint: Endpoint) -> None:
    assert endpoint.declared.access is Permission.REVOKE_KEYS, "say here how one makes what is one's own"
    planted = plant(settings)
    for role in ROLES:
        reach = MATRIX[Permission.REVOKE_KEYS][ROLES.index(role)]
        own, other = key_of(client, planted, role), key_of(client, planted, "admin" if role == "owner" else "owner")
        assert ask_with_form(client, endpoint, planted, role, own), f"{role}, own"
        assert ask_with_form(client, endpoint, planted, role, other) == (reach is Reach.ALL), f"{role}, other's"


def ask_with_form(client: httpx.Client, endpoint: Endpoint, planted: Planted, role: str, identifier: str) -> bool:
    """Do it for real; a page's form with the token that the page before it shows. Returns whether it was done."""
    if not is_page(endpoint):
        return ask_as(client, endpoint, planted, role, identifier).is_success
    cookie = {"Cookie": f"mts_session={planted.tokens[role]}"}
    found = re.search(r'name="csrf" value="([^"]+)"', client.get("/keys", headers=cookie).text)
    assert found is not None
    path = re.sub(r"{\w+}", identifier, endpoint.declared.template)
    answer = client.post(path, data={"csrf": found[1]}, headers=cookie | {"Sec-Fetch-Site": "same-origin"})
    return answer.status_code in (200, 303)


def key_of(client: httpx.Client, planted: Planted, role: str) -> str:
    """The id of a new key that this role has made."""
    answer = client.post("/api/v1/keys", json={"name": role}, headers=planted.headers(role))
    return str(answer.json()["data"]["id"])


@pytest.mark.parametrize("endpoint", of_kind("key"), ids=name_of)
def test_a_key_opens_what_its_scopes_say(client: httpx.Client, settings: Settings, endpoint: Endpoint) -> None:
    planted = plant(settings)
    assert code_of(ask(client, endpoint)) == "MISSING_API_KEY"
    for role in ROLES:
        assert code_of(ask(client, endpoint, **planted.headers(role))) == "MISSING_API_KEY"
    access = endpoint.declared.access
    for scope in Scope:
        key = scoped_key(client, planted, scope)
        answer = ask(client, endpoint, X_API_Key=key)
        assert answer.status_code < 500
        assert (code_of(answer) == "PERMISSION_DENIED") == (scope is not access), f"{scope}: {answer.text}"


def scoped_key(client: httpx.Client, planted: Planted, scope: Scope) -> str:
    """A key with this scope alone."""
    body = {"name": scope.value, "scopes": [scope.value]}
    return str(client.post("/api/v1/keys", json=body, headers=planted.headers("owner")).json()["data"]["key"])


def test_a_member_sees_usage_on_the_dashboard_and_no_bills(client: httpx.Client, settings: Settings) -> None:
    """The specification's text grants a member its own usage; its matrix says where: on the dashboard, all of it."""
    planted = plant(settings)

    def status(path: str) -> int:
        return client.get(path, headers=planted.headers("member")).status_code

    assert {status(f"/api/v1/dashboard/{name}") for name in ("stats", "usage-graph", "api-keys")} == {200}
    closed = ("billing/usage", "billing/history", "billing/calculate", "audit/events")
    assert {status(f"/api/v1/{name}") for name in closed} == {403}
