"""What the sandboxes remember, in one SQLite file, so that a restart keeps every session, payment and message."""

import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SCHEMA = """
create table if not exists objects (
    seq integer primary key autoincrement, kind text not null, id text not null, body text not null, unique (kind, id)
);
create index if not exists objects_intent on objects (kind, json_extract(body, '$.payment_intent'));
create index if not exists objects_reference on objects (kind, json_extract(body, '$.reference'));
create index if not exists objects_transaction on objects (kind, json_extract(body, '$.transaction'));
create table if not exists answers (
    provider text, key text, fingerprint text, status integer, body text, primary key (provider, key)
);
create table if not exists steps (
    id integer primary key, provider text, action text, subject text, due_at real
);
create table if not exists deliveries (
    id integer primary key, provider text, event_id text, url text, content_type text, body blob,
    state text not null default 'waiting', attempts integer not null default 0, next_at real, result text
);
create index if not exists deliveries_due on deliveries (provider, state, next_at);
"""

Body = dict[str, Any]


class Store:
    """Documents by kind and id. One connection, used by the event loop's thread only."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self.connection.row_factory = sqlite3.Row
        self.connection.execute("pragma journal_mode = wal")
        self.connection.execute("pragma synchronous = normal")
        self.connection.executescript(SCHEMA)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing; nothing may be awaited inside."""
        self.connection.execute("begin immediate")
        try:
            yield
        except BaseException:
            self.connection.execute("rollback")
            raise
        self.connection.execute("commit")

    def put(self, kind: str, body: Body) -> None:
        """Insert or replace the document named by its own `id`."""
        self.connection.execute(
            "insert into objects (kind, id, body) values (?, ?, ?)"
            " on conflict (kind, id) do update set body = excluded.body",
            (kind, str(body["id"]), json.dumps(body)),
        )

    def get(self, kind: str, key: str) -> Body | None:
        """One document, None when there is none."""
        row = self.connection.execute("select body from objects where kind = ? and id = ?", (kind, key)).fetchone()
        return json.loads(row["body"]) if row else None

    def one(self, kind: str, where: Mapping[str, Any]) -> Body | None:
        """The newest document with these top-level values, None when there is none."""
        return next(iter(self.select(kind, where, limit=1)), None)

    def select(
        self,
        kind: str,
        where: Mapping[str, Any] | None = None,
        *,
        ranges: Mapping[str, Any] | None = None,
        after: str | None = None,
        before: str | None = None,
        limit: int = -1,
        offset: int = 0,
    ) -> list[Body]:
        """Newest first. `ranges` maps `field operator` to a bound; `after` and `before` are ids to start from."""
        condition, values = _matching(kind, where or {}, ranges or {})
        if after is not None:
            condition += " and seq < (select seq from objects where kind = ? and id = ?)"
            values += [kind, after]
        if before is not None:
            condition += " and seq > (select seq from objects where kind = ? and id = ?)"
            values += [kind, before]
        text = f"select body from objects where {condition} order by seq desc limit ? offset ?"  # noqa: S608 - see below
        rows = self.connection.execute(text, [*values, limit, offset]).fetchall()
        return [json.loads(row["body"]) for row in rows]

    def count(self, kind: str, where: Mapping[str, Any] | None = None, ranges: Mapping[str, Any] | None = None) -> int:
        """How many documents `select` would give."""
        condition, values = _matching(kind, where or {}, ranges or {})
        text = f"select count(*) from objects where {condition}"  # noqa: S608 - see below
        return int(self.connection.execute(text, values).fetchone()[0])

    def answer(self, provider: str, key: str) -> sqlite3.Row | None:
        """The stored answer of an idempotency key."""
        text = "select fingerprint, status, body from answers where provider = ? and key = ?"
        row: sqlite3.Row | None = self.connection.execute(text, (provider, key)).fetchone()
        return row

    def keep_answer(self, provider: str, key: str, fingerprint: str, status: int, body: str) -> None:
        """Remember the answer of an idempotency key."""
        values = (provider, key, fingerprint, status, body)
        self.connection.execute("insert into answers values (?, ?, ?, ?, ?)", values)

    def close(self) -> None:
        """Close the file."""
        self.connection.close()


def _matching(kind: str, where: Mapping[str, Any], ranges: Mapping[str, Any]) -> tuple[str, list[Any]]:
    """The condition and its values. Fields and operators are the sandbox's own words; every value is bound."""
    conditions, values = ["kind = ?"], [kind]
    for field, value in where.items():
        conditions.append(f"json_extract(body, '$.{field}') = ?")
        values.append(value)
    for bound, value in ranges.items():
        field, operator = bound.split(" ")
        conditions.append(f"json_extract(body, '$.{field}') {operator} ?")
        values.append(value)
    return " and ".join(conditions), values
