"""The DBA's page is run as it stands, in one psql session, and every answer compared."""

import os
import re
import subprocess
from dataclasses import dataclass
from uuid import UUID, uuid4

import psycopg
import pytest

from cli.embedded.binaries import psql
from settings import ROOT
from tests.isolation.catalog import tenant_tables
from tests.isolation.planting import plant
from tests.servers import TestServers, Urls

FOLDER = ROOT / "sql" / "psql"
BLOCK = re.compile(r"^```sql\n(.*?)^```\n```\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SEPARATOR = "=====next====="
SHOW = "\\echo :organization\n"
ORGANIZATION = "01890000-0000-7000-8000-000000000001"


@dataclass(frozen=True)
class Command:
    sql: str
    expected: str


def commands() -> list[Command]:
    """The page's commands with their expected output."""
    return [Command(*block) for block in BLOCK.findall((FOLDER / "README.md").read_text())]


def same(expected: str, found: str) -> bool:
    """Whether the words of both agree; `…` stands for anything, and the width of columns is nobody's business."""
    pattern = r"\s+".join(re.escape(word).replace("…", ".*?") for word in words(expected).split())
    return re.fullmatch(pattern, words(found).strip(), re.DOTALL) is not None


def words(text: str) -> str:
    """The text without rules and without padding."""
    return re.sub(r"─+", "─", text).replace("│", " │ ").replace("┼", " ┼ ")


@pytest.fixture(scope="module")
def answers(urls: Urls) -> list[str]:
    """What psql answers to each command, as the operator."""
    _plant(urls)
    return run(urls, f"\n\\echo {SEPARATOR}\n".join(command.sql for command in commands())).split(SEPARATOR)


def run(urls: Urls, script: str) -> str:
    """All that psql prints, errors where they happen."""
    ran = subprocess.run(
        [psql(), urls.auditor], input=script, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=True,
        env={**os.environ, "PSQLRC": str(FOLDER / "psqlrc")}, timeout=60,
    )  # fmt: skip
    return ran.stdout


def _plant(urls: Urls) -> None:
    with psycopg.connect(urls.superuser) as conn:
        conn.execute(
            "insert into tenancy.organizations (organization_id, name, email) values (%s, 'Acme', 'a@example.com')",
            [ORGANIZATION],
        )
        conn.commit()
        conn.execute("update tenancy.organizations set plan = 'pro' where organization_id = %s", [ORGANIZATION])
        conn.execute("select identity.create_account(%s, 'x@example.com', 'x@example.com', null, '!')", [uuid4()])


def test_there_are_fifteen_commands() -> None:
    assert len(commands()) == 15


@pytest.mark.parametrize("number", range(15))
def test_the_answer_is_the_one_on_the_page(answers: list[str], number: int) -> None:
    command = commands()[number]
    assert same(command.expected, answers[number]), f"{command.sql}\n{answers[number]}"


def test_a_difference_between_the_books_is_a_row(servers: TestServers, worker_name: str) -> None:
    """An invoice of requests that nobody made, money that no payment brought, a payment that no webhook told of."""
    organization_id = UUID(ORGANIZATION)
    with servers.database(f"books_{worker_name}") as database:
        urls = servers.urls(database)
        with psycopg.connect(urls.superuser) as conn:
            plant(conn, tenant_tables(conn), organization_id)
            conn.execute("set session_replication_role = replica")
            conn.execute("update billing.billing_cycles set total_requests = 9, paid_minor = 3")
            conn.execute(
                "update billing.payments set succeeded_minor = amount_minor, status = 'succeeded', reference = 'r1'"
            )
        enter = f"call ops.as_org('{organization_id}', 'ticket 1');"
        rows = run(urls, f"\\pset format unaligned\n\\pset tuples_only on\n{enter}\n{commands()[13].sql}")
    assert "payment r1|∅|∅|∅|payment without an event" in rows
    assert re.search(r"invoice 1\|9\|-?[1-9]\d*\|-[1-9]\d*\|∅", rows), rows


def test_the_prompt_says_which_organization(urls: Urls) -> None:
    enter = f"call ops.as_org('{ORGANIZATION}', 'ticket 1');"
    found = run(urls, f"{SHOW}{enter}\n:here\n{SHOW}:leave\n{SHOW}")
    assert found.split() == ["none", "CALL", ORGANIZATION, "RESET", "none"]
