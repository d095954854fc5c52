"""A whole installation, loaded by a client, loses nothing it has answered when one of its parts is killed."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import httpx
import psycopg
import pytest

from cli.embedded.ports import free_port
from cli.instance import Instance, live_instance
from cli.tour import installation

pytestmark = [pytest.mark.slow, pytest.mark.timeout(500)]

PASSWORD = "correct horse battery staple"
SENT_BEFORE_EACH_KILL = 15
RECOVERY_SECONDS = 340.0  # what a killed worker had in hand is taken over after five minutes


@dataclass
class Load:
    """A client that sends e-mails one after the other, repeating an unanswered one under the same Idempotency-Key."""

    base_url: str
    key: str
    answered: dict[str, str] = field(default_factory=dict)
    troubles: int = 0
    stop: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Send until told to stop; every refusal must be a clear 503 or a cut connection."""
        with httpx.Client(base_url=self.base_url, headers={"X-API-Key": self.key}, timeout=20) as client:
            while not self.stop.is_set():
                self._send(client, f"reader-{uuid4().hex}@example.com")

    def _send(self, client: httpx.Client, to: str) -> None:
        body = {"to": to, "type": "email", "message": "Nothing is lost."}
        while not self.stop.is_set():
            try:
                answer = client.post("/api/v1/messages/send", json=body, headers={"Idempotency-Key": to})
            except httpx.TransportError:
                self.troubles += 1
                continue
            if answer.status_code == 200:
                self.answered[to] = answer.json()["data"]["message_id"]
                return
            assert answer.status_code == 503, answer.text
            self.troubles += 1
            self.stop.wait(0.05)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Instance, Path]]:
    """An installation of its own, kept running while its parts are killed."""
    data_dir = tmp_path_factory.mktemp("installation") / "data"
    with installation(data_dir, free_port()) as (instance, _):
        yield instance, data_dir


@pytest.fixture(scope="module")
def key(running: tuple[Instance, Path]) -> str:
    """A key of an organization without a limit that would get in the way."""
    instance, _ = running
    with httpx.Client(base_url=f"{instance.base_url}/api/v1", timeout=20) as client:
        body = {"organization_name": "Unbroken", "email": "owner@example.com", "password": PASSWORD}
        registered = client.post("/auth/register", json=body).json()["data"]
        with psycopg.connect(instance.database_urls["superuser"]) as conn:
            conn.execute("select set_config('app.current_org_id', %s, true)", [registered["organization"]["id"]])
            conn.execute("update tenancy.organizations set plan = 'pro', rate_limit_override = 1000000")
        created = client.post(
            "/keys", json={"name": "load"}, headers={"Authorization": f"Bearer {registered['token']}"}
        )
    return str(created.json()["data"]["key"])


@pytest.mark.parametrize("part", ["worker", "valkey", "postgresql", "api"])
def test_killing_a_part_loses_nothing_that_was_answered(running: tuple[Instance, Path], key: str, part: str) -> None:
    instance, data_dir = running
    load = Load(instance.base_url, key)
    sender = threading.Thread(target=load.run)
    sender.start()
    try:
        _wait(lambda: len(load.answered) >= SENT_BEFORE_EACH_KILL, "messages flow")
        _kill(data_dir, part)
        reached = len(load.answered)
        _wait(lambda: len(load.answered) >= reached + SENT_BEFORE_EACH_KILL, f"messages flow again without {part}")
    finally:
        load.stop.set()
        sender.join()
    _wait(lambda: set(load.answered) <= _received(instance), "every answered message has arrived")
    _every_answer_is_in_the_books(instance, load)


def _kill(data_dir: Path, part: str) -> None:
    instance = live_instance(data_dir)
    assert instance is not None
    pid = instance.pids[part]
    os.kill(pid, signal.SIGKILL)
    _wait(lambda: (now := live_instance(data_dir)) is not None and now.pids.get(part, pid) != pid, f"{part} is back")


def _received(instance: Instance) -> set[str]:
    mails = httpx.get(f"{instance.sandbox['mail']}/api/messages", params={"limit": 1000}, timeout=20).json()
    return {recipient for mail in mails for recipient in ([mail["to"]] if isinstance(mail["to"], str) else mail["to"])}


def _every_answer_is_in_the_books(instance: Instance, load: Load) -> None:
    """Each answered message is there once and was charged once; at most one unanswered one is there beside them."""
    ids = [message_id.removeprefix("msg_") for message_id in load.answered.values()]
    with psycopg.connect(instance.database_urls["superuser"]) as conn:
        found = conn.execute("select count(*) from messaging.messages where id = any (%s::uuid[])", [ids]).fetchone()
        twice = conn.execute("select recipient from messaging.messages group by 1 having count(*) > 1").fetchall()
        sent, charged = conn.execute(
            "select (select count(*) from messaging.messages),"
            " (select count(*) from usage.usage_records where is_billable and endpoint like '%%/send')"
        ).fetchone() or (0, 0)
    assert found == (len(ids),)
    assert twice == []
    assert charged <= sent
    assert charged >= len(ids)


def _wait(is_so: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + RECOVERY_SECONDS
    while not is_so():
        assert time.monotonic() < deadline, f"not within {RECOVERY_SECONDS:.0f} s: {what}"
        time.sleep(0.05)
