"""What is answered instead of an answer: one error object, as OpenAI's clients read it."""

from collections.abc import Mapping
from typing import Any

from starlette.responses import JSONResponse, Response

_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
LONGEST_MESSAGE = 600


class Refusal(Exception):
    """A status, one line for the person, the field it is about (``param``), and a word for programs (``code``)."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.param, self.code = status, param, code
        self.message = " ".join(message.split())[:LONGEST_MESSAGE]
        self.headers = dict(headers or {})

    def body(self) -> dict[str, Any]:
        """The error object."""
        kind = _TYPES.get(self.status, "invalid_request_error" if self.status < 500 else "server_error")
        return {"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}}

    def answer(self) -> Response:
        """The error object as a whole answer."""
        headers = {"WWW-Authenticate": "Bearer", **self.headers} if self.status == 401 else self.headers
        return JSONResponse(self.body(), self.status, headers)


def invalid(param: str | None, message: str, code: str | None = None) -> Refusal:
    """400: a field says what cannot be done."""
    return Refusal(400, f"{param}: {message}" if param else message, param=param, code=code)


def shutting_down() -> Refusal:
    """503: nothing new is taken."""
    return Refusal(503, "the server is shutting down", code="shutting_down", headers={"Retry-After": "5"})


def failed(message: str) -> Refusal:
    """500: the engine could not finish what it had begun."""
    return Refusal(500, message or "the engine failed", code="engine_failed")
