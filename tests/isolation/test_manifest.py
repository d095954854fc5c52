"""Roles and rights are exactly what sql/grants/manifest.toml says: nothing missing, nothing more."""

import tomllib
from typing import Any

from settings import ROOT
from tests.isolation.manifest import live
from tests.servers import Urls

MANIFEST = ROOT / "sql" / "grants" / "manifest.toml"


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
