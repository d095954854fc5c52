"""The check of a cluster's shards names each that is open; what a worker runs is run here on a table like it."""

import re
from collections.abc import Iterator
from typing import LiteralString, cast

import psycopg
import pytest

from settings import ROOT
from tests.servers import Urls

VERIFY = (ROOT / "sql" / "citus" / "verify.sql").read_text()
COMMAND = cast("LiteralString", re.findall(r"\$command\$(.*?)\$command\$", VERIFY, re.DOTALL)[0])
SHARD = "tenancy.users_102008"
# As each is on a shard → what of it must be said
OPENINGS: dict[LiteralString, str] = {
    "drop policy tenant_guard on tenancy.users_102008": "tenant_access permissive",
    "create policy stray on tenancy.users_102008 using (true)": "stray permissive",
    "alter table tenancy.users_102008 no force row level security": SHARD,
    "alter table tenancy.users_102008 disable row level security": SHARD,
    "alter policy tenant_access on tenancy.users_102008 to public": "tenant_access permissive for * to public",
    "alter policy tenant_guard on tenancy.users_102008 using (true)": "using true",
    "alter policy tenant_guard on tenancy.users_102008 with check (true)": "check true",
    # What Citus 14.0.1 makes of the guard.
    "drop policy tenant_guard on tenancy.users_102008; create policy tenant_guard on tenancy.users_102008 "
    "using (organization_id = app.current_org_id()) with check (organization_id = app.current_org_id())": (
        "tenant_guard permissive"
    ),
    "drop policy tenant_guard on tenancy.users_102008; drop policy tenant_access on tenancy.users_102008": "no policy",
}


@pytest.fixture
def shard(urls: Urls) -> Iterator[psycopg.Connection]:
    """A connection with a secured table that is named as a shard is, for one test."""
    with psycopg.connect(urls.superuser) as conn:
        conn.execute("create table tenancy.users_102008 (like tenancy.users including all)")
        conn.execute("select app.secure_tenant_table('tenancy.users_102008')")
        yield conn
        conn.rollback()


def said(conn: psycopg.Connection) -> str:
    row = conn.execute(COMMAND).fetchone()
    return str(row[0] or "") if row else ""


def test_a_secured_shard_is_not_named(shard: psycopg.Connection) -> None:
    assert said(shard) == ""


@pytest.mark.parametrize("opening", OPENINGS)
def test_an_open_shard_is_named_with_its_policies(shard: psycopg.Connection, opening: LiteralString) -> None:
    shard.execute(opening)
    assert said(shard).startswith(f"{SHARD}: ")
    assert OPENINGS[opening] in said(shard)
