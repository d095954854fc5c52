"""What an operator decides at the command line, and what the reconciliation tells: planted differences are found."""

import os
import re
import subprocess
import sys
from datetime import UTC, datetime

import psycopg
import pytest

from db.types import new_id
from jobs import reconciliation
from settings import ROOT
from tests.money.shop import Customer, Shop, shop

__all__ = ["shop"]


def mts(shop: Shop, *arguments: str, user: str = "ada") -> "subprocess.CompletedProcess[str]":
    """The command as an operator runs it."""
    return subprocess.run(
        [sys.executable, "-m", "cli", "invoices", *arguments],
        cwd=ROOT, env=environment(shop, user), capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


def environment(shop: Shop, user: str = "ada") -> dict[str, str]:
    """What the command finds in its environment."""
    given = shop.stack.worker_settings
    return {
        "PATH": os.environ["PATH"], "DATABASE_URL": shop.stack.urls.worker, "LOGNAME": user,
        "REDIS_URL": given.redis_url.get_secret_value(), "SMTP_URL": given.smtp_url.get_secret_value(),
        "JWT_SECRET": given.jwt_secret.get_secret_value(), "DATA_DIR": str(given.data_dir),
    }  # fmt: skip


async def parked(shop: Shop) -> Customer:
    """A customer whose invoice is held back."""
    customer = await shop.customer("pro")
    for statement in (
        "delete from billing.movements where organization_id = %s",
        "update billing.invoice_counters set last_number = 0 where organization_id = %s",
        (
            "update billing.billing_cycles set status = 'parked', number = null, issued_at = null, due_date = null,"
            " remark = 'the total is absurd' where organization_id = %s"
        ),
    ):
        plant(shop, statement, customer.founded.organization_id)
    return customer


def plant(shop: Shop, statement: str, *arguments: object) -> None:
    """Change the books around every trigger that guards them."""
    with psycopg.connect(shop.stack.urls.superuser) as conn:
        conn.execute("set session_replication_role = replica")
        conn.execute(statement.encode(), arguments)


async def test_a_parked_invoice_is_listed_and_released_once(shop: Shop) -> None:
    customer = await parked(shop)
    listed = mts(shop, "parked").stdout
    assert re.search(rf"{customer.cycle_id} .* 50.00 USD +Acme +the total is absurd", listed)
    assert (await customer.browser.get(f"/billing/invoices/{customer.cycle_id}")).code == "NOT_FOUND"
    released = mts(shop, "release", str(customer.cycle_id), "--reason", "confirmed by phone")
    assert (released.returncode, "pending" in released.stdout) == (0, True), released.stderr
    again = mts(shop, "release", str(customer.cycle_id), "--reason", "confirmed by phone")
    assert (again.returncode, again.stderr.strip()) == (1, "Only a parked invoice can be issued.")
    await shop.work()
    assert [mail.subject.split()[0] for mail in shop.stack.mails(customer.email)].count("Invoice") >= 1
    assert (await customer.browser.get(f"/billing/invoices/{customer.cycle_id}")).data["status"] == "pending"


async def test_voiding_and_crediting_are_in_the_trail_with_the_operators_name(shop: Shop) -> None:
    held, owing = await parked(shop), await shop.customer("pro")
    assert mts(shop, "void", str(held.cycle_id), "--reason", "a loop of ours").returncode == 0
    assert (await shop.cycle(held)).status == "void"
    credited = mts(shop, "credit", str(owing.cycle_id), "12.50", "--reason", "an outage of ours", user="grace hopper")
    assert re.search(r"pending +50.00 USD +12.50 USD +37.50 USD", credited.stdout), credited.stderr
    assert "Credit note CN-" in credited.stdout
    await shop.work()
    (told,) = [mail for mail in shop.stack.mails(owing.email) if "Credit note CN-" in mail.subject]
    assert "$37.50 of the invoice is still to be paid." in (told.part("plain") or "")
    for customer, table, field, reason, name in (
        (held, "billing_cycles", "remark", "a loop of ours (by ada)", "ada"),
        (owing, "credit_notes", "reason", "an outage of ours", "grace-hopper"),
    ):
        trail = shop.stack.rows(
            "select after ->> %s, request_id, actor_kind from audit.events where organization_id = %s"
            " and table_name = %s order by position desc limit 1",
            field, customer.founded.organization_id, f"billing.{table}",
        )  # fmt: skip
        assert trail == [(reason, f"operator-{name}", "system")]
    assert await shop.differences(owing) == []


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["release", "ID", "--reason", "no"], 2, "The reason must have 4 to 500 characters."),
        (["void", "ID", "--reason", "because"], 1, "Only a parked invoice can be voided; an issued one is credited."),
        (["credit", "ID", "99999", "--reason", "because"], 1, "Only an issued invoice can be credited, and no more"),
        (["credit", "ID", "-1.001", "--reason", "because"], 2, "is no amount"),
        (["void", str(new_id()), "--reason", "because"], 1, "There is no invoice"),
    ],
)
async def test_errors_are_sentences(shop: Shop, arguments: list[str], code: int, sentence: str) -> None:
    customer = await shop.customer("pro")
    given = [str(customer.cycle_id) if word == "ID" else word for word in arguments]
    if "-1.001" in given:
        given.insert(given.index("-1.001"), "--")
        given = [given[0], "--reason", "because", "--", str(customer.cycle_id), "-1.001"]
    refused = mts(shop, *given)
    assert (refused.returncode, sentence in refused.stderr) == (code, True), refused.stderr
    assert "Traceback" not in refused.stderr


async def clean_events(shop: Shop) -> None:
    plant(shop, "delete from billing.payment_events")


async def findings(shop: Shop) -> dict[str, int]:
    shop.stack.clock.turn(hours=2)  # what is under way is not compared yet
    try:
        return (await reconciliation.run(shop.worker)).findings
    finally:
        shop.stack.clock.turn(hours=-2)


async def test_a_payment_that_no_webhook_told_of_is_found(shop: Shop) -> None:
    customer = await shop.customer("pro")
    await shop.paid(customer)
    assert "payment without an event" not in await findings(shop)
    plant(shop, "delete from billing.payment_events where organization_id = %s", customer.founded.organization_id)
    assert (await findings(shop))["payment without an event"] == 1


async def test_an_event_whose_payment_is_not_in_the_books_is_found(shop: Shop) -> None:
    customer = await shop.customer("pro")
    await shop.paid(customer)
    plant(
        shop, "update billing.payments set status = 'expired', succeeded_minor = 0 where organization_id = %s",
        customer.founded.organization_id,
    )  # fmt: skip
    found = await findings(shop)
    assert found["event without its payment"] == 1
    assert found["paid on the invoice"] >= 1


@pytest.mark.parametrize(
    ("outcome", "payload", "finding"),
    [
        (None, "{}", "event not handled"),
        ("wrong_amount", "{}", "event refused: wrong_amount"),
        ("unmatched", '{"data": {"object": {"metadata": {"attempt_id": "x"}}}}', "event without a payment of ours"),
        ("unmatched", '{"data": {"object": {"metadata": {}}}}', None),
        ("ignored", "{}", None),
    ],
)
async def test_events_that_came_to_nothing_are_found(
    shop: Shop, outcome: str | None, payload: str, finding: str | None
) -> None:
    await clean_events(shop)
    plant(
        shop,
        "insert into billing.payment_events (provider, event_id, type, is_live, payload, received_at, outcome,"
        " handled_at) values ('stripe', %s, 'payment_succeeded', false, %s, %s, %s, %s)",
        f"evt_{new_id()}", payload, datetime.now(UTC), outcome, datetime.now(UTC) if outcome else None,
    )  # fmt: skip
    found = {name for name in await findings(shop) if name.startswith("event") and name != "event without its payment"}
    assert found == ({finding} if finding else set())


async def test_a_planted_difference_is_reported_by_the_command_and_on_metrics(shop: Shop) -> None:
    customer = await shop.customer("starter")
    organization = str(customer.founded.organization_id)
    assert mts(shop, "reconcile", organization).stdout.strip() == "No difference."
    plant(shop, "update billing.billing_cycle_lines set amount_minor = 999 where organization_id = %s", organization)
    told = mts(shop, "reconcile", organization)
    assert (told.returncode, "lines against total" in told.stdout, "amount computed anew" in told.stdout) == (
        1,
        True,
        True,
    )
    plant(shop, "delete from billing.reconciliations")
    whole = mts(shop, "reconcile")
    assert whole.returncode == 1
    count = int(re.search(r"lines against total +(\d+)", whole.stdout)[1])  # type: ignore[index]
    text = (await shop.stack.http.get("/metrics")).text
    assert f'billing_differences_by_finding{{finding="lines against total"}} {count}.0' in text
    assert organization not in text
    assert re.search(r"^billing_reconciled_organizations [1-9]", text, re.MULTILINE)
