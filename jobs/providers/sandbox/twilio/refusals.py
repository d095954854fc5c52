"""Twilio's error bodies."""

from starlette.responses import JSONResponse, Response


class TwilioRefusal(Exception):
    """An error answer: HTTP status, Twilio's numeric code and its sentence."""

    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(message)
        more = f"https://www.twilio.com/docs/errors/{code}"
        self.status = status
        self.body = {"code": code, "message": message, "more_info": more, "status": status}

    def response(self) -> JSONResponse:
        """The answer to send."""
        return JSONResponse(self.body, self.status)


def broken(status: int) -> Response:
    """What Twilio says when it fails by itself."""
    code = 20429 if status == 429 else 20500
    return TwilioRefusal(status, code, "The sandbox was told to fail this call.").response()
