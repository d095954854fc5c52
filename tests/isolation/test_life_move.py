"""Export and import: one organization, all of it and nothing else, goes to another installation and works there."""

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID, uuid4

import psycopg
import pytest

from db.archive import ArchiveError
from db.organization_import import import_organization
from db.organization_life import LifeError
from tests.isolation.lives import WHO, Lively, export, fingerprints, live, send
from tests.servers import TestServers, Urls
from tests.stack import Stack, serving, settings_for
from tests.visitors import TurnableClock, Visitor

# Of the tables with rows of an organization, those that stay behind on purpose: log-ins, and what a day forgets.
LEFT = {"identity.sessions", "identity.first_requests"}


@pytest.fixture(scope="module")
async def ours(stack: Stack) -> Lively:
    """The organization that moves."""
    return await live(stack, "Ours")


@pytest.fixture(scope="module")
async def theirs(stack: Stack) -> Lively:
    """Another one, which must be nowhere."""
    return await live(stack, "Theirs")


@pytest.fixture
def elsewhere(servers: TestServers, worker_name: str) -> Iterator[Urls]:
    """An empty installation."""
    with servers.database(f"elsewhere_{worker_name}") as name:
        yield servers.urls(name)


async def test_an_organization_moves_with_all_it_has(
    stack: Stack, ours: Lively, theirs: Lively, elsewhere: Urls, tmp_path: Path, redis_url: str
) -> None:
    manifest = export(stack.urls, ours.id, tmp_path / "a.zip")
    before = fingerprints(stack.urls, ours.id)
    triggers = _triggers(elsewhere)
    import_organization(elsewhere.migrator, tmp_path / "a.zip", **WHO)
    after = fingerprints(elsewhere, ours.id)
    assert {table: rows for table, rows in after.items() if table not in LEFT} == {
        table: rows for table, rows in before.items() if table not in LEFT
    }
    assert before.keys() - manifest.counts.keys() == LEFT
    assert manifest.not_exported == []
    moved = ("usage.usage_records", "messaging.messages", "billing.payments", "billing.credit_notes")
    for table in (*moved, "identity.api_key_directory"):
        assert manifest.counts[table] > 0, table
    assert _head(elsewhere, ours.id) == (manifest.chain_position, manifest.chain_hash, True)
    assert _triggers(elsewhere) == triggers
    assert _findings(elsewhere) == []
    await _works(elsewhere, ours, theirs, redis_url, tmp_path)


def _triggers(urls: Urls) -> list[tuple[object, ...]]:
    with psycopg.connect(urls.superuser) as conn:
        return conn.execute(
            "select tgrelid::regclass::text, tgname, tgenabled from pg_trigger where not tgisinternal order by 1, 2"
        ).fetchall()


def _findings(urls: Urls) -> list[tuple[object, ...]]:
    with psycopg.connect(urls.auditor) as conn:
        return conn.execute("select * from ops.findings").fetchall()


def _head(urls: Urls, organization_id: UUID) -> tuple[int, str, bool]:
    with psycopg.connect(urls.auditor) as conn:
        conn.execute("select set_config('app.current_org_id', %s, true)", [str(organization_id)])
        head = conn.execute("select position, encode(hash, 'hex') from audit.chain_heads").fetchone()
        intact = conn.execute("select is_intact from audit.verify_chain(%s)", [organization_id]).fetchone()
    assert head
    assert intact
    return head[0], head[1], intact[0]


async def _works(elsewhere: Urls, ours: Lively, theirs: Lively, redis_url: str, folder: Path) -> None:
    """There its owner logs in with his password, its key works, and its trail goes on."""
    async with serving(settings_for(elsewhere.api, redis_url, 1, folder), TurnableClock()) as (http, _):
        owner, stranger = Visitor(http, "10.99.1.7"), Visitor(http, "10.99.2.7")
        answer = await owner.post("/auth/login", {"email": ours.owner.email, "password": ours.owner.password})
        owner.token = answer.data["token"]
        assert (await owner.get("/auth/me")).data["organization"]["id"] == str(ours.id)
        assert (await send(stranger, ours.key)).code == "OK"
        assert (await send(stranger, theirs.key)).code == "INVALID_API_KEY"
        position = _head(elsewhere, ours.id)[0]
        assert (await owner.post("/keys", {"name": "made there", "scopes": ["usage:read"]})).status == 201
    assert _head(elsewhere, ours.id)[0] > position


async def test_nothing_of_another_organization_is_in_the_archive(
    stack: Stack, ours: Lively, theirs: Lively, tmp_path: Path
) -> None:
    export(stack.urls, ours.id, tmp_path / "a.zip")
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        text = "".join(archive.read(name).decode() for name in archive.namelist())
    assert [word for word in theirs.words if word in text] == []
    assert [word for word in ours.words if word not in text] == []
    assert (tmp_path / "a.zip").stat().st_mode & 0o777 == 0o600


async def test_an_export_stands_in_the_trail_with_who_and_why(stack: Stack, ours: Lively, tmp_path: Path) -> None:
    export(stack.urls, ours.id, tmp_path / "a.zip")
    found = stack.rows(
        "select operator, reason, database_role from audit.accesses where organization_id = %s and kind = 'export'",
        ours.id,
    )
    assert (*WHO.values(), "app_exporter") in found


def test_an_unknown_organization_leaves_no_file(urls: Urls, tmp_path: Path) -> None:
    with pytest.raises(LifeError, match="no organization"):
        export(urls, uuid4(), tmp_path / "a.zip")
    assert list(tmp_path.iterdir()) == []


async def test_a_second_import_is_refused(stack: Stack, ours: Lively, elsewhere: Urls, tmp_path: Path) -> None:
    export(stack.urls, ours.id, tmp_path / "a.zip")
    import_organization(elsewhere.migrator, tmp_path / "a.zip", **WHO)
    with pytest.raises(LifeError, match="is here already"):
        import_organization(elsewhere.migrator, tmp_path / "a.zip", **WHO)


async def test_where_others_live_nothing_is_imported(
    stack: Stack, ours: Lively, theirs: Lively, elsewhere: Urls, tmp_path: Path
) -> None:
    export(stack.urls, ours.id, tmp_path / "a.zip")
    export(stack.urls, theirs.id, tmp_path / "b.zip")
    import_organization(elsewhere.migrator, tmp_path / "b.zip", **WHO)
    with pytest.raises(LifeError, match="into an empty one"):
        import_organization(elsewhere.migrator, tmp_path / "a.zip", **WHO)


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [("migrations", "0" * 64, "the same release"), ("format_version", 9, "Format 9"), ("chain_hash", "00", "chain")],
)
async def test_an_archive_that_does_not_fit_changes_nothing(
    stack: Stack, ours: Lively, elsewhere: Urls, tmp_path: Path, field: str, value: object, sentence: str
) -> None:
    export(stack.urls, ours.id, tmp_path / "a.zip")
    _rewrite(tmp_path / "a.zip", tmp_path / "b.zip", lambda manifest: manifest | {field: value})
    with pytest.raises((LifeError, ArchiveError), match=sentence):
        import_organization(elsewhere.migrator, tmp_path / "b.zip", **WHO)
    assert _is_empty(elsewhere)


async def test_a_changed_row_is_noticed(stack: Stack, ours: Lively, elsewhere: Urls, tmp_path: Path) -> None:
    export(stack.urls, ours.id, tmp_path / "a.zip")
    _rewrite(tmp_path / "a.zip", tmp_path / "b.zip", lambda manifest: manifest, {"rows/tenancy.users": b"owner"})
    with pytest.raises(ArchiveError, match=r"tenancy\.users"):
        import_organization(elsewhere.migrator, tmp_path / "b.zip", **WHO)
    assert _is_empty(elsewhere)


def _rewrite(source: Path, target: Path, change, replaced: dict[str, bytes] | None = None) -> None:  # type: ignore[no-untyped-def]
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name == "manifest.json":
                content = json.dumps(change(json.loads(content))).encode()
            elif name in (replaced or {}):
                content = content.replace((replaced or {})[name], b"admin")
            new.writestr(name, content)


def _is_empty(urls: Urls) -> bool:
    with psycopg.connect(urls.superuser) as conn:
        tables = ("tenancy.users", "identity.accounts", "identity.organization_directory", "audit.certificates")
        return all(conn.execute(f"select from {table}".encode()).rowcount == 0 for table in tables)
