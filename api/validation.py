"""What was wrong with the fields of a request, in plain words: every field at once, and never a value."""

from pydantic_core import ErrorDetails

from db.errors import Invalid

REASONS = {
    "missing": "This field is required",
    "extra_forbidden": "This field is not known",
    "string_type": "Must be a string",
    "int_type": "Must be an integer",
    "int_parsing": "Must be an integer",
    "int_from_float": "Must be an integer",
    "float_type": "Must be a number",
    "bool_type": "Must be true or false",
    "bool_parsing": "Must be true or false",
    "list_type": "Must be a list",
    "dict_type": "Must be an object",
    "model_type": "Must be an object",
    "model_attributes_type": "Must be an object",
    "uuid_type": "Must be a UUID",
    "uuid_parsing": "Must be a UUID",
    "date_type": "Must be a date (YYYY-MM-DD)",
    "date_parsing": "Must be a date (YYYY-MM-DD)",
    "date_from_datetime_parsing": "Must be a date (YYYY-MM-DD)",
    "date_from_datetime_inexact": "Must be a date (YYYY-MM-DD)",
    "datetime_type": "Must be a time in RFC 3339",
    "datetime_parsing": "Must be a time in RFC 3339",
    "datetime_from_date_parsing": "Must be a time in RFC 3339",
    "timezone_aware": "Must be a time with its UTC offset",
    "string_pattern_mismatch": "Has the wrong form",
}

_LENGTHS = ("string_too_short", "string_too_long", "too_short", "too_long")


def invalid(errors: list[ErrorDetails], part: str) -> Invalid:
    """VALIDATION_ERROR for pydantic's findings, or INVALID_REQUEST when the text was not JSON at all."""
    if errors[0]["type"] == "json_invalid":
        where = str(errors[0].get("ctx", {}).get("error", ""))
        return Invalid("INVALID_REQUEST", "The body is not valid JSON", {"reason": where})
    return problems([(".".join(map(str, error["loc"]))[:128] or part, _reason(error)) for error in errors])


def problems(found: list[tuple[str, str]]) -> Invalid:
    """VALIDATION_ERROR naming each field with its reason."""
    field, reason = found[0]
    name = field.replace("_", " ").capitalize()
    message = f"{name} is required" if reason == REASONS["missing"] else f"{name}: {reason[0].lower()}{reason[1:]}"
    errors = [{"field": each, "reason": why} for each, why in found]
    return Invalid("VALIDATION_ERROR", message, {"field": field, "reason": reason, "errors": errors})


def _reason(error: ErrorDetails) -> str:
    kind, context = error["type"], error.get("ctx", {})
    if kind in _LENGTHS:
        least, most = context.get("min_length"), context.get("max_length")
        unit = "entries" if context.get("field_type") in ("List", "Tuple", "Set", "Dictionary") else "characters"
        if least == 1:
            return "This field cannot be empty"
        return f"Must have at least {least} {unit}" if least else f"Must have at most {most} {unit}"
    return REASONS.get(kind) or error["msg"].replace("Input should", "Must")
