"""No password, token, key or session is found anywhere in clear: every flow is run, then every store is searched.

Searched are the rows of every table (also as bytes), the arguments of every job that ever waited, every value in Redis,
and all that the processes of the product, the payment sandbox's customers and Postgres itself have printed.
"""

import re
from base64 import b64encode
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest
import redis

from tests.money.shop import Customer, Shop, shop
from tests.pages.surfing import Surfer
from tests.people.processes import Processes, processes
from tests.servers import TestServers
from tests.stack import Stack
from tests.visitors import Visitor

__all__ = ["shop"]

PASSWORDS = {name: f"{name}-umbrella-8317-violet" for name in ("first", "wrong", "changed", "reset", "joined")}

EVERY_JOB = """
create table public.jobs_seen (args text);
create function public.see_job() returns trigger language plpgsql security definer as
$$ begin insert into public.jobs_seen values (new.args::text); return null; end $$;
create trigger see_job after insert or update on jobs.procrastinate_jobs for each row execute function public.see_job();
"""


class Flow:
    """Somebody who uses everything once, and remembers every secret that was given or chosen."""

    def __init__(self, running: Processes) -> None:
        self.running, self.stack = running, running.stack
        self.secrets: dict[str, str] = {f"the password {name}": value for name, value in PASSWORDS.items()}

    def visitor(self) -> Visitor:
        return self.stack.visitor(self.running.http)

    def keep(self, name: str, value: str) -> str:
        self.secrets[name] = value
        return value

    async def mailed(self, name: str, email: str, path: str) -> str:
        """The token in a mail, kept."""
        await self.running.work()
        return self.keep(name, self.stack.token_for(email, path))

    async def register(self) -> tuple[Visitor, str]:
        """Sign-up with all its refusals, and the proof of the mailbox."""
        owner, email = self.visitor(), self.stack.new_email()
        body = {"organization_name": "Acme", "email": email, "password": PASSWORDS["first"]}
        assert (await owner.post("/auth/register", body | {"email": PASSWORDS["first"]})).status == 400
        owner.token = self.keep("session of the sign-up", (await owner.post("/auth/register", body)).data["token"])
        await self.visitor().post("/auth/register", body | {"password": PASSWORDS["wrong"]})
        again = (await self.visitor().post("/auth/register", body | {"organization_name": "Other"})).data
        self.keep("session of the second organization", again["token"])
        token = await self.mailed("first verification", email, "/verify-email")
        await owner.post("/auth/request-email-verification")
        token = await self.mailed("second verification", email, "/verify-email")
        await self.running.http.get("/verify-email", params={"token": token})
        assert (await owner.post("/auth/verify-email", {"token": token})).status == 200
        assert (await owner.post("/auth/verify-email", {"token": token})).status == 401
        switched = await owner.post("/auth/switch-organization", {"organization_id": again["organization"]["id"]})
        owner.token = self.keep("switched session", switched.data["token"])
        return owner, email

    async def log_in(self, email: str) -> None:
        """Right and wrong, by the API, in a browser, and with secrets where they do not belong."""
        visitor = self.visitor()
        await visitor.post("/auth/login", {"email": email, "password": PASSWORDS["wrong"]})
        reply = await visitor.post("/auth/login", {"email": email, "password": PASSWORDS["first"]})
        self.keep("session of the log-in", reply.data["token"])
        self.keep("the browser's note", visitor.cookies["mts_device"])
        await visitor.post("/auth/login", {"email": PASSWORDS["first"], "passwort": PASSWORDS["first"]})
        await self.running.http.get(f"/api/v1/{PASSWORDS['first']}", params={"token": reply.data["token"]})
        await self.running.http.get("/api/v1/auth/me", headers={"Authorization": reply.data["token"]})
        surfer = Surfer(self.running.http, visitor.network)
        page = await surfer.get("/login")
        for password in ("wrong", "first"):
            await surfer.submit(page, "/login", email=email, password=PASSWORDS[password])
        self.keep("session of the browser", surfer.cookies["mts_session"])
        assert (await surfer.get("/dashboard")).status == 200

    async def invite(self, owner: Visitor) -> None:
        """An invitation that is sent twice and accepted, and one that is declined."""
        email, other = self.stack.new_email(), self.stack.new_email()
        key = {"Idempotency_Key": self.keep("an idempotency key", "idempotency-7d1c9a40")}
        made = (await owner.post("/team/invite", {"email": email, "role": "admin"}, **key)).data["invitation_id"]
        await self.mailed("first invitation", email, "/accept-invitation")
        await owner.post(f"/team/invitations/{made}/resend")
        token = await self.mailed("second invitation", email, "/accept-invitation")
        await self.running.http.get("/accept-invitation", params={"token": token})
        joined = self.visitor()
        body = {"token": token, "password": PASSWORDS["joined"]}
        joined.token = self.keep("joiner's session", (await joined.post("/team/accept-invitation", body)).data["token"])
        await owner.post("/team/invite", {"email": other})
        declined = await self.mailed("declined invitation", other, "/accept-invitation")
        await self.visitor().post("/team/decline-invitation", {"token": declined})
        await joined.post("/team/leave")

    async def use_keys(self, owner: Visitor) -> None:
        """Keys made, used, rotated, revoked and misused; a message sent."""
        again = {"Idempotency_Key": self.keep("key's idempotency key", "idempotency-55c02e11")}
        made = (await owner.post("/keys", {"name": "server"}, **again)).data
        assert (await owner.post("/keys", {"name": "server"}, **again)).data["key"] == made["key"]
        rotated = (await owner.post(f"/keys/{made['id']}/rotate", {"grace_seconds": 60}, **again | {
            "Idempotency_Key": self.keep("rotation's idempotency key", "idempotency-90aa17f3")})).data  # fmt: skip
        for name, key in (("first key", made["key"]), ("rotated key", rotated["key"])):
            program = self.visitor()
            body = {"to": "reader@mts-test.com", "type": "email", "message": "Hello"}
            assert (await program.post("/messages/send", body, X_API_Key=self.keep(name, key))).status == 200
            await program.post("/messages/send", {"to": key}, X_API_Key=key)
            await program.get(f"/messages/{key}", X_API_Key=key + "0")
        await owner.delete(f"/keys/{rotated['id']}")

    async def change_passwords(self, owner: Visitor, email: str) -> None:
        """Changed by its owner, then forgotten and reset."""
        change = {"current_password": PASSWORDS["wrong"], "new_password": PASSWORDS["changed"]}
        await owner.post("/auth/change-password", change)
        change["current_password"] = PASSWORDS["first"]
        assert (await owner.post("/auth/change-password", change)).status == 200
        await self.visitor().post("/auth/request-password-reset", {"email": email})
        await self.mailed("first reset", email, "/reset-password")
        await self.visitor().post("/auth/request-password-reset", {"email": email})
        token = await self.mailed("second reset", email, "/reset-password")
        await self.running.http.get("/reset-password", params={"token": token})
        weak = await self.visitor().post("/auth/reset-password", {"token": token, "new_password": "password123"})
        assert weak.status == 400
        body = {"token": token, "new_password": PASSWORDS["reset"]}
        assert (await self.visitor().post("/auth/reset-password", body)).status == 200
        assert (await owner.post("/auth/logout")).status == 401

    async def pay(self, customer: Customer) -> None:
        """An invoice's payment, begun."""
        customer.browser.http = self.running.http
        self.keep("customer's session", customer.browser.token or "")
        assert (await customer.pay("stripe")).status == 200


def note_every_job(stack: Stack) -> None:
    """Write down whatever is put into the queue, for most of it is gone a moment later.

    After the start: a process refuses to serve beside a table without row security.
    """
    with psycopg.connect(stack.urls.superuser, autocommit=True) as conn:
        conn.execute(EVERY_JOB.encode())


def rows_of_every_table(stack: Stack) -> str:
    """Every row as text; bytes are hexadecimal in it."""
    tables = stack.rows(
        "select format('%%I.%%I', n.nspname, c.relname) from pg_class c join pg_namespace n on n.oid = c.relnamespace"
        " where c.relkind = 'r' and n.nspname not in ('pg_catalog', 'information_schema')"
    )
    return "\n".join(text for (table,) in tables for (text,) in stack.rows(f"select t::text from {table} t"))


def values_of_redis(stack: Stack) -> str:
    """Every key with its value, whatever its type."""
    readers = {"string": "get", "hash": "hgetall", "list": "lrange", "set": "smembers", "zset": "zrange"}
    with redis.Redis.from_url(stack.settings.redis_url.get_secret_value(), decode_responses=True) as client:
        found = []
        for key in client.scan_iter():
            kind = str(client.type(key))
            span = (0, -1) if kind in ("list", "zset") else ()
            found.append(f"{key} {getattr(client, readers[kind])(key, *span)}")
    return "\n".join(found)


def forms_of(secret: str) -> set[str]:
    """A secret as it is, in an address, as bytes in hexadecimal or Base64, and as the inside of JSON."""
    raw = secret.encode()
    return {secret, quote(secret, safe=""), raw.hex(), b64encode(raw).decode().rstrip("="), secret.replace("/", "\\/")}


def logs_of_postgres(servers: TestServers) -> str:
    """What the database server has written of this run."""
    texts = [path.read_text(errors="replace") for path in servers.folder.rglob("log") if path.is_file()]
    assert texts, "where is the server's log?"
    return "\n".join(texts)


@pytest.mark.slow
async def test_no_secret_is_kept_or_logged(shop: Shop, servers: TestServers, tmp_path: Path) -> None:
    stack, customer = shop.stack, await shop.customer()
    await shop.work()
    async with processes(stack, tmp_path) as running:
        note_every_job(stack)
        flow = Flow(running)
        owner, email = await flow.register()
        await flow.log_in(email)
        await flow.invite(owner)
        await flow.use_keys(owner)
        await flow.pay(customer)
        on_the_way = rows_of_every_table(stack) + values_of_redis(stack)
        await flow.change_passwords(owner, email)
        await running.work()
        kept = {"on the way": on_the_way, "rows": rows_of_every_table(stack), "Redis": values_of_redis(stack)}
    kept |= {"logs": running.output, "Postgres's log": logs_of_postgres(servers)}
    for name, value in (("JWT secret", stack.settings.jwt_secret), ("Stripe's key", stack.settings.stripe_secret_key)):
        flow.keep(name, value.get_secret_value() if value else "")
    assert len(flow.secrets) >= 27
    leaks = [
        f"{name} in {place}: …{text[max(0, text.index(form) - 80) : text.index(form)]}"
        for name, secret in flow.secrets.items() for form in forms_of(secret)
        for place, text in kept.items() if form in text
    ]  # fmt: skip
    assert leaks == []
    seen = stack.rows("select count(*) from public.jobs_seen")
    assert seen[0][0] > 30  # the jobs that are gone were searched with the rows
    assert email in kept["rows"]  # what was searched is what is kept
    assert re.search(r'"route":"/api/v1/auth/login","status":401', kept["logs"])
    assert email not in kept["logs"]
