"""The OpenAPI document is valid, complete, and says what the registrations say."""

from typing import Any

import httpx
import pytest
from openapi_spec_validator import validate

from api.app import SUBJECTS
from api.openapi import Document
from tests.http import subjects


@pytest.fixture(scope="module")
def document(client: httpx.Client) -> dict[str, Any]:
    """What the server with the test's subjects says of itself."""
    answer = client.get("/api/v1/openapi.json")
    assert answer.headers["cache-control"] == "public, max-age=300"
    found: dict[str, Any] = answer.json()
    return found


def test_the_document_is_valid_openapi_3_1(document: dict[str, Any]) -> None:
    assert document["openapi"] == "3.1.0"
    validate(document)


def test_the_document_of_the_product_is_valid_and_names_operations_once() -> None:
    content = Document(SUBJECTS, "https://api.example.com").content
    validate(content)
    names = [operation["operationId"] for path in content["paths"].values() for operation in path.values()]
    assert len(names) == len(set(names))


def test_every_endpoint_is_documented(document: dict[str, Any]) -> None:
    documented = {(method.upper(), path) for path, each in document["paths"].items() for method in each}
    registered = {(each.declared.method, each.declared.template) for each in subjects.router.endpoints}
    assert registered <= documented


def test_an_operation_says_who_may_call_it_and_what_can_go_wrong(document: dict[str, Any]) -> None:
    paths = document["paths"]
    invite = paths["/api/v1/try/invitations"]["post"]
    assert invite["security"] == [{"session": []}]
    assert "*Invite members*" in invite["description"]
    assert set(invite["responses"]) == {"200", "400", "401", "403", "413", "415", "429", "500", "503"}
    assert "EMAIL_NOT_VERIFIED" in invite["responses"]["403"]["description"]
    assert "EMAIL_TAKEN" in paths["/api/v1/try/taken"]["get"]["responses"]["409"]["description"]
    send = paths["/api/v1/try/sends"]["post"]
    assert send["security"] == [{"apiKey": []}, {"apiKeyBearer": []}]
    assert "RateLimit-Policy" in send["responses"]["200"]["headers"]
    order = paths["/api/v1/try/orders"]["post"]
    assert [each["name"] for each in order["parameters"]] == ["Idempotency-Key"]


def test_summary_and_description_come_from_the_docstring(document: dict[str, Any]) -> None:
    operation = document["paths"]["/api/v1/try/people"]["post"]
    assert (operation["summary"], operation["description"]) == ("Add a person", "More about adding people.")


def test_bodies_answers_and_parameters_have_their_schemas(document: dict[str, Any]) -> None:
    paths, schemas = document["paths"], document["components"]["schemas"]
    operation = paths["/api/v1/try/people"]["post"]
    assert operation["requestBody"]["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/Person"}
    assert schemas["Person"]["additionalProperties"] is False
    envelope = operation["responses"]["201"]["content"]["application/json"]["schema"]
    assert envelope["properties"]["data"] == {"$ref": "#/components/schemas/Greeting"}
    assert schemas["Bill"]["properties"]["total_amount"]["type"] == "number"
    span = {each["name"]: each for each in paths["/api/v1/try/span"]["get"]["parameters"]}
    assert span["start_date"]["required"] is True
    assert span["start_date"]["schema"] == {"type": "string", "format": "date"}
    person = paths["/api/v1/try/people/{person_id}"]["get"]["parameters"][0]
    assert (person["in"], person["schema"]["format"]) == ("path", "uuid")
