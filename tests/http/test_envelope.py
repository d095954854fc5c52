"""Answers have one shape, carry the promised headers, and write money and time exactly."""

import re

import httpx
import pytest

UUID_V7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
ADA = {"email": "Ada@Example.com", "name": " Ada ", "password": "correct horse"}


def test_a_success_has_the_envelope_and_its_declared_status(client: httpx.Client) -> None:
    answer = client.post("/api/v1/try/people", json=ADA)
    assert answer.status_code == 201
    assert answer.json() == {
        "success": True,
        "message": "Person added",
        "data": {"email": "Ada@example.com", "name": "Ada", "age": 0},
    }
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"


def test_an_answer_without_data_says_null(client: httpx.Client) -> None:
    assert client.delete("/api/v1/try/nothing").json() == {"success": True, "message": "Done", "data": None}


def test_every_answer_has_the_security_headers(client: httpx.Client) -> None:
    for path in ("/livez", "/nowhere", "/api/v1/try/broken", "/static/docs.css", "/docs/errors"):
        headers = client.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["x-xss-protection"] == "1; mode=block"
        assert headers["strict-transport-security"] == "max-age=31536000"
        assert headers["content-security-policy"] == "default-src 'self'"
        assert headers["referrer-policy"] == "strict-origin-when-cross-origin"
        assert UUID_V7.fullmatch(headers["x-request-id"])


def test_an_answers_own_header_replaces_the_general_one(client: httpx.Client) -> None:
    answer = client.get("/api/v1/try/page")
    assert answer.text == "<p>hello</p>"
    assert answer.headers.get_list("content-security-policy") == ["default-src 'none'"]
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("given", ["abc-123", "a" * 64, "A.b_c-9"])
def test_a_plain_request_id_is_taken_over(client: httpx.Client, given: str) -> None:
    answer = client.get("/nowhere", headers={"X-Request-ID": given})
    assert answer.headers["x-request-id"] == given
    assert answer.json()["error"]["request_id"] == given


@pytest.mark.parametrize("given", ["a" * 65, "a b", "", '"x"', "a\tb", "<script>", "ä".encode()])
def test_any_other_request_id_is_replaced(client: httpx.Client, given: str | bytes) -> None:
    answer = client.get("/livez", headers={b"X-Request-ID": given if isinstance(given, bytes) else given.encode()})
    assert UUID_V7.fullmatch(answer.headers["x-request-id"])


@pytest.mark.parametrize(
    ("minor", "written"),
    [
        (1000, "10.00"), (10, "0.10"), (1, "0.01"), (0, "0.00"), (100_000_000_000, "1000000000.00"), (-1234, "-12.34"),
        (99_999_999_999_999_999, "999999999999999.99"),
    ],
)  # fmt: skip
def test_money_is_a_number_with_exactly_two_decimals(client: httpx.Client, minor: int, written: str) -> None:
    text = client.get("/api/v1/try/bill", params={"minor": minor}).text
    assert f'"total_amount":{written},"cost":null,"lines":[{written},0.00]' in text


@pytest.mark.parametrize("note", ['"\\u00001.00"', "\\u00001.00", '1.00"', "\\"])
def test_no_text_can_pass_for_money(client: httpx.Client, note: str) -> None:
    answer = client.get("/api/v1/try/bill", params={"minor": 1, "note": note})
    assert answer.json()["data"]["note"] == note


def test_times_are_rfc_3339_in_utc(client: httpx.Client) -> None:
    at = client.get("/api/v1/try/bill?minor=1").json()["data"]["at"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", at)


def test_head_answers_as_get_without_a_body(client: httpx.Client) -> None:
    answer = client.head("/livez")
    assert (answer.status_code, answer.text, answer.headers["content-length"]) == (200, "", "18")
