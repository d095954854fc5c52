"""Billing over HTTP: exact numbers, the right shapes, and refusals that say what is wrong."""

import asyncio
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from api.usage_answers import UsageQuery, days_asked
from db.types import ApiKeyId, Plan, new_id
from db.usage import UsageRecord, UsageRecorder
from tests.founding import new_key
from tests.money.shop import Customer, Shop, shop

__all__ = ["shop"]


async def use(shop: Shop, customer: Customer, plan: Plan, count: int, status: int = 200) -> ApiKeyId:
    """Requests of the customer, now."""
    key = (await new_key(shop.worker.database, customer.founded)).key.id
    recorder, now = UsageRecorder(shop.worker.database), datetime.now(UTC)
    for start in range(0, count, 500):
        await asyncio.gather(*(
            recorder.record(UsageRecord(
                new_id(), customer.founded.organization_id, key, plan, "/api/v1/messages/send", "POST", status, 1,
                status < 500, now,
            ))
            for _ in range(min(500, count - start))
        ))  # fmt: skip
    return key


async def test_usage_sums_to_the_total_exactly(shop: Shop) -> None:
    customer = await shop.customer("starter")
    await use(shop, customer, "starter", 6_000)
    await use(shop, customer, "starter", 4_007)
    await use(shop, customer, "starter", 3, status=500)
    answer = (await customer.browser.get("/billing/usage")).data
    head = answer["summary"]
    assert (head["total_requests"], head["failed_requests"], head["billable_requests"]) == (10_010, 3, 10_007)
    assert (head["total_cost"], head["base_cost"], head["usage_cost"]) == (10.07, 10.0, 0.07)
    assert sum(day["cost_minor"] for day in answer["daily_breakdown"]) == 1007
    assert sum(use["cost_minor"] for use in answer["by_api_key"]) == 7
    assert [(use["endpoint"], use["requests"], use["cost_minor"]) for use in answer["by_endpoint"]] == [
        ("/api/v1/messages/send", 10_010, 7)
    ]
    preview = (await customer.browser.get("/billing/calculate")).data
    assert (preview["total_amount"], preview["status"]) == (10.07, "calculating")
    assert (preview["total_requests"], preview["included"], preview["overage"]) == (10_007, 10_000, 7)


async def test_amounts_are_numbers_with_two_decimals(shop: Shop) -> None:
    customer = await shop.customer("starter")
    text = (await customer.browser.get("/billing/history")).response.text
    assert '"total_amount":10.00' in text
    assert '"amount_minor":1000' in text


async def test_the_history_sums_what_was_billed(shop: Shop) -> None:
    customer = await shop.customer("pro")
    answer = (await customer.browser.get("/billing/history?limit=1")).data
    entry = answer["invoices"][0]
    month = (datetime.now(UTC).date().replace(day=1) - timedelta(days=1)).strftime("%Y-%m")
    assert (entry["period"], entry["status"], entry["total_amount"]) == (month, "pending", 50.0)
    assert entry["number"].startswith("INV-")
    assert answer["summary"] == {
        "total_billed": 50.0, "total_paid": 0.0, "outstanding": 50.0, "outstanding_minor": 5000, "currency": "USD",
    }  # fmt: skip
    assert answer["pagination"] == {"page": 1, "limit": 1, "total": 1, "total_pages": 1}


async def test_an_invoice_is_there_as_json_page_and_paper(shop: Shop) -> None:
    customer = await shop.customer("pro")
    path = f"/billing/invoices/{customer.cycle_id}"
    invoice = (await customer.browser.get(path)).data
    assert [line["amount"] for line in invoice["lines"]] == [50.0]
    page = (await customer.browser.get(f"{path}.html")).response
    assert page.headers["content-type"].startswith("text/html")
    assert invoice["number"] in page.text
    assert "$50.00" in page.text
    paper = (await customer.browser.get(f"{path}.pdf")).response
    assert (paper.headers["content-type"], paper.content[:5]) == ("application/pdf", b"%PDF-")
    stranger = await shop.customer("pro")
    for suffix in ("", ".html", ".pdf"):
        assert (await stranger.browser.get(path + suffix)).code == "NOT_FOUND"


async def test_an_upgrade_acts_at_once_and_a_downgrade_waits(shop: Shop) -> None:
    customer = await shop.customer("starter")
    answer = (await customer.browser.post("/billing/upgrade", {"plan": "pro"})).data["organization"]
    assert (answer["plan"], answer["pending_plan"]) == ("pro", None)
    answer = (await customer.browser.post("/billing/upgrade", {"plan": "free"})).data["organization"]
    assert (answer["plan"], answer["pending_plan"]) == ("pro", "free")
    assert (await customer.browser.post("/billing/upgrade", {"plan": "free"})).code == "CONFLICT"
    answer = (await customer.browser.post("/billing/upgrade", {"plan": "pro"})).data["organization"]
    assert (answer["plan"], answer["pending_plan"]) == ("pro", None), "taken back"
    assert (await customer.browser.post("/billing/upgrade", {"plan": "pro"})).code == "CONFLICT"


async def test_nobody_upgrades_with_an_overdue_invoice(shop: Shop) -> None:
    customer = await shop.customer("starter")
    shop.stack.rows(
        "update billing.billing_cycles set status = 'overdue' where organization_id = %s returning 1",
        customer.founded.organization_id,
    )
    refused = await customer.browser.post("/billing/upgrade", {"plan": "pro"})
    assert (refused.code, refused.error["details"]) == ("CONFLICT", {"reason": "overdue_invoice"})


async def test_an_upgrade_reaches_the_limits_of_every_process_at_once(shop: Shop) -> None:
    customer = await shop.customer("free")
    key = (await new_key(shop.worker.database, customer.founded)).secret
    before = await shop.stack.visitor().get("/messages", X_API_Key=key)
    await customer.browser.post("/billing/upgrade", {"plan": "pro"})
    after = await shop.stack.visitor().get("/messages", X_API_Key=key)
    limits = [int(each.response.headers["x-ratelimit-limit"]) for each in (before, after)]
    assert limits == [10, 300]


@pytest.mark.parametrize(
    ("method", "path", "body", "field"),
    [
        ("POST", "/billing/upgrade", {"plan": "gold"}, "plan"),
        ("POST", "/billing/upgrade", {}, "plan"),
        ("POST", "/billing/upgrade", {"plan": "pro", "price": 0}, "price"),
        ("POST", "/billing/initiate-payment", {"billing_cycle_id": "x", "provider": "stripe"}, "billing_cycle_id"),
        ("POST", "/billing/initiate-payment", {"billing_cycle_id": str(new_id()), "provider": "cash"}, "provider"),
        ("GET", "/billing/usage?start_date=2026-11-02&end_date=2026-11-01", None, "end_date"),
        ("GET", "/billing/usage?start_date=2020-01-01", None, "start_date"),
        ("GET", "/billing/usage?start_date=0001-01-01", None, "start_date"),
        ("GET", "/billing/usage?end_date=9999-12-31", None, "end_date"),
        ("GET", "/billing/usage?start_date=yesterday", None, "start_date"),
        ("GET", "/billing/usage?since=2026-01-01", None, "since"),
        ("GET", "/billing/history?limit=0", None, "limit"),
        ("GET", "/billing/history?page=-1", None, "page"),
    ],
)
async def test_wrong_input_is_named(shop: Shop, method: str, path: str, body: Any, field: str) -> None:
    customer = await shop.customer("free")
    refused = await customer.browser.ask(method, path, body)
    assert (refused.status, refused.code) == (400, "VALIDATION_ERROR")
    assert refused.error["details"]["field"] == field


async def test_days_long_ago_and_far_ahead_cost_what_they_cost(shop: Shop) -> None:
    customer = await shop.customer("pro")
    assert (await customer.browser.get("/billing/usage?end_date=2000-01-31")).data["summary"]["total_cost"] == 0
    ahead = await customer.browser.get("/billing/usage?start_date=2099-12-01")
    assert ahead.data["summary"]["total_cost"] == 50


def test_days_of_the_default_range() -> None:
    today = date(2028, 2, 10)
    assert days_asked(UsageQuery(), today) == (date(2028, 2, 1), date(2028, 2, 29))
    assert days_asked(UsageQuery(end_date=date(2028, 1, 5)), today) == (date(2028, 1, 1), date(2028, 1, 5))
    assert days_asked(UsageQuery(start_date=date(2028, 1, 5)), today) == (date(2028, 1, 5), date(2028, 2, 29))
