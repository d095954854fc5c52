"""Paystack's error bodies."""

from starlette.responses import JSONResponse, Response

ADVICE = "Ensure that you're passing the correct value(s)."


class PaystackRefusal(Exception):
    """An error answer: HTTP status, sentence and code."""

    def __init__(self, status: int, message: str, code: str, kind: str = "validation_error") -> None:
        super().__init__(message)
        self.status = status
        self.body = {"status": False, "message": message, "meta": {"nextStep": ADVICE}, "type": kind, "code": code}

    def response(self) -> JSONResponse:
        """The answer to send."""
        return JSONResponse(self.body, self.status)


def broken(status: int) -> Response:
    """What Paystack says when it fails by itself."""
    return PaystackRefusal(status, "The sandbox was told to fail this call.", "unknown", "api_error").response()
