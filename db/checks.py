"""What a process asks about itself before it serves: is this role bound by row security, and is every table secured?"""

from dataclasses import dataclass
from typing import Any

from db.statements import load

queries = load("checks")

# The first minor of each major without a known way around row security that is open here, by the PostgreSQL project's
# own list. A plan that outlives a change of role: CVE-2023-2455 (15.3), CVE-2024-10976 (15.9, 16.5, 17.1). MERGE past
# policies: CVE-2023-39418 (15.4). Statistics past policies: CVE-2024-4317 (15.7, 16.3), CVE-2025-8713 (15.14, 16.10,
# 17.6). ON CONFLICT asking its condition of a hidden row, CVE-2026-120154 (18.7), needs a unique key on which two
# organizations can meet: the catalog lint refuses one, and the isolation suite tries (`conflict_oracle`).
SAFE_SERVERS = {15: 14, 16: 10, 17: 6, 18: 0}
OLDEST_SERVER = 15


@dataclass(frozen=True, slots=True)
class Verdict:
    """One check: its name, whether it passed, and a sentence that says what was found and what to do."""

    name: str
    ok: bool
    reason: str


class UnsafeRole(Exception):
    """The process must not run on this connection; the text says why and what to do."""


async def refuse_unsafe(conn: Any) -> None:
    """Raise UnsafeRole with one clear sentence when row security would not hold for this connection."""
    failed = [verdict for verdict in await verdicts(conn) if not verdict.ok]
    if failed:
        raise UnsafeRole(" ".join(verdict.reason for verdict in failed))


async def verdicts(conn: Any) -> list[Verdict]:
    """Every check of the role and the database behind `conn`, in the order in which they matter; needs no rights."""
    role = await queries.connection(conn)
    found = [_superuser(role), _bypass(role), await _owner(conn, role), await _reach(conn, role), _server(role)]
    found += [await _default_context(conn), await _session_context(conn)]
    if not await queries.is_migrated(conn):
        return [*found, Verdict("migrated", False, "The database has no schema yet: run `mts migrate up`.")]
    return [*found, await _coverage(conn)]


def _superuser(role: Any) -> Verdict:
    if role["is_superuser"]:
        sentence = f"{role['role']} is a superuser, whom row security does not bind: connect as app_api or app_worker."
        return Verdict("superuser", False, sentence)
    return Verdict("superuser", True, f"{role['role']} is no superuser.")


def _bypass(role: Any) -> Verdict:
    if role["bypasses_row_security"]:
        sentence = f"{role['role']} has BYPASSRLS: connect as app_api or app_worker, or take it away."
        return Verdict("bypassrls", False, sentence)
    return Verdict("bypassrls", True, f"{role['role']} is bound by row security.")


async def _owner(conn: Any, role: Any) -> Verdict:
    owned = [row["name"] async for row in queries.owned_tables(conn)]
    if owned:
        sentence = f"{role['role']} owns {', '.join(owned)} and could switch row security off: give it to app_owner."
        return Verdict("owner", False, sentence)
    return Verdict("owner", True, f"{role['role']} owns no table.")


async def _reach(conn: Any, role: Any) -> Verdict:
    dangerous = [row["role"] async for row in queries.dangerous_roles(conn)]
    if dangerous and not role["is_superuser"]:
        sentence = f"{role['role']} can become {', '.join(dangerous)}, above row security: revoke the membership."
        return Verdict("reach", False, sentence)
    return Verdict("reach", True, f"{role['role']} cannot become a role above row security.")


def _server(role: Any) -> Verdict:
    major, minor = divmod(role["server_version"], 10_000)
    if major < OLDEST_SERVER or minor < SAFE_SERVERS.get(major, 0):
        wanted = f"{major}.{SAFE_SERVERS[major]}" if major in SAFE_SERVERS else f"{OLDEST_SERVER}.14"
        sentence = f"PostgreSQL {major}.{minor} has known row-security leaks: upgrade to {wanted} or newer."
        return Verdict("server", False, sentence)
    return Verdict("server", True, f"PostgreSQL {major}.{minor} has no known row-security leak.")


async def _default_context(conn: Any) -> Verdict:
    found = [f"{row['name']} on {row['holder']}" async for row in queries.context_defaults(conn)]
    if found:
        sentence = f"A default would put every session into an organization: reset {', '.join(found)}."
        return Verdict("context default", False, sentence)
    return Verdict("context default", True, "No role and no database brings a context of its own.")


async def _session_context(conn: Any) -> Verdict:
    if await queries.context_now(conn):
        sentence = "A session begins inside an organization: remove app.current_org_id from the URL and from PGOPTIONS."
        return Verdict("session context", False, sentence)
    return Verdict("session context", True, "A session begins outside every organization.")


async def _coverage(conn: Any) -> Verdict:
    opened = [f"{row['name']} ({row['verdict']})" async for row in queries.open_tables(conn)]
    if opened:
        sentence = f"Row security does not hold on {'; '.join(opened)}: run `select app.secure_tenant_table('…')`."
        return Verdict("coverage", False, sentence)
    return Verdict("coverage", True, "Every tenant table has forced row security and exactly its canonical policies.")
