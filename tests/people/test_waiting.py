"""A lock that is held too long is a reason to come again, not a fault."""

import psycopg

from tests.stack import Stack


async def test_a_held_lock_answers_unavailable_and_nothing_is_done(stack: Stack, database_name: str) -> None:
    owner = await stack.register("Before")
    with psycopg.connect(stack.urls.superuser, autocommit=True) as conn:
        conn.execute(f"alter role app_api in database \"{database_name}\" set lock_timeout = '100ms'".encode())
    async with stack.second_process() as other:  # its connections are new, so they wait as long as told now
        impatient = stack.visitor(other)
        impatient.token = owner.token
        with psycopg.connect(stack.urls.superuser) as holder:
            holder.execute(
                "select from tenancy.organizations where organization_id = %s for update", [owner.organization["id"]]
            )
            reply = await impatient.put("/organization", {"name": "After"})
            assert (reply.status, reply.code) == (503, "SERVICE_UNAVAILABLE")
            assert int(reply.response.headers["Retry-After"]) > 0
            assert (await impatient.get("/organization")).data["name"] == "Before"
        assert (await impatient.put("/organization", {"name": "After"})).status == 200
