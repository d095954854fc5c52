"""Reads roles and rights from a live catalog in the shape of sql/grants/manifest.toml; as a program it prints it.

python -m tests.isolation.manifest "$(./mts psql auditor --url)" > new.toml && mv new.toml sql/grants/manifest.toml
"""

import json
import sys
import tomllib
from typing import Any

import psycopg
from psycopg.rows import dict_row

from settings import ROOT

MANIFEST = ROOT / "sql" / "grants" / "manifest.toml"
HEADER = """\
# Every role of the installation with its attributes and memberships, and every right that anybody but an owner holds.
# A test compares it with the live catalog, both ways: what is not written here does not exist.
# Reasons are written by hand.
"""

ROLES = """
select r.rolname as name, r.rolcanlogin as login, r.rolsuper as superuser, r.rolbypassrls as bypassrls,
       r.rolinherit as inherit,       r.rolcreaterole or r.rolcreatedb or r.rolreplication as creates,
       array(select m.rolname::text from pg_auth_members a join pg_roles m on m.oid = a.roleid
             where a.member = r.oid order by 1) as member_of,
       coalesce((select s.setconfig from pg_db_role_setting s
                 where s.setrole = r.oid and s.setdatabase = 0), '{}') as settings
from pg_roles r
where r.rolname not like 'pg\\_%' and not (r.rolsuper and r.rolname !~ '^(app_|job_|usage_|audit_|isolation_)')
order by 1
"""
GRANTS = "select coalesce(role, 'PUBLIC') as role, kind, object, rights from ops.grants order by 1, 2, 3"


def live(url: str) -> dict[str, Any]:
    """Roles and grants as they are in the database of `url`."""
    with psycopg.connect(url, row_factory=dict_row) as conn:
        roles = {row.pop("name"): row for row in conn.execute(ROLES)}
        grants: dict[str, dict[str, str]] = {}
        for row in conn.execute(GRANTS):
            grants.setdefault(row["role"], {})[f"{row['kind']} {row['object']}"] = row["rights"]
    return {"roles": roles, "grants": grants}


def written(manifest: dict[str, Any]) -> str:
    """The manifest as TOML."""
    lines = [HEADER]
    for role, attributes in manifest["roles"].items():
        lines.append(f"[roles.{role}]")
        lines += [f"{name} = {json.dumps(value)}" for name, value in attributes.items()]
        lines.append("")
    for part in ("grants", "reasons"):
        for role, entries in manifest[part].items():
            lines.append(f"[{part}.{role}]")
            lines += [f"{json.dumps(name)} = {json.dumps(text, ensure_ascii=False)}" for name, text in entries.items()]
            lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    reasons = tomllib.loads(MANIFEST.read_text())["reasons"]
    sys.stdout.write(written(live(sys.argv[1]) | {"reasons": reasons}))
