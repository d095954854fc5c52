"""Errors have one shape, a code from the table, and give nothing away."""

import json
import socket
from typing import Any

import httpx
import pytest

from api.error_table import ERRORS

ADA = {"email": "ada@example.com", "name": "Ada", "password": "correct horse"}
PEOPLE = "/api/v1/try/people"


def error(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """The error of an answer, after checking everything that all errors share."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    body = answer.json()
    assert list(body) == ["success", "error"]
    assert body["success"] is False
    found: dict[str, Any] = body["error"]
    assert list(found) == ["code", "message", "details", "request_id", "doc_url"]
    assert found["code"] == code
    assert found["code"] in ERRORS
    assert found["request_id"] == answer.headers["x-request-id"]
    assert found["doc_url"] == f"https://api.example.com/docs/errors#{code}"
    return found


def test_every_wrong_field_is_named_at_once_and_no_value_is_echoed(client: httpx.Client) -> None:
    wrong = {
        "email": "nonsense-value",
        "password": "shorty!",
        "age": 151,
        "kind": "bird",
        "nickname": "x",
        "metadata": [],
    }
    found = error(client.post(PEOPLE, json=wrong), 400, "VALIDATION_ERROR")
    assert {each["field"]: each["reason"] for each in found["details"]["errors"]} == {
        "email": "Must be a valid e-mail address",
        "name": "This field is required",
        "password": "Must have at least 8 characters",
        "age": "Must be less than or equal to 150",
        "kind": "Must be 'cat' or 'dog'",
        "nickname": "This field is not known",
        "metadata": "Must be an object",
    }
    first = found["details"]["errors"][0]
    assert (found["details"]["field"], found["details"]["reason"]) == (first["field"], first["reason"])
    assert "nonsense-value" not in json.dumps(found)
    assert "shorty!" not in json.dumps(found)


def test_a_missing_field_reads_as_in_the_specification(client: httpx.Client) -> None:
    found = error(client.post(PEOPLE, json={"name": "Ada", "password": "correct horse"}), 400, "VALIDATION_ERROR")
    assert found["message"] == "Email is required"
    empty = error(client.post(PEOPLE, json={**ADA, "name": ""}), 400, "VALIDATION_ERROR")
    assert empty["details"]["reason"] == "This field cannot be empty"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("age", "5"), ("age", 1.5), ("age", True), ("age", None), ("name", 5), ("name", "a\u0000b"), ("name", "a\nb"),
        ("email", "ada@example.com\r\nBcc: x@example.com"), ("email", "a" * 250 + "@example.com"), ("email", []),
        ("metadata", {"deep": {"text": ["a\u0000b"]}}), ("password", "x" * 1025), ("password", "nul\u0000nul\u0000"),
    ],
)  # fmt: skip
def test_values_of_the_wrong_kind_are_refused(client: httpx.Client, field: str, value: object) -> None:
    found = error(client.post(PEOPLE, json={**ADA, field: value}), 400, "VALIDATION_ERROR")
    assert found["details"]["field"].split(".")[0] == field


def test_an_integral_float_is_an_integer_as_json_schema_has_it(client: httpx.Client) -> None:
    content = json.dumps({**ADA, "age": 41.0})
    answer = client.post(PEOPLE, content=content, headers={"Content-Type": "application/json; charset=utf-8"})
    assert answer.json()["data"]["age"] == 41


@pytest.mark.parametrize("content", [b"", b"{", b'{"email": }', b"\xff\xfe", b'{"a": "\xed\xa0\x80"}', b"[" * 100_000])
def test_what_is_not_json_is_an_invalid_request(client: httpx.Client, content: bytes) -> None:
    error(client.post(PEOPLE, content=content, headers={"Content-Type": "application/json"}), 400, "INVALID_REQUEST")


@pytest.mark.parametrize("content", [b"[]", b'"x"', b"null", b"5"])
def test_json_that_is_no_object_is_named(client: httpx.Client, content: bytes) -> None:
    answer = client.post(PEOPLE, content=content, headers={"Content-Type": "application/json"})
    found = error(answer, 400, "VALIDATION_ERROR")
    assert found["details"] == {
        "field": "body",
        "reason": "Must be an object",
        "errors": [{"field": "body", "reason": "Must be an object"}],
    }


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "application/jsonx", ""])
def test_another_content_type_is_415(client: httpx.Client, kind: str) -> None:
    error(client.post(PEOPLE, content=json.dumps(ADA), headers={"Content-Type": kind}), 415, "INVALID_REQUEST")


def test_a_body_may_be_left_out_when_every_field_is_optional(client: httpx.Client) -> None:
    assert client.post("/api/v1/try/notes").json()["data"] == {"text": "nothing"}


def test_a_declared_body_over_one_mebibyte_is_refused_before_it_is_read(client: httpx.Client) -> None:
    with socket.create_connection((client.base_url.host, client.base_url.port or 80)) as raw:
        raw.sendall(f"POST {PEOPLE} HTTP/1.1\r\nHost: x\r\nContent-Length: 1048577\r\n\r\n".encode())
        assert raw.recv(4096).startswith(b"HTTP/1.1 413 ")


def test_an_undeclared_body_over_one_mebibyte_is_refused_while_it_arrives(client: httpx.Client) -> None:
    parts = (b"x" * 65_536 for _ in range(17))
    answer = client.post(PEOPLE, content=parts, headers={"Content-Type": "application/json"})
    error(answer, 413, "INVALID_REQUEST")


def test_a_body_of_exactly_one_mebibyte_is_read(client: httpx.Client) -> None:
    content = json.dumps({"text": ""})[:-2]
    content += "x" * (1_048_576 - len(content) - 2) + '"}'
    answer = client.post("/api/v1/try/notes", content=content, headers={"Content-Type": "application/json"})
    assert answer.status_code == 200


def test_unknown_places_are_404_in_the_envelope(client: httpx.Client) -> None:
    for path in (
        "/",
        "/api/v1",
        "/api/v1/try/people/",
        "/static/none.css",
        "/static/../settings.py",
        "/api/v1/nowhere",
    ):
        error(client.get(path), 404, "NOT_FOUND")


@pytest.mark.parametrize(
    "path", ["people/5", "people/" + "x" * 36, "people/{0192f0c1-2b7d-7cc3-98c4-dc0c0c07398f}", "people/%00",
             "people/0192f0c1-2b7d-7cc3-98c4-dc0c0c07398f/tags/one"],
)  # fmt: skip
def test_a_malformed_id_is_not_found(client: httpx.Client, path: str) -> None:
    error(client.get(f"/api/v1/try/{path}"), 404, "NOT_FOUND")


def test_another_method_is_405_with_the_complete_list(client: httpx.Client) -> None:
    answer = client.put(PEOPLE, json=ADA)
    error(answer, 405, "METHOD_NOT_ALLOWED")
    assert answer.headers["allow"] == "POST"
    assert client.post("/livez").headers["allow"] == "GET, HEAD"
    assert client.request("OPTIONS", "/livez").status_code == 405


def test_a_fault_of_ours_shows_nothing_but_the_request_id(client: httpx.Client) -> None:
    answer = client.get("/api/v1/try/broken")
    found = error(answer, 500, "INTERNAL_ERROR")
    assert found["details"] == {}
    assert "hunter2" not in answer.text


def test_details_of_a_refusal_are_passed_on(client: httpx.Client) -> None:
    found = error(client.get("/api/v1/try/taken"), 409, "EMAIL_TAKEN")
    assert found["details"] == {"field": "email"}


def test_problem_details_come_when_asked_for(client: httpx.Client) -> None:
    answer = client.get("/api/v1/try/taken", headers={"Accept": "application/problem+json, application/json;q=0.5"})
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json() == {
        "type": "https://api.example.com/docs/errors#EMAIL_TAKEN",
        "title": ERRORS["EMAIL_TAKEN"].title,
        "status": 409,
        "detail": "This e-mail has an account",
        "code": "EMAIL_TAKEN",
        "details": {"field": "email"},
        "request_id": answer.headers["x-request-id"],
    }


def test_a_query_is_read_by_type_and_refused_by_name(client: httpx.Client) -> None:
    read = client.get("/api/v1/try/span?start_date=2026-01-31&tags=a&tags=b").json()["data"]
    assert read == {"start_date": "2026-01-31", "end_date": None, "tags": ["a", "b"]}
    wrong = client.get("/api/v1/try/span?start_date=31.1.2026&end=2026-02-01")
    found = error(wrong, 400, "VALIDATION_ERROR")
    assert found["details"]["errors"] == [
        {"field": "start_date", "reason": "Must be a date (YYYY-MM-DD)"},
        {"field": "end", "reason": "This field is not known"},
    ]


@pytest.mark.parametrize(
    "query", ["page=0", "page=x", "page=1&page=2", "limit=101", "page=%00", "page=9999999999999999999"]
)
def test_a_wrong_page_is_refused(client: httpx.Client, query: str) -> None:
    error(client.get(f"/api/v1/try/pages?{query}"), 400, "VALIDATION_ERROR")


def test_a_query_that_is_no_utf_8_is_an_invalid_request(client: httpx.Client) -> None:
    error(client.get("/api/v1/try/pages?page=%ff"), 400, "INVALID_REQUEST")


DAYS = ["0", "1.5", "20260131", "2026-02-30", "2026-01-31T00:00:00Z", " 2026-01-31", "٢٠٢٦-٠١-٣١"]
TIMES = ["2026-01-31T12:00:00", "2026-01-31", 0, "0", True, "2026-02-30T12:00:00Z"]
PAST_THE_CALENDAR = ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00"]


@pytest.mark.parametrize("day", DAYS)
def test_a_day_is_a_day_and_nothing_else(client: httpx.Client, day: str) -> None:
    found = error(client.get("/api/v1/try/span", params={"start_date": day}), 400, "VALIDATION_ERROR")
    assert found["details"]["reason"] == "Must be a date (YYYY-MM-DD)"


@pytest.mark.parametrize("time", [*TIMES, *PAST_THE_CALENDAR])
def test_what_is_no_time_is_refused(client: httpx.Client, time: object) -> None:
    found = error(client.post("/api/v1/try/times", json={"at": time}), 400, "VALIDATION_ERROR")
    assert found["details"]["reason"] == "Must be a time in RFC 3339"


def test_a_time_is_read_with_its_offset_and_written_in_utc(client: httpx.Client) -> None:
    answer = client.post("/api/v1/try/times", json={"at": "2026-01-31t12:00:00.5+02:00"})
    assert answer.json()["data"] == {"at": "2026-01-31T10:00:00.500000Z"}
