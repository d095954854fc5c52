"""After each migration a new foreign key is counted again: its validation saw the rows of one organization alone."""

import shutil
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from db import migrate
from tests.servers import TestServers

# As a migration by the owner of the tables: forced row security binds it, and its context is somebody else's.
MIGRATION = """-- depends: 0080_counted_until
set local role app_owner;
set local app.current_org_id = '00000000-0000-7000-8000-000000000000';
alter table messaging.suppressions add constraint suppressions_id_fkey foreign key (organization_id, id)
    references tenancy.users (organization_id, id);
reset role;
"""


def add_suppression(conn: psycopg.Connection, organization_id: object) -> None:
    conn.execute("set session_replication_role = replica")
    conn.execute(
        "insert into messaging.suppressions (organization_id, id, channel, recipient, source, reason) "
        "values (%s, %s, 'email', 'a@example.com', 'manual', 'bounced')",
        [organization_id, uuid4()],
    )


@pytest.mark.parametrize("is_broken", [False, True])
def test_a_key_that_rows_break_is_named(
    servers: TestServers, worker_name: str, tmp_path: Path, is_broken: bool
) -> None:
    directory = tmp_path / "migrations"
    shutil.copytree(migrate.MIGRATIONS, directory)
    (directory / "9999_a_new_key.sql").write_text(MIGRATION)
    with servers.database(f"orphans_{worker_name}") as database:
        urls = servers.urls(database)
        if is_broken:
            with psycopg.connect(urls.superuser) as conn:
                add_suppression(conn, uuid4())
            with pytest.raises(migrate.MigrationError, match=r"messaging\.suppressions suppressions_id_fkey: 1"):
                migrate.up(urls.migrator, directory)
        else:
            assert migrate.up(urls.migrator, directory) == ["9999_a_new_key"]
