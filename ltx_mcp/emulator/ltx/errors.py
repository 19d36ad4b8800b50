"""The emulated LTX API's answers: its envelope of errors, Google's for the bucket, and the words it refuses with."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import uuid4

from starlette.responses import JSONResponse, PlainTextResponse, Response

from ltx_mcp.emulator.checks import retry_headers
from ltx_mcp.emulator.emulator_state import Fault
from ltx_mcp.emulator.wire import RequestRefused

NAME = "ltx"
KEY = "emulated-ltx-key"

ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "insufficient_funds_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    422: "content_filtered_error",
    429: "rate_limit_error",
    500: "api_error",
    503: "service_unavailable_error",
    529: "overloaded_error",
}
BLOCKED = "The content was blocked by the safety filter"
REFUSALS = {
    "locked": (402, "Estimated cost exceeds the available credits"),
    "content": (422, BLOCKED),
    "refuse": (400, "The request is not valid"),
}


def refuse(fault: Fault) -> Response:
    """The refusal a fault asks for, as the API words it."""
    status, message = fault.refusal(REFUSALS, "Emulated error")
    return to_error(status, message, fault.options.get("type"), fault.options.get("retry_after"))


def refuse_put(fault: Fault) -> Response:
    """The refusal a fault asks for, as the bucket words it."""
    status = fault.options.get("status", 400)
    return to_storage_error(status, fault.options.get("type", "InternalError" if status >= 500 else "InvalidArgument"))


def invalid(message: str) -> RequestRefused:
    """The refusal of an order that is not valid."""
    return RequestRefused(to_error(400, message))


def to_error(status: int, message: str, kind: str | None = None, retry_after_s: float | None = None) -> Response:
    """The API's envelope; a status it has no type for comes from a gateway in front of it, as plain text."""
    headers = retry_headers(retry_after_s)
    kind = kind or ERROR_TYPES.get(status)
    if kind is None:
        return PlainTextResponse("upstream request timeout", status, make_headers() | headers)
    return to_answer({"type": "error", "error": {"type": kind, "message": message}}, status, headers)


def to_storage_error(status: int, code: str, message: str = "The request was refused.") -> Response:
    """The bucket's envelope."""
    text = f"<?xml version='1.0' encoding='UTF-8'?><Error><Code>{code}</Code><Message>{message}</Message></Error>"
    return Response(text, status, media_type="application/xml")


def to_answer(body: Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """JSON with the id every answer has."""
    return JSONResponse(body, status, make_headers() | dict(headers or {}))


def make_headers() -> dict[str, str]:
    """The headers of every answer."""
    return {"x-request-id": uuid4().hex}


def to_time(at: datetime) -> str:
    """ISO 8601 with milliseconds and Z."""
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
