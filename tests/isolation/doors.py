"""Opens every door of the directories as a role that stands in another organization, and looks what comes of it."""

import secrets
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import psycopg
from psycopg import sql

from tests.isolation.planting import Row

DIRECTORIES = "select name from ops.tables where kind = 'directory' order by name"
DOORS = """
select p.proname::text, p.proargnames[1:p.pronargs], array(select format_type(t, null) from unnest(p.proargtypes) t)
from pg_proc p
where p.pronamespace = 'identity'::regnamespace and has_function_privilege(%s, p.oid, 'execute')
order by 1
"""


PLANTED = """
insert into identity.organization_directory (organization_id) values (%(organization)s);
insert into identity.accounts (id, email, email_key, password_hash) values (%(account)s, %(email)s, %(email)s, '!');
insert into identity.seat_directory (account_id, organization_id, user_id)
values (%(account)s, %(organization)s, %(user)s);
insert into identity.api_key_directory (digest, organization_id, api_key_id)
values (%(digest)s, %(organization)s, %(key)s);
insert into identity.invitation_directory (token_hash, organization_id, invitation_id)
values (%(token_hash)s, %(organization)s, %(invitation)s);
insert into identity.payment_directory (provider, reference, organization_id, payment_id)
values (%(provider)s, %(reference)s, %(organization)s, %(payment)s);
insert into identity.work_directory (kind, organization_id, slot) values (%(kind)s, %(organization)s, 1);
insert into identity.sessions (id, account_id, organization_id, user_id, user_agent, expires_at)
values (%(session)s, %(account)s, %(organization)s, %(user)s, %(agent)s, now() + interval '1 day');
insert into identity.first_requests (request_key, request_hash, organization_id, user_id, created_at)
values (%(request_key)s, %(request_hash)s, %(organization)s, %(user)s, now());
"""


def plant_directories(url: str) -> Row:
    """A value of the victim's for each word that ends the name of an argument; rows in every directory lead to it."""
    mine: Row = {
        word: uuid4() for word in ("organization", "account", "user", "session", "key", "invitation", "payment")
    }
    mine |= {word: secrets.token_bytes(32) for word in ("digest", "token_hash", "request_key", "request_hash")}
    mine |= {
        "kind": "messages",
        "provider": "stripe",
        "reference": "cs_victim",
        "email": "victim@example.com",
        "agent": "Victim/1",
    }
    with psycopg.connect(url) as conn:
        psycopg.ClientCursor(conn).execute(PLANTED, mine)
    return mine


def kept(conn: psycopg.Connection, organization_id: Any) -> list[Any]:
    """Every row of the directories that belongs to an organization."""
    tables = [row[0] for row in conn.execute(DIRECTORIES).fetchall()]
    rows = []
    for table in tables:
        statement = sql.SQL("select {}, to_jsonb(t) from {} t where to_jsonb(t) ->> 'organization_id' = %s order by 2")
        rows += conn.execute(
            statement.format(sql.Literal(table), sql.Identifier(*table.split("."))), [str(organization_id)]
        ).fetchall()
    return rows


def value(name: str, type_: str, door: str, mine: Row) -> Any:
    """What the attacker gives for an argument: the victim's own, as far as its name tells."""
    if type_ == "timestamp with time zone":
        return datetime(2000, 1, 1, tzinfo=UTC)
    if type_ in ("integer", "boolean"):
        return 100 if type_ == "integer" else True
    if name == "after":
        return "00000000-0000-0000-0000-000000000000"
    if type_ == "bytea":
        return mine["digest" if "key" in door else "request_key" if "request" in door else "token_hash"]
    words = [word for word in mine if f"_{word}" in f"_{name}"] or ["session" if "session" in door else "account"]
    if name.startswith("except"):
        return uuid4()
    return mine[words[-1]] if type_ == "uuid" else str(mine.get(words[-1], ""))


def tried(conn: psycopg.Connection, role: str, mine: Row) -> Iterator[tuple[str, bool, bool]]:
    """Each door that the role may open: what it is called, whether it shows the victim and whether it changes it."""
    before = kept(conn, mine["organization"])
    for door, names, types in conn.execute(DOORS, [role]).fetchall():
        values = [value(name, type_, door, mine) for name, type_ in zip(names or [], types, strict=True)]
        arguments = sql.SQL(", ").join(sql.SQL("%s::" + type_) for type_ in types)
        call = sql.SQL("select string_agg(f::text, ' ') from identity.{}({}) f").format(sql.Identifier(door), arguments)
        with conn.transaction(force_rollback=True):
            conn.execute("select set_config('app.current_org_id', %s, true)", [str(uuid4())])
            answer = _answer(conn, role, call, values)
            shown = {name for name, value in mine.items() if value not in values and str(value) in answer}
            yield door, bool(shown - {"kind", "provider"}), kept(conn, mine["organization"]) != before


def _answer(conn: psycopg.Connection, role: str, call: sql.Composed, values: list[Any]) -> str:
    """What a role is told; nothing when a row of its own making collides with one that is there."""
    conn.execute(sql.SQL("set local role {}").format(sql.Identifier(role)))
    try:
        with conn.transaction():
            return str(conn.execute(call, values).fetchone())
    except psycopg.errors.IntegrityError:
        return ""
    finally:
        conn.execute("reset role")
