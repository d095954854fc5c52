"""What works across organizations: each door of the directories shows and changes what is listed here, and no more."""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from uuid import uuid4

import psycopg
import pytest

from tests.isolation.catalog import tenant_tables
from tests.isolation.doors import plant_directories, tried
from tests.isolation.planting import Row, plant
from tests.servers import Urls

# Doors that answer before an organization is known, or about a person, and so show one that is not in context.
SHOWN = {
    "resolve_key": "whoever has the key's digest is led to its organization",
    "resolve_invitation": "likewise for an invitation",
    "resolve_payment": "likewise for a payment that a provider names",
    "find_account": "whoever logs in names his mailbox; the password decides",
    "get_account": "likewise for a person who is known already",
    "former_devices": "a log-in from a device that the person never used is told to him",
    "seats_of": "a person chooses among the organizations where he has a seat",
    "list_sessions": "a person sees where he is logged in",
    "list_organizations": "work goes through all organizations, one transaction for each",
    "waiting_organizations": "likewise through those that have announced some",
    "find_first_request": "a sign-up that is repeated gets its first answer",
}
# Doors that change a row of an organization that is not in context.
CHANGED = {
    "revoke_sessions": "a new password ends a person's sessions everywhere",
    "revoke_session": "a person ends one of his sessions wherever it was begun",
}


@pytest.fixture(scope="module")
def victim(urls: Urls) -> Row:
    """The victim's places in the directories."""
    return plant_directories(urls.superuser)


@pytest.fixture
def admin(urls: Urls) -> Iterator[psycopg.Connection]:
    """A superuser, who takes the attacker's role for one call and looks at the directories before and after."""
    with psycopg.connect(urls.superuser) as conn:
        yield conn


@pytest.mark.parametrize("role", ["app_api", "app_worker", "app_exporter", "app_auditor"])
def test_a_door_of_the_directories_shows_and_changes_what_is_listed(
    admin: psycopg.Connection, victim: Row, role: str
) -> None:
    found = list(tried(admin, role, victim))
    doors = {door for door, _, _ in found}
    assert {door for door, shows, _ in found if shows} == set(SHOWN) & doors
    assert {door for door, _, changes in found if changes} == set(CHANGED) & doors
    assert role != "app_worker" or set(SHOWN) | set(CHANGED) <= doors


@pytest.mark.parametrize(
    ("door", "condition"),
    [
        ("forget_key(uuid)", "organization_id = app.current_org_id() and"),
        ("remove_seat(uuid)", "and organization_id = app.current_org_id()"),
        ("session_seat(uuid, timestamptz)", "and s.organization_id = app.current_org_id()"),
    ],
)
def test_a_door_that_forgets_the_organization_is_noticed(
    admin: psycopg.Connection, victim: Row, door: str, condition: str
) -> None:
    row = admin.execute("select pg_get_functiondef(%s::regprocedure)", [f"identity.{door}"]).fetchone()
    assert row
    assert condition in row[0]
    admin.execute(row[0].replace(condition, "").encode())
    noticed = {name for name, shows, changes in tried(admin, "app_api", victim) if shows or changes}
    admin.rollback()
    assert door.partition("(")[0] in noticed


def test_usage_is_not_booked_on_another_organizations_key(urls: Urls) -> None:
    mine, other = uuid4(), uuid4()
    with psycopg.connect(urls.superuser) as conn:
        tables = tenant_tables(conn)
        _, theirs = plant(conn, tables, mine), plant(conn, tables, other)
    record = (
        "select usage.record(%s::uuid[], %s::uuid[], %s::uuid[], array['/x'], array['GET'], array[200], "
        "array[1::bigint], array['free'], array[true], %s::timestamptz[])"
    )
    given = [[mine], [uuid4()], [theirs["tenancy.api_keys"]["id"]], [datetime(2026, 11, 2, tzinfo=UTC)]]
    with psycopg.connect(urls.api) as conn, pytest.raises(psycopg.errors.ForeignKeyViolation):
        conn.execute(record, given)
    with psycopg.connect(urls.superuser) as conn:
        counted = "select count(*) from usage.usage_records where organization_id in (%s, %s) and billed_month > %s"
        assert conn.execute(counted, [mine, other, date(2026, 10, 1)]).fetchone() == (2,), "those that were planted"
