"""The table of error codes: status, title, and what to do about each; the documentation is printed from it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ErrorKind:
    """One row of the table: the HTTP status, a title for people, and what to do about it."""

    status: int
    title: str
    description: str


ERRORS: dict[str, ErrorKind] = {
    "VALIDATION_ERROR": ErrorKind(
        400,
        "A field is wrong",
        "`details.errors` names every wrong field with the reason; `details.field` and `details.reason` "
        "repeat the first. Values are never echoed.",
    ),
    "INVALID_REQUEST": ErrorKind(
        400,
        "The request could not be read",
        "The body is not JSON, has another content type (415), is larger than 1 MiB (413), or headers "
        "contradict each other.",
    ),
    "UNAUTHORIZED": ErrorKind(
        401,
        "Log in first",
        "Send `Authorization: Bearer TOKEN` with the token from logging in.",
    ),
    "INVALID_TOKEN_FORMAT": ErrorKind(
        401,
        "The Authorization header is malformed",
        "It must read `Bearer`, one space, and the token.",
    ),
    "INVALID_TOKEN": ErrorKind(
        401,
        "The token is not valid",
        "It is wrong, expired, used, or its session has ended. Log in again, or ask for a new link.",
    ),
    "INVALID_CREDENTIALS": ErrorKind(
        401,
        "Wrong e-mail or password",
        "The answer is the same whether or not the e-mail is known.",
    ),
    "MISSING_API_KEY": ErrorKind(
        401,
        "An API key is needed",
        "Send it in `X-API-Key`, or as `Authorization: Bearer sk_…`.",
    ),
    "INVALID_API_KEY": ErrorKind(
        401,
        "The API key is not valid",
        "Unknown, revoked and expired keys are answered alike.",
    ),
    "PERMISSION_DENIED": ErrorKind(
        403,
        "Not allowed",
        "Your role, or the key's scopes, do not include this. See the table of roles.",
    ),
    "EMAIL_NOT_VERIFIED": ErrorKind(
        403,
        "Verify your e-mail first",
        "Follow the link we sent, or ask for a new one with `POST /auth/request-email-verification`.",
    ),
    "ORGANIZATION_SUSPENDED": ErrorKind(
        403,
        "The organization is suspended",
        "API keys are suspended while an invoice is long overdue: its owner can log in and pay. Else contact support.",
    ),
    "NOT_FOUND": ErrorKind(
        404,
        "Not found",
        "Nothing here, or nothing that belongs to your organization.",
    ),
    "METHOD_NOT_ALLOWED": ErrorKind(
        405,
        "Method not allowed",
        "The `Allow` header lists what this address answers to.",
    ),
    "CONFLICT": ErrorKind(
        409,
        "Conflicts with the present state",
        "Read the resource again, then decide.",
    ),
    "EMAIL_TAKEN": ErrorKind(
        409,
        "The e-mail has an account already",
        "Log in instead; with the right password you can register a further organization.",
    ),
    "USER_EXISTS": ErrorKind(
        409,
        "Already a member",
        "This e-mail has a seat in the organization.",
    ),
    "INVITATION_EXISTS": ErrorKind(
        409,
        "Already invited",
        "A live invitation to this e-mail exists; resend or cancel it.",
    ),
    "ALREADY_VERIFIED": ErrorKind(
        409,
        "Already verified",
        "The e-mail address is verified; nothing is left to do.",
    ),
    "API_KEY_LIMIT_REACHED": ErrorKind(
        409,
        "No more active keys",
        "The plan's number of active API keys is reached; revoke one, or take a higher plan.",
    ),
    "LAST_OWNER": ErrorKind(
        409,
        "An organization needs an owner",
        "Hand over ownership before the last owner is changed or removed.",
    ),
    "IDEMPOTENCY_KEY_IN_USE": ErrorKind(
        409,
        "The first request is still running",
        "Another request with this Idempotency-Key has not finished; try again shortly.",
    ),
    "IDEMPOTENCY_KEY_REUSED": ErrorKind(
        422,
        "The key belongs to another request",
        "This Idempotency-Key was used with a different request; take a new one.",
    ),
    "RATE_LIMIT_EXCEEDED": ErrorKind(
        429,
        "Too many requests",
        "Wait for the seconds in `Retry-After`. A refused request does not count.",
    ),
    "QUOTA_EXCEEDED": ErrorKind(
        429,
        "The month's quota is used up",
        "It starts anew with the month (UTC), or at once with a higher plan.",
    ),
    "TOO_MANY_ATTEMPTS": ErrorKind(
        429,
        "Too many attempts",
        "Wait for the seconds in `Retry-After` before trying again.",
    ),
    "INTERNAL_ERROR": ErrorKind(
        500,
        "Something broke on our side",
        "It is logged under the request id; quote it to support.",
    ),
    "SERVICE_UNAVAILABLE": ErrorKind(
        503,
        "Not available just now",
        "Nothing was done. Try again after `Retry-After` seconds.",
    ),
}
