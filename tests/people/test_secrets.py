"""No password and no token is found anywhere in clear: not in a row, a job, a key of Redis, or a line of the log."""

import pytest
import redis

from tests.stack import PASSWORD, Stack

NEW = "another-umbrella-43"


def everything_stored(stack: Stack) -> str:
    """Every row of every table, and every key and value of Redis, as text."""
    tables = stack.rows(
        "select format('%%I.%%I', table_schema, table_name) from information_schema.tables"
        " where table_type = 'BASE TABLE' and table_schema not in ('pg_catalog', 'information_schema')"
    )
    rows = [text for (table,) in tables for (text,) in stack.rows(f"select t::text from {table} t")]
    with redis.Redis.from_url(stack.settings.redis_url.get_secret_value(), decode_responses=True) as client:
        kept = [f"{key} {client.dump(key)!r}" for key in client.scan_iter()]
    return "\n".join(rows + kept)


async def test_no_secret_is_kept_or_logged(stack: Stack, capfd: pytest.CaptureFixture[str]) -> None:
    owner = await stack.register(verified=False)
    member_email = stack.new_email()
    secrets = {PASSWORD, NEW, str(owner.token)}
    seen = [everything_stored(stack)]
    await stack.work()
    verification = stack.token_for(owner.email, "/verify-email")
    await owner.post("/auth/verify-email", {"token": verification})
    await owner.post("/team/invite", {"email": member_email})
    await stack.visitor().post("/auth/request-password-reset", {"email": owner.email})
    key = (await owner.post("/keys", {"name": "server"}, Idempotency_Key="key-1")).data["key"]
    seen.append(everything_stored(stack))
    await stack.work()
    invitation, reset = (
        stack.token_for(member_email, "/accept-invitation"),
        stack.token_for(owner.email, "/reset-password"),
    )
    await stack.visitor().post("/team/accept-invitation", {"token": invitation, "password": PASSWORD})
    await stack.visitor().post("/auth/reset-password", {"token": reset, "new_password": NEW})
    login = await stack.visitor().post("/auth/login", {"email": owner.email, "password": NEW})
    await stack.visitor().post("/auth/login", {"email": owner.email, "password": PASSWORD})
    seen += [everything_stored(stack), *capfd.readouterr()]
    secrets |= {verification, invitation, reset, key, login.data["token"]}
    for secret in secrets:
        assert not any(secret in text for text in seen)
    assert owner.organization["id"] in seen[0]  # what was searched is what is kept
