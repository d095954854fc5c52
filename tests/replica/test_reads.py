"""Whoever has written sees it, whichever process answers; everybody else may read on the standby."""

import httpx
import pytest

import db.pool
from db.marks import Marks
from tests.replica.conftest import House, Scene


async def test_what_one_has_written_is_seen_through_every_process_while_others_read_on_the_standby(
    scene: Scene,
) -> None:
    writer, other = await scene.house(), await scene.house()
    scene.standby.pause()
    scene.rename_behind_their_backs(other, "Not there yet")
    await writer.rename(scene.here, "Written just now")
    for process in (scene.here, scene.there):
        assert await writer.name(process) == "Written just now"
        assert not await writer.reads_on_standby(process)
        assert await other.name(process) == "Acme", "it was read on the standby, where that is not replayed"
        assert await other.reads_on_standby(process)
    scene.standby.resume()
    await scene.settled(writer)
    for process in (scene.here, scene.there):
        assert await writer.name(process) == "Written just now"
        assert await other.name(process) == "Not there yet"


async def test_what_a_key_has_used_is_in_the_figures_of_the_dashboard_at_once(scene: Scene) -> None:
    house = await scene.house()
    scene.standby.pause()
    for used in range(1, 4):
        asked = await scene.here.get("/api/v1/messages/none", headers={"X-API-Key": house.planted.key})
        assert asked.status_code == 404
        stats = (await scene.there.get("/api/v1/dashboard/stats", headers=house.headers)).json()["data"]["stats"]
        assert stats["total_requests_30d"] == used


async def test_a_message_is_in_the_list_of_the_next_request_with_the_key(scene: Scene) -> None:
    house = await scene.house()
    key = {"X-API-Key": house.planted.key}
    assert (await scene.there.get("/api/v1/messages", headers=key)).json()["data"]["messages"] == []
    scene.standby.pause()
    body = {"to": "reader@example.com", "type": "email", "message": "Good morning"}
    sent = (await scene.here.post("/api/v1/messages/send", json=body, headers=key)).json()["data"]["message_id"]
    listed = (await scene.there.get("/api/v1/messages", headers=key)).json()["data"]["messages"]
    assert [message["message_id"] for message in listed] == [sent]


PAGES = ("/dashboard", "/usage", "/billing", "/audit")
READS = (
    "/dashboard/stats", "/dashboard/usage-graph", "/dashboard/api-keys", "/billing/usage", "/billing/history",
    "/billing/calculate", "/audit/events",
)  # fmt: skip


async def test_every_large_read_and_its_page_answers_on_the_standby_as_on_the_primary(scene: Scene) -> None:
    house = await scene.house()
    for path in READS:
        before = reads(await scene.here.get("/metrics"), "replica")
        answer = await scene.here.get(f"/api/v1{path}", headers=house.headers)
        assert answer.status_code == 200, answer.text
        assert reads(await scene.here.get("/metrics"), "replica") == before + 1, path
    cookie = {"Cookie": f"mts_session={house.planted.tokens['owner']}"}
    for path in PAGES:
        await scene.settled(house)  # a page may have written that somebody looked
        before = reads(await scene.here.get("/metrics"), "replica")
        page = await scene.here.get(path, headers=cookie)
        assert page.status_code == 200, page.text
        assert reads(await scene.here.get("/metrics"), "replica") == before + 1, path


def reads(metrics: httpx.Response, place: str) -> float:
    lines = [line for line in metrics.text.splitlines() if line.startswith(f'replica_reads_total{{place="{place}"')]
    return sum(float(line.rpartition(" ")[2]) for line in lines)


async def test_who_is_demoted_or_logged_out_is_refused_at_once(scene: Scene) -> None:
    house = await scene.house()
    admin = house.planted.headers("admin")
    members = (await scene.here.get("/api/v1/team/members", headers=house.headers)).json()["data"]["members"]
    admin_id = next(member["id"] for member in members if member["role"] == "admin")
    assert (await scene.there.get("/api/v1/audit/events", headers=admin)).status_code == 200
    scene.standby.pause()
    role = f"/api/v1/team/members/{admin_id}/role"
    (await scene.here.put(role, json={"role": "member"}, headers=house.headers)).raise_for_status()
    for process in (scene.here, scene.there):
        refused = await process.get("/api/v1/audit/events", headers=admin)
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "PERMISSION_DENIED")
    (await scene.here.post("/api/v1/auth/logout", headers=admin)).raise_for_status()
    assert (await scene.there.get("/api/v1/dashboard/stats", headers=admin)).status_code == 401


async def test_rights_come_from_the_primary_even_without_any_mark(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Marks do not protect them: the seat is never read on the standby."""
    house = await scene.house()
    monkeypatch.setattr(Marks, "note", _nothing)
    scene.standby.pause()
    admin = house.planted.headers("admin")
    (await scene.here.post("/api/v1/auth/logout", headers=admin)).raise_for_status()
    assert await house.reads_on_standby(scene.there)
    assert (await scene.there.get("/api/v1/dashboard/stats", headers=admin)).status_code == 401


async def _nothing(self: Marks, organizations: object, position: object) -> None:
    """In the place of a mark."""


@pytest.mark.parametrize("broken", ["the mark", "the standby's own word"])
async def test_without_its_guards_a_read_would_be_stale(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    """Each guard is taken away on purpose, and the promise of the first test is broken."""
    house = await scene.house()
    if broken == "the mark":
        monkeypatch.setattr(Marks, "note", _nothing)
    else:
        monkeypatch.setattr(db.pool, "_guard", lambda replayed: "")
    scene.standby.pause()
    await house.rename(scene.here, "Written just now")
    assert await house.name(scene.there) == "Acme"


async def test_two_organizations_keep_apart_on_the_standby(scene: Scene) -> None:
    mine, other = await scene.house(), await scene.house()
    await other.rename(scene.here, "Theirs")
    await scene.settled(other)
    assert await mine.name(scene.here) == "Acme"
    assert await own_alone(scene, mine)
    assert await own_alone(scene, other)


async def own_alone(scene: Scene, house: House) -> bool:
    keys = (await scene.here.get("/api/v1/dashboard/api-keys", headers=house.headers)).json()["data"]["api_keys"]
    return len(keys) == 2
