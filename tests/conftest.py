"""The fixtures that every test may use: a database of its own, connection URLs by role, a Redis database of its own.

- `servers`        the run's PostgreSQL and Valkey (started on first use, or by pytest itself under xdist)
- `database_name`  a fresh migrated database for the test module
- `urls`           `urls.api`, `.worker`, `.migrator`, `.auditor`, `.exporter`, `.superuser` for that database
- `redis_url`      an empty logical Redis database for the test module

A test that kills or stops a server starts its own (`EmbeddedPostgres(tmp_path / "postgres", durable=False)`).
"""

import os
import re
from collections.abc import Iterator

import pytest
import redis

from tests.servers import FOLDER_VARIABLE, TestServers, Urls

SERVERS = pytest.StashKey[TestServers]()


def pytest_configure(config: pytest.Config) -> None:
    """Under xdist the controlling process starts the servers, before its workers."""
    if config.getoption("numprocesses", None) and not hasattr(config, "workerinput"):
        config.stash[SERVERS] = TestServers.begin()


def pytest_unconfigure(config: pytest.Config) -> None:
    """The process that began the servers ends them."""
    if SERVERS in config.stash:
        config.stash[SERVERS].end()
        del config.stash[SERVERS]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The score of tests/isolation/test_mutations.py: each of its tests breaks one guard, or as many as it says."""
    noticed = broken = 0
    for outcome in ("passed", "failed"):
        for report in terminalreporter.stats.get(outcome, []):
            if "isolation/test_mutations.py" in report.nodeid and report.when == "call":
                said = dict(report.user_properties).get("mutations", [int(report.passed), 1])
                noticed, broken = noticed + said[0], broken + said[1]
    if broken:
        score = 100 * noticed / broken
        terminalreporter.write_line(f"mutation score: {noticed} of {broken} broken guards noticed, {score:.4g} %")


@pytest.fixture(scope="session")
def servers(pytestconfig: pytest.Config) -> TestServers:
    """The run's servers."""
    if SERVERS in pytestconfig.stash:
        return pytestconfig.stash[SERVERS]
    if hasattr(pytestconfig, "workerinput") and FOLDER_VARIABLE in os.environ:
        return TestServers.join()
    pytestconfig.stash[SERVERS] = TestServers.begin()
    return pytestconfig.stash[SERVERS]


@pytest.fixture(scope="session")
def worker_name(request: pytest.FixtureRequest) -> str:
    """The name of this xdist worker (`gw0`, …), or `main`."""
    return str(getattr(request.config, "workerinput", {}).get("workerid", "main"))


@pytest.fixture(scope="module")
def database_name(servers: TestServers, worker_name: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """A fresh, migrated database for this module, dropped afterwards."""
    module = re.sub(r"\W+", "_", request.node.name.removesuffix(".py").removeprefix("tests/"))[-40:]
    with servers.database(f"{worker_name}_{module}") as name:
        yield name


@pytest.fixture(scope="module")
def urls(servers: TestServers, database_name: str) -> Urls:
    """One connection URL for each role, for this module's database."""
    return servers.urls(database_name)


@pytest.fixture(scope="module")
def redis_url(servers: TestServers, worker_name: str) -> str:
    """An empty Redis database of this worker's own."""
    url = servers.redis_url(worker_name)
    with redis.Redis.from_url(url) as client:
        client.flushdb()
    return url
