"""The catalog lint finds nothing in a fresh installation, and the self-test holds."""

import asyncpg
import psycopg
import pytest

from db import checks
from tests.servers import Urls

HINT = (
    "Change the migration; an exception is a row of ops.waivers, a new definer function one of ops.reviewed_functions, "
    "each with its reason:"
)


def test_the_lint_finds_nothing(urls: Urls) -> None:
    with psycopg.connect(urls.auditor) as conn:
        findings = conn.execute("select rule, object, detail from ops.findings order by 1, 2").fetchall()
    assert not findings, "\n".join([HINT, *(" · ".join(finding) for finding in findings)])


def test_every_waiver_says_why(urls: Urls) -> None:
    with psycopg.connect(urls.auditor) as conn:
        assert conn.execute("select count(*) from ops.waivers where reason ~ '\\.$' is not true").fetchone() == (0,)


def test_the_selftest_attacks_every_tenant_table_and_leaves_nothing(urls: Urls) -> None:
    with psycopg.connect(urls.auditor) as conn:
        outcomes = conn.execute("select object, attack, outcome, held from ops.isolation_selftest()").fetchall()
        tables = conn.execute("select name from ops.tables where kind = 'tenant' and not is_partition").fetchall()
    assert {outcome[0] for outcome in outcomes} == {table[0] for table in tables}
    assert [outcome for outcome in outcomes if not outcome[3]] == []
    with psycopg.connect(urls.superuser) as conn:
        assert conn.execute("select count(*) from tenancy.organizations where name = 'Self-test'").fetchone() == (0,)
        assert conn.execute("select count(*) from audit.events").fetchone() == (0,)


@pytest.mark.parametrize("role", ["api", "worker"])
async def test_the_application_roles_pass_their_own_check(urls: Urls, role: str) -> None:
    conn = await asyncpg.connect(getattr(urls, role))
    try:
        await checks.refuse_unsafe(conn)
    finally:
        await conn.close()


@pytest.mark.parametrize("role", ["superuser", "migrator"])
async def test_a_role_above_row_security_is_refused_with_a_sentence(urls: Urls, role: str) -> None:
    conn = await asyncpg.connect(getattr(urls, role))
    try:
        with pytest.raises(checks.UnsafeRole, match="connect as app_api or app_worker"):
            await checks.refuse_unsafe(conn)
    finally:
        await conn.close()


async def test_a_session_that_begins_inside_an_organization_is_refused(urls: Urls) -> None:
    conn = await asyncpg.connect(urls.api, server_settings={"app.current_org_id": "x"})
    try:
        with pytest.raises(checks.UnsafeRole, match="begins inside an organization"):
            await checks.refuse_unsafe(conn)
    finally:
        await conn.close()
