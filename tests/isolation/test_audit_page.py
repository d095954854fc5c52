"""The audit trail over HTTP: complete, paged, the organization's own, and for owners and admins."""

import hmac
import json
from datetime import UTC, datetime
from hashlib import sha256
from uuid import UUID

import psycopg
import pytest
from structlog.testing import capture_logs

from db import audit
from db.types import OrganizationId
from jobs import logs
from jobs.audit import anchor, signature
from jobs.resources import open_resources
from tests.servers import Urls
from tests.stack import Stack
from tests.visitors import Person


async def everything(person: Person, limit: int = 3, query: str = "") -> list[dict[str, object]]:
    """All events of a person's organization, read page by page."""
    found: list[dict[str, object]] = []
    cursor = ""
    while True:
        data = (await person.get(f"/audit/events?limit={limit}{query}{cursor}")).data
        found += data["events"]
        if not data["pagination"]["has_more"]:
            return found
        cursor = f"&cursor={data['pagination']['next_cursor']}"


async def test_pages_add_up_to_the_whole_chain(stack: Stack) -> None:
    owner = await stack.register()
    for number in range(3):
        await owner.post("/keys", {"name": f"Key {number}"})
    events = await everything(owner)
    assert [event["position"] for event in events] == list(range(len(events), 0, -1))
    created = events[0]
    assert (created["table"], created["operation"]) == ("tenancy.api_keys", "insert")
    assert created["actor"] == {"kind": "user", "id": owner.user["id"]}
    assert created["address"]
    assert created["request_id"]
    assert len(await everything(owner, query="&table=tenancy.api_keys")) == 3


async def test_another_organization_sees_nothing_of_it(stack: Stack) -> None:
    mine, other = await stack.register("Mine"), await stack.register("Other")
    cursor = (await mine.get("/audit/events?limit=1")).data["pagination"]["next_cursor"]
    with_foreign_cursor = (await other.get(f"/audit/events?limit=100&cursor={cursor}")).data["events"]
    everything_else = (await other.get("/audit/events?limit=100")).data["events"]
    assert mine.organization["id"] not in json.dumps([with_foreign_cursor, everything_else])


async def test_members_do_not_see_the_trail_and_admins_do(stack: Stack) -> None:
    owner = await stack.register()
    member, admin = await stack.join(owner, "member"), await stack.join(owner, "admin")
    assert (await member.get("/audit/events")).code == "PERMISSION_DENIED"
    assert (await admin.get("/audit/events")).code == "OK"


@pytest.mark.parametrize("query", ["cursor=x", "cursor=" + "A" * 32, "limit=0", "limit=101", "table=x", "row=%00"])
async def test_a_wrong_query_is_refused(stack: Stack, query: str) -> None:
    owner = await stack.register(verified=False)
    assert (await owner.get(f"/audit/events?{query}")).code in {"VALIDATION_ERROR", "OK"}
    if not query.startswith("cursor=A"):
        assert (await owner.get(f"/audit/events?{query}")).code == "VALIDATION_ERROR"


async def test_each_day_every_chains_signed_head_goes_to_the_log_and_a_broken_one_as_an_error(
    stack: Stack, urls: Urls
) -> None:
    whole, broken = await stack.register("Whole"), await stack.register("Broken")
    with psycopg.connect(urls.superuser) as conn:
        conn.execute(
            "update audit.chain_heads set position = 99 where organization_id = %s", [broken.organization["id"]]
        )
    logs.configure("info")
    async with open_resources(stack.worker_settings, stack.clock) as resources:
        with capture_logs() as lines:
            await anchor.run(resources, 0)
    logs.configure(stack.settings.log_level)
    said = {line["organization_id"]: line for line in lines}
    anchored, accused = said[whole.organization["id"]], said[broken.organization["id"]]
    assert (anchored["event"], anchored["log_level"]) == ("audit.anchor", "info")
    head = audit.Head(anchored["position"], datetime.now(UTC), bytes.fromhex(anchored["hash"]))
    secret = stack.worker_settings.jwt_secret.get_secret_value()
    assert anchored["signature"] == signature(secret, OrganizationId(UUID(whole.organization["id"])), head)
    assert (accused["event"], accused["log_level"]) == ("audit.chain_broken", "error")


def test_an_anchor_is_signed_by_a_key_of_its_own() -> None:
    organization_id = OrganizationId(UUID(int=7))
    head = audit.Head(3, datetime.now(UTC), b"\x01" * 32)
    key = hmac.digest(b"secret", b"audit anchor", sha256)
    message = f"{organization_id}:3:{'01' * 32}".encode()
    assert signature("secret", organization_id, head) == hmac.new(key, message, sha256).hexdigest()
    assert signature("other", organization_id, head) != signature("secret", organization_id, head)
