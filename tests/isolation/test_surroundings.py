"""Around the tables: a role makes nothing of its own, silences nothing, and reads no statement of another role."""

from typing import LiteralString
from uuid import uuid4

import psycopg
import pytest

from tests.isolation.world import DENIED
from tests.servers import Urls

ROLES = ("api", "worker", "auditor", "exporter")
# What would put something before the product's own names, keep rows where no policy holds, or switch a guard off.
REFUSED: tuple[LiteralString, ...] = (
    "create temporary table organizations (organization_id uuid)",
    "create temporary view users as select 1",
    "create schema mine",
    "create table tenancy.mine (id uuid)",
    "create table public.mine (id uuid)",
    "create function tenancy.mine() returns integer language sql as 'select 1'",
    "create function pg_temp.mine() returns integer language sql as 'select 1'",
    "create operator tenancy.= (leftarg = uuid, rightarg = uuid, function = pg_catalog.uuid_ne)",
    "create type tenancy.mine as enum ('a')",
    "create view tenancy.mine as select * from tenancy.users",
    "create materialized view tenancy.mine as select * from tenancy.users",
    "create statistics tenancy.mine on email, role from tenancy.users",
    "create index mine on tenancy.users (email)",
    "create rule mine as on insert to tenancy.users do instead nothing",
    "create trigger mine before insert on tenancy.users for each row execute function audit.refuse()",
    "create policy mine on tenancy.users using (true)",
    "create publication mine for table tenancy.users",
    "create extension dblink with schema tenancy",
    "create event trigger mine on ddl_command_start execute function audit.refuse()",
    "create role mine",
    "create database mine",
    "alter table tenancy.users disable row level security",
    "alter table tenancy.users no force row level security",
    "alter table tenancy.users disable trigger write_event",
    "alter policy tenant_guard on tenancy.users using (true)",
    "alter function app.current_org_id() immutable",
    "alter role app_api bypassrls",
    "alter system set row_security = off",
    "comment on table tenancy.users is 'mine'",
    "do $$ begin lock table tenancy.users in access exclusive mode; end $$",
    "truncate tenancy.users",
    "drop table tenancy.users",
    "set session_replication_role = replica",
    "set log_statement = 'none'",
    "set session authorization postgres",
    "set role app_owner",
    "set role app_migrator",
    "set role usage_recorder",
    "select lo_create(0)",
    "select lo_from_bytea(0, 'x')",
    "select lo_get(1)",
    "select lo_put(1, 0, 'x')",
    "select pg_cancel_backend(pg_backend_pid())",
    "select pg_terminate_backend(pg_backend_pid())",
    "select pg_read_file('postgresql.conf')",
    "copy (select 1) to program 'true'",
    "copy (select 1) to '/mine'",
    "select * from pg_statistic",
    "select * from pg_authid",
)  # fmt: skip


@pytest.mark.parametrize("role", ROLES)
def test_a_role_makes_nothing_of_its_own_and_switches_nothing_off(urls: Urls, role: str) -> None:
    done = []
    with psycopg.connect(getattr(urls, role), autocommit=True) as conn:
        # The exporter's sessions only read, unless they say otherwise; what stops him must not be that.
        conn.execute("set default_transaction_read_only = off")
        for statement in REFUSED:
            try:
                conn.execute(statement)
                done.append(statement)
            except psycopg.Error as error:
                if error.sqlstate != DENIED:
                    done.append(f"{statement}: {error.sqlstate} {error}")
    assert done == []


@pytest.mark.parametrize("role", ["api", "auditor", "exporter"])
@pytest.mark.parametrize("lock", ["pg_advisory_xact_lock", "pg_try_advisory_lock", "pg_advisory_lock_shared"])
def test_who_answers_requests_holds_up_no_other_organization(urls: Urls, role: str, lock: str) -> None:
    """Recorders of all organizations share the lock of their month: whoever could take it alone would stop them."""
    with psycopg.connect(getattr(urls, role)) as conn, pytest.raises(psycopg.errors.InsufficientPrivilege):
        conn.execute(f"select {lock}(7267202611)".encode())


@pytest.mark.parametrize("role", ["worker", "auditor", "exporter"])
def test_no_role_reads_the_statements_of_another(urls: Urls, role: str) -> None:
    mark = f"statement of another role {uuid4()}"
    with psycopg.connect(urls.api) as busy, psycopg.connect(getattr(urls, role)) as conn:
        busy.execute(f"select 1 -- {mark}".encode())
        seen = conn.execute("select query from pg_stat_activity where pid = %s", [busy.info.backend_pid]).fetchone()
    assert seen == ("<insufficient privilege>",)


def test_row_security_switched_off_for_a_session_is_an_error_and_shows_nothing(urls: Urls) -> None:
    """`row_security = off` asks for an error in the place of a filtered answer; a dump relies on it."""
    with psycopg.connect(urls.api) as conn:
        conn.execute("select set_config('app.current_org_id', %s, true)", [str(uuid4())])
        conn.execute("set local row_security = off")
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="would be affected by row-level security"):
            conn.execute("select count(*) from tenancy.users")
