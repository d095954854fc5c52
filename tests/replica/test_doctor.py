"""`mts doctor` says whether the replica is there, follows our primary, how far behind it is, and is as safe as that."""

from pathlib import Path

import pytest

from tests.cli.programs import environment, mts
from tests.replica.conftest import on
from tests.replica.standby import Standby, own_servers, standby_of
from tests.servers import TestServers, Urls


@pytest.fixture
def settings(own: TestServers, own_urls: Urls, tmp_path: Path) -> dict[str, str]:
    """Of an API beside the standby; no mail server, which is not asked about here."""
    own.valkey.start()
    return {
        "DATABASE_URL": own_urls.api, "REDIS_URL": own.redis_url("0"), "SMTP_URL": "smtp://127.0.0.1:1",
        "JWT_SECRET": "s" * 32, "DATA_DIR": str(tmp_path), "REPLICA_LAG_SECONDS": "2",
    }  # fmt: skip


def told(settings: dict[str, str], replica_url: str | None) -> list[str]:
    """The doctor's lines about the replica."""
    given = settings if replica_url is None else {**settings, "REPLICA_URL": replica_url}
    answer = mts("doctor", env=environment(**given))
    assert "Traceback" not in answer.stdout + answer.stderr
    return [line for line in answer.stdout.splitlines() if line[2:9] == "Replica"]


def test_a_standby_that_follows_passes_every_check_of_the_primary(
    settings: dict[str, str], standby: Standby, replica_url: str
) -> None:
    standby.catch_up()
    lines = told(settings, replica_url)
    assert f"127.0.0.1:{standby.port}" in lines[0]
    assert lines[0].endswith("a standby of the primary, answers to app_api")
    assert lines[1].startswith("✓ Replica      has come as far as the primary within ")
    answer = mts("doctor", env=environment(**settings, REPLICA_URL=replica_url)).stdout.splitlines()
    assert [line[15:] for line in answer if line[2:11] == "Isolation"] == [line[15:] for line in lines[2:]]
    assert {line[0] for line in lines} == {"✓"}


def test_without_one_it_says_so(settings: dict[str, str]) -> None:
    assert told(settings, None) == ["· Replica      none: the primary answers every read"]


def test_without_a_primary_there_is_nothing_to_compare(settings: dict[str, str], replica_url: str) -> None:
    away = {**settings, "DATABASE_URL": "postgresql://app_api:x@127.0.0.1:1/mts"}
    (line,) = told(away, replica_url)
    assert line.startswith("· Replica      not looked at")


def test_one_that_is_away_is_named_without_its_password(settings: dict[str, str]) -> None:
    (line,) = told(settings, "postgresql://app_api:secret@127.0.0.1:1/mts")
    assert line.startswith("✗ Replica      does not answer at 127.0.0.1:1: ")
    assert "secret" not in line


def test_one_that_stands_still_is_too_far_behind(settings: dict[str, str], standby: Standby, replica_url: str) -> None:
    standby.pause()
    try:
        standby.write_on_primary()
        lines = told(settings, replica_url)
    finally:
        standby.resume()
    assert lines[1].startswith("✗ Replica      is more than 2 s behind, by ")


def test_a_server_that_follows_nobody_or_somebody_else_is_told_apart(settings: dict[str, str], own_urls: Urls) -> None:
    (line,) = told(settings, own_urls.api)
    assert " is no standby: " in line
    with own_servers() as others, others.database("product") as name, standby_of(others) as theirs:
        (line,) = told(settings, on(others.urls(name).api, theirs))
    assert " is a standby of another server: " in line


def test_a_role_that_row_security_does_not_bind_is_found_there_too(
    settings: dict[str, str], own_urls: Urls, standby: Standby
) -> None:
    standby.catch_up()
    wrong = [line for line in told(settings, on(own_urls.superuser, standby)) if line[0] == "✗"]
    assert any("is a superuser" in line for line in wrong)
