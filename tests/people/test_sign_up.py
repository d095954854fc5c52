"""Registering, verifying, logging in: what a newcomer does first."""

from tests.stack import PASSWORD, Stack, Visitor


async def test_a_registration_makes_organization_owner_session_and_mails(stack: Stack, visitor: Visitor) -> None:
    body = {
        "organization_name": "  Blue Heron  ",
        "email": "Ada@MTS-Test.com",
        "password": PASSWORD,
        "full_name": "Ada Obi",
    }
    reply = await visitor.post("/auth/register", body)
    assert reply.status == 201
    data = reply.data
    assert set(data) == {"user", "organization", "token", "expires_at"}
    assert data["user"] | {"id": 0, "organization_id": 0, "created_at": 0} == {
        "id": 0, "email": "Ada@mts-test.com", "full_name": "Ada Obi", "role": "owner", "organization_id": 0,
        "email_verified": False, "created_at": 0,
    }  # fmt: skip
    assert data["organization"]["name"] == "Blue Heron"
    assert data["organization"]["plan"] == "free"
    assert data["user"]["organization_id"] == data["organization"]["id"]
    visitor.token = data["token"]
    assert (await visitor.get("/auth/me")).data == {"user": data["user"], "organization": data["organization"]}
    await stack.work()
    assert len(stack.mails("ada@mts-test.com")) == 2
