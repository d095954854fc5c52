"""One operation of the OpenAPI document: parameters, body, answers and errors of one endpoint."""

import inspect
from typing import Any

from api.declaration import AccessRule
from api.endpoint import Endpoint
from api.error_table import ERRORS
from api.permissions import PUBLIC, SIGNED, Permission, Scope

Json = dict[str, Any]

SECURITY_SCHEMES: Json = {
    "session": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": "The token of a log-in"},
    "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "An API key: `sk_…`"},
    "apiKeyBearer": {"type": "http", "scheme": "bearer", "description": "An API key as a bearer token"},
}

ERROR_SCHEMAS: Json = {
    "Error": {
        "type": "object",
        "required": ["success", "error"],
        "properties": {
            "success": {"const": False},
            "error": {
                "type": "object",
                "required": ["code", "message", "details", "request_id", "doc_url"],
                "properties": {
                    "code": {"type": "string", "enum": list(ERRORS)},
                    "message": {"type": "string", "description": "A sentence for people"},
                    "details": {"type": "object", "description": "Facts for programs"},
                    "request_id": {"type": "string"},
                    "doc_url": {"type": "string", "format": "uri"},
                },
            },
        },
    },
    "Problem": {
        "type": "object",
        "description": "RFC 9457, when `Accept` asks for application/problem+json",
        "required": ["type", "title", "status", "detail", "code", "details", "request_id"],
        "properties": {
            "type": {"type": "string", "format": "uri"},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string"},
            "code": {"type": "string", "enum": list(ERRORS)},
            "details": {"type": "object"},
            "request_id": {"type": "string"},
        },
    },
}

_ALWAYS = ("INTERNAL_ERROR", "SERVICE_UNAVAILABLE")
_SESSION = ("UNAUTHORIZED", "INVALID_TOKEN_FORMAT", "INVALID_TOKEN", "ORGANIZATION_SUSPENDED")
_KEY = (
    "INVALID_REQUEST", "MISSING_API_KEY", "INVALID_API_KEY", "PERMISSION_DENIED", "ORGANIZATION_SUSPENDED",
    "RATE_LIMIT_EXCEEDED", "QUOTA_EXCEEDED",
)  # fmt: skip
_KEY_HEADERS = ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset", "RateLimit-Policy", "RateLimit")

_TEXT_HEADER: Json = {"schema": {"type": "string"}}
_IDEMPOTENCY_KEY: Json = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "1 to 255 visible characters; for 24 hours the same request with the same key gets the same answer",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
}


def operation(endpoint: Endpoint, types: Json, definitions: Json) -> Json:
    """The operation object of an endpoint from the schemas of its types and the definitions they refer to."""
    declared = endpoint.declared
    summary, _, rest = (inspect.getdoc(endpoint.handler) or endpoint.handler.__name__).partition("\n")
    result: Json = {
        "operationId": f"{declared.tag}_{endpoint.handler.__name__}".lower().replace(" ", "_"),
        "tags": [declared.tag],
        "summary": summary.rstrip("."),
        "description": "\n\n".join(part for part in (rest.strip(), _who(declared.access)) if part),
        "security": _security(declared.access),
        "parameters": _parameters(endpoint, types, definitions),
        "responses": {str(declared.status): _success(endpoint, types), **_errors(_codes(endpoint))},
    }
    if "body" in types:
        required = any(field.is_required() for field in endpoint.types.body.model_fields.values())
        result["requestBody"] = {"required": required, "content": {"application/json": {"schema": types["body"]}}}
    elif declared.access is SIGNED:
        result["requestBody"] = {"required": True, "content": {"application/json": {"schema": {"type": "object"}}}}
    return result


def _who(access: AccessRule) -> str:
    if isinstance(access, Permission):
        return f"Needs the permission *{access.value}*."
    if isinstance(access, Scope):
        return f"Needs an API key with the scope `{access.value}`."
    return {PUBLIC: "", SIGNED: "Signed by the sender."}.get(access, "For any member of the organization.")


def _security(access: AccessRule) -> list[Json]:
    if isinstance(access, Scope):
        return [{"apiKey": []}, {"apiKeyBearer": []}]
    return [] if access in (PUBLIC, SIGNED) else [{"session": []}]


def _parameters(endpoint: Endpoint, types: Json, definitions: Json) -> list[Json]:
    found = [
        {"name": name, "in": "path", "required": True, "schema": types.get(name, {"type": "string"})}
        for name in endpoint.types.path
    ]
    if "query" in types:
        found += _query(_resolved(types["query"], definitions))
    if _takes_key(endpoint):
        found.append(_IDEMPOTENCY_KEY)
    return found


def _takes_key(endpoint: Endpoint) -> bool:
    """Whether an Idempotency-Key counts: for callers of an organization as declared, else as the handler says."""
    return endpoint.declared.idempotent or "IDEMPOTENCY_KEY_REUSED" in endpoint.declared.errors


def _query(schema: Json) -> list[Json]:
    required = schema.get("required", [])
    return [
        {
            "name": name,
            "in": "query",
            "required": name in required,
            "description": each.get("description", ""),
            "schema": {key: value for key, value in each.items() if key not in ("title", "description")},
        }
        for name, each in schema.get("properties", {}).items()
    ]


def _resolved(schema: Json, definitions: Json) -> Json:
    name = schema.get("$ref", "").rpartition("/")[2]
    resolved: Json = definitions[name] if name else schema
    return resolved


def _success(endpoint: Endpoint, types: Json) -> Json:
    headers = {"X-Request-ID": _TEXT_HEADER}
    if isinstance(endpoint.declared.access, Scope):
        headers |= dict.fromkeys(_KEY_HEADERS, _TEXT_HEADER)
    if _takes_key(endpoint):
        headers["Idempotent-Replayed"] = _TEXT_HEADER
    answer: Json = {"description": endpoint.declared.message, "headers": headers}
    if endpoint.enveloped:
        properties = {"success": {"const": True}, "message": {"type": "string"}, "data": types["answer"]}
        schema = {"type": "object", "required": ["success", "message", "data"], "properties": properties}
        answer["content"] = {"application/json": {"schema": schema}}
    return answer


def _codes(endpoint: Endpoint) -> dict[str, int]:
    """The error codes of an endpoint by what it declares, each with its usual status."""
    declared, types = endpoint.declared, endpoint.types
    codes = [*_ALWAYS, *declared.errors]
    if isinstance(declared.access, Scope):
        codes += _KEY
    elif declared.access not in (PUBLIC, SIGNED):
        codes += _SESSION
    for code, applies in {
        "VALIDATION_ERROR": types.body or types.query,
        "INVALID_REQUEST": types.body or declared.idempotent or declared.access is SIGNED,
        "NOT_FOUND": types.path,
        "PERMISSION_DENIED": isinstance(declared.access, Permission),
        "EMAIL_NOT_VERIFIED": declared.verified,
        "RATE_LIMIT_EXCEEDED": declared.limit,
        "IDEMPOTENCY_KEY_IN_USE": declared.idempotent,
        "IDEMPOTENCY_KEY_REUSED": declared.idempotent,
    }.items():
        codes += [code] if applies else []
    return {code: ERRORS[code].status for code in codes}


def _errors(codes: dict[str, int]) -> Json:
    """The error answers, one a status, naming every code that comes with it."""
    found: Json = {}
    for status in sorted(set(codes.values())):
        same = [code for code, each in codes.items() if each == status]
        found[str(status)] = _error_answer(same)
    if "INVALID_REQUEST" in codes:
        found["413"] = found["415"] = _error_answer(["INVALID_REQUEST"])
    return found


def _error_answer(codes: list[str]) -> Json:
    examples = {code: {"$ref": f"#/components/examples/{code}"} for code in codes}
    return {
        "description": "; ".join(f"`{code}`: {ERRORS[code].title}" for code in codes),
        "headers": {"X-Request-ID": _TEXT_HEADER},
        "content": {
            "application/json": {"schema": {"$ref": "#/components/schemas/Error"}, "examples": examples},
            "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}},
        },
    }
