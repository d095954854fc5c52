"""Roles and rights are exactly what sql/grants/manifest.toml says: nothing missing, nothing more."""

import tomllib
from typing import Any

import psycopg

from tests.isolation.manifest import MANIFEST, live
from tests.servers import Urls


def flat(manifest: dict[str, Any]) -> set[tuple[str, str, str]]:
    """Every statement of a manifest as (who, what, value)."""
    return {
        (role, subject, str(value))
        for part in ("roles", "grants")
        for role, entries in manifest[part].items()
        for subject, value in entries.items()
    }


def test_roles_and_rights_are_exactly_those_of_the_manifest(urls: Urls) -> None:
    wanted, found = flat(tomllib.loads(MANIFEST.read_text())), flat(live(urls.auditor))
    assert not found - wanted, "not in sql/grants/manifest.toml"
    assert not wanted - found, "in sql/grants/manifest.toml, not in the database"


OWNERS = """
select distinct f.owner from ops.reviewed_functions f join ops.role_reach r on r.role = f.owner
where r.bypasses_row_security
"""


def test_whoever_is_above_row_security_has_a_reason_for_each_right(urls: Urls) -> None:
    """For the attribute itself, and for every right on a table that the owner of a function holds."""
    manifest = tomllib.loads(MANIFEST.read_text())
    with psycopg.connect(urls.auditor) as conn:
        owners = [row[0] for row in conn.execute(OWNERS)]
    wanted = {(role, "bypassrls") for role, attributes in manifest["roles"].items() if attributes["bypassrls"]}
    wanted |= {(owner, right) for owner in owners for right in manifest["grants"][owner] if right.startswith("table ")}
    found = {(role, subject) for role, reasons in manifest["reasons"].items() for subject in reasons}
    assert owners
    assert found == wanted
