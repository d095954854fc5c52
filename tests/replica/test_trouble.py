"""A standby that is gone, frozen or too far behind, and a Redis that has forgotten: answers go on, none is stale."""

import asyncio
import time

import httpx
import psycopg
import pytest

from tests.replica.conftest import BOUND, House, Scene, until
from tests.replica.standby import execute


async def timed_name(scene: Scene, house: House) -> tuple[str, float]:
    began = time.monotonic()
    return await house.name(scene.here), time.monotonic() - began


async def test_a_killed_standby_costs_no_answer_and_is_read_again_when_it_is_back(
    scene: Scene, capfd: pytest.CaptureFixture[str]
) -> None:
    house = await scene.house()
    capfd.readouterr()
    scene.standby.kill()
    for _ in range(20):
        name, seconds = await timed_name(scene, house)
        assert name == "Acme"
        assert seconds < BOUND
    await until(lambda: _is_degraded(scene.here))
    await until(lambda: _is_degraded(scene.there))
    ready = await scene.here.get("/readyz")
    assert (ready.status_code, ready.json()) == (
        200, {"status": "degraded", "reasons": ["replica does not answer"]},
    )  # fmt: skip
    scene.standby.start()
    await scene.settled(house)
    assert (await scene.here.get("/readyz")).json() == {"status": "ready", "reasons": []}
    told = capfd.readouterr().out
    assert told.count("replica.left") == 2, "one line for each process and change"


async def test_a_frozen_standby_is_not_waited_for(scene: Scene) -> None:
    house = await scene.house()
    with scene.standby.frozen():
        answers = await asyncio.gather(*(timed_name(scene, house) for _ in range(40)))
        assert max(seconds for _, seconds in answers) < BOUND
        await until(lambda: _is_degraded(scene.here))
        assert (await timed_name(scene, house))[1] < 1.0, "nobody even tries"
    await scene.settled(house)


async def test_a_standby_that_freezes_in_the_middle_of_a_read_is_left_and_the_read_made_on_the_primary(
    scene: Scene,
) -> None:
    house = await scene.house()
    began = time.monotonic()
    reading = asyncio.create_task(scene.here.get("/api/v1/probe/slow", headers=house.headers))
    await until(lambda: _sleeps(scene))
    with scene.standby.frozen():
        answer = await reading
    assert answer.json()["data"] == {"on_standby": False}
    assert time.monotonic() - began < BOUND * 2
    await scene.settled(house)


async def test_a_read_that_recovery_cancels_is_made_once_more_on_the_primary(scene: Scene) -> None:
    house = await scene.house()
    for _ in range(3):
        await _cancel_a_read(scene, house)
        if 'replica_reads_total{place="primary",why="conflict"}' in (await scene.here.get("/metrics")).text:
            break
        await scene.settled(house)  # on a busy machine the watch may have left the standby before recovery cancelled
    else:
        pytest.fail("no read was counted as cancelled")
    scene.standby.catch_up()
    assert await house.reads_on_standby(scene.here), "a conflict is no reason to leave"


async def _cancel_a_read(scene: Scene, house: House) -> None:
    """By a lock that recovery takes over; its answer comes from the primary all the same."""
    reading = asyncio.create_task(scene.here.get("/api/v1/probe/slow", headers=house.headers))
    await until(lambda: _sleeps(scene))
    with psycopg.connect(scene.urls.superuser) as conn:
        conn.execute("lock table tenancy.organizations in access exclusive mode")
        conn.execute("select pg_logical_emit_message(true, 'tests', '')")
    answer = await reading
    assert answer.json()["data"] == {"on_standby": False}
    assert answer.headers.get_list("X-Seen") == ["1"], "what the first attempt had added is gone"


@pytest.mark.parametrize("way", ["flushed", "restarted", "an older one", "nonsense"])
async def test_marks_that_redis_has_lost_make_no_read_stale(scene: Scene, way: str) -> None:
    house = await scene.house()
    key = f"written:{{{house.planted.organization_id}}}"
    older = str(scene.store.get(key))
    scene.standby.pause()
    await house.rename(scene.here, "Written just now")
    if way == "flushed":
        scene.store.flushall()
    elif way == "restarted":
        scene.servers.valkey.kill()
        scene.servers.valkey.start()
    elif way == "an older one":
        # As a file that ends a second before the crash: the mark is there, and is not the last.
        scene.store.set(key, older)
        scene.store.client_kill_filter(_type="normal", skipme=True)
    else:
        scene.store.set(key, "9" * 30)
    for _ in range(3):
        for process in (scene.here, scene.there):
            assert await house.name(process) == "Written just now"
    scene.standby.resume()
    await scene.settled(house)


async def test_without_redis_everybody_reads_on_the_primary(scene: Scene) -> None:
    house = await scene.house()
    scene.servers.valkey.kill()
    assert not await house.reads_on_standby(scene.here)
    await house.rename(scene.here, "Without a mark")
    scene.standby.pause()
    scene.servers.valkey.start()
    assert await house.name(scene.there) == "Without a mark"
    scene.standby.resume()
    await scene.settled(house)


async def test_a_standby_that_is_too_far_behind_is_read_by_nobody(scene: Scene) -> None:
    """Whoever wrote: what is older than the setting says is seen."""
    house = await scene.house()
    for resources in scene.resources:
        assert resources.replica is not None
        resources.replica._watch.log._seconds = 2
        resources.replica._watch._lag_seconds = 2
    scene.standby.pause()
    began = time.monotonic()
    scene.rename_behind_their_backs(house, "Written by a worker")
    await until(lambda: _shows(scene, house, "Written by a worker"))
    assert time.monotonic() - began < 2 + BOUND
    await until(lambda: _is_degraded(scene.here))
    assert (await scene.here.get("/readyz")).json()["reasons"] == ["replica is too far behind"]
    assert "replica_lag_seconds" in (await scene.here.get("/metrics")).text
    scene.standby.resume()
    await scene.settled(house)


async def _shows(scene: Scene, house: House, name: str) -> bool:
    return await house.name(scene.here) == name


async def _is_degraded(process: httpx.AsyncClient) -> bool:
    return bool((await process.get("/readyz")).json()["status"] == "degraded")


async def _sleeps(scene: Scene) -> bool:
    asked = "select 1 from pg_stat_activity where wait_event = 'PgSleep'"
    return bool(execute(scene.standby.superuser_url(), asked))
