"""The glass: who may break it gives a reason first, is logged throughout, and has no other way in."""

from collections.abc import Callable, Iterator
from typing import LiteralString
from uuid import uuid4

import psycopg
import pytest

from tests.servers import TestServers, Urls

NOBODY = "00000000-0000-0000-0000-000000000000"
ENTER: LiteralString = "set role app_breakglass"
Connect = Callable[[], psycopg.Connection]


@pytest.fixture
def admin(urls: Urls) -> Iterator[psycopg.Connection]:
    """A superuser, who names the people who may break the glass."""
    with psycopg.connect(urls.superuser, autocommit=True) as conn:
        yield conn


@pytest.fixture
def jane(admin: psycopg.Connection, worker_name: str) -> Iterator[str]:
    """A person who may break the glass: the login's name."""
    name = f"jane_{worker_name}"
    made = f"create role {name} login password 'x' in role app_auditor, app_responder"
    admin.execute(f"{made}; alter role {name} set log_statement = 'all'".encode())
    yield name
    admin.execute(f"drop role {name}".encode())


@pytest.fixture
def connect(servers: TestServers, database_name: str, jane: str) -> Connect:
    """Opens a session of that person."""
    url = servers.postgres.superuser_url(database_name)
    return lambda: psycopg.connect(url, user=jane, password="x", autocommit=True)


def refusal(conn: psycopg.Connection, statement: LiteralString) -> str | None:
    """The SQLSTATE that answers a statement."""
    with pytest.raises(psycopg.Error) as refused:
        conn.execute(statement)
    return refused.value.sqlstate


def give_reason(conn: psycopg.Connection, reason: str) -> None:
    """Write the reason by hand, as the procedure does."""
    conn.execute("select set_config('app.current_org_id', %s, true)", [NOBODY])
    conn.execute(
        "insert into audit.accesses (organization_id, kind, reason) values (%s, 'break_glass', %s)", [NOBODY, reason]
    )


def test_breaking_the_glass_leaves_a_row_and_then_sees_all_and_is_seen(
    servers: TestServers, connect: Connect, jane: str, admin: psycopg.Connection
) -> None:
    asked = f"select count(*) >= 0 from tenancy.users -- {uuid4()}"
    with connect() as conn:
        assert refusal(conn, "select count(*) from tenancy.users") == "ORG01"
        conn.execute("call ops.break_glass('incident 12')")
        assert conn.execute(asked.encode()).fetchone() == (True,)
        assert refusal(conn, "set log_statement = 'none'") == "42501"
    assert asked in (servers.postgres.data_dir / "log").read_text(errors="replace")
    entered = admin.execute(
        "select a.database_role, a.reason, e.database_role from audit.accesses a "
        "join audit.glass_entries e on e.access_id = a.id where a.kind = 'break_glass'"
    ).fetchall()
    assert (jane, "incident 12", jane) in entered


def test_there_is_no_way_in_but_with_a_reason(connect: Connect) -> None:
    with connect() as conn:
        assert refusal(conn, ENTER) == "42501"
        assert refusal(conn, "select ops.lend_glass()") == "OPS02"
        assert refusal(conn, "call ops.break_glass('  ')") == "23514"
        assert refusal(conn, ENTER) == "42501"


def test_a_reason_opens_it_once(connect: Connect) -> None:
    with connect() as conn:
        conn.execute("call ops.break_glass('incident 13')")
        conn.execute("reset role")
        assert refusal(conn, ENTER) == "42501"
        assert refusal(conn, "select ops.lend_glass()") == "OPS02"
    with connect() as later:
        assert refusal(later, ENTER) == "42501"


def test_a_reason_that_could_be_taken_back_is_none(connect: Connect) -> None:
    with connect() as conn:
        with conn.transaction(force_rollback=True):
            give_reason(conn, "never committed")
            assert refusal(conn, "select ops.lend_glass()") == "OPS02"
        with conn.transaction(force_rollback=True):
            with conn.transaction():
                give_reason(conn, "released into a transaction that is not committed")
            assert refusal(conn, "select ops.lend_glass()") == "OPS02"
        with conn.transaction(force_rollback=True):
            assert refusal(conn, "call ops.break_glass('in a transaction')") == "2D000"
        assert refusal(conn, ENTER) == "42501"


def test_an_old_reason_opens_nothing(connect: Connect, jane: str, admin: psycopg.Connection) -> None:
    with connect() as conn, conn.transaction():
        give_reason(conn, "a minute ago")
    admin.execute("alter table audit.accesses disable trigger keep_rows")
    admin.execute(
        "update audit.accesses set created_at = created_at - interval '61 seconds' where database_role = %s", [jane]
    )
    admin.execute("alter table audit.accesses enable always trigger keep_rows")
    with connect() as conn:
        assert refusal(conn, "select ops.lend_glass()") == "OPS02"


def test_the_membership_ends_with_the_transaction_that_lent_it(connect: Connect, admin: psycopg.Connection) -> None:
    members = "select member::regrole::text from pg_auth_members where roleid = 'app_breakglass'::regrole"
    with connect() as conn:
        with conn.transaction():
            give_reason(conn, "by hand")
        with conn.transaction(force_rollback=True):
            conn.execute("select ops.lend_glass()")
            conn.execute("set constraints all immediate")
            assert refusal(conn, ENTER) == "42501"
        with conn.transaction(force_rollback=True):
            conn.execute("select ops.lend_glass()")
            conn.execute(ENTER)
            assert refusal(conn, "grant app_breakglass to app_auditor") == "42501"
        conn.execute("select ops.lend_glass()")
        assert refusal(conn, ENTER) == "42501"
        assert admin.execute(members).fetchall() == [("glass_keeper",)]


def test_without_the_trigger_the_membership_would_stay_and_the_lint_says_so(
    servers: TestServers, worker_name: str, jane: str
) -> None:
    with servers.database(f"glass_{worker_name}") as database:
        servers.execute("alter table audit.glass_entries disable trigger take_glass_back", database)
        url = servers.postgres.superuser_url(database)
        with psycopg.connect(url, user=jane, password="x", autocommit=True) as conn:
            with conn.transaction():
                give_reason(conn, "by hand")
            with conn.transaction(force_rollback=True):
                conn.execute("select ops.lend_glass()")
                conn.execute("set constraints all immediate")
                conn.execute(ENTER)
        with psycopg.connect(servers.urls(database).auditor) as conn:
            found = conn.execute("select object from ops.findings where rule = 'break glass'").fetchall()
    assert found == [("audit.glass_entries",)]


def test_nobody_breaks_the_glass_unseen(
    connect: Connect, database_name: str, jane: str, admin: psycopg.Connection
) -> None:
    admin.execute(f"alter role {jane} in database {database_name} set log_statement = 'ddl'".encode())
    with connect() as conn:
        assert refusal(conn, "call ops.break_glass('incident 14')") == "OPS01"
    assert ("break glass", jane) in admin.execute("select rule, object from ops.findings").fetchall()


def test_who_could_stop_the_log_does_not_break_the_glass(jane: str, admin: psycopg.Connection) -> None:
    with admin.transaction(force_rollback=True):
        admin.execute(f"grant set on parameter log_statement to {jane}".encode())
        admin.execute("set local log_statement = 'all'")
        admin.execute(f"set local session authorization {jane}".encode())
        assert refusal(admin, "select ops.lend_glass()") == "OPS01"


def test_an_operator_who_is_no_responder_cannot_break_it(urls: Urls) -> None:
    with psycopg.connect(urls.auditor, autocommit=True) as conn:
        for statement in ("call ops.break_glass('curious')", "select ops.lend_glass()", ENTER):
            assert refusal(conn, statement) == "42501"
