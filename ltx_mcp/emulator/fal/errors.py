"""The emulated fal.ai's answers to requests it refuses: its check of the key, and its two shapes of error."""

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ltx_mcp.emulator.checks import has_key
from ltx_mcp.emulator.emulator_state import EmulatorState, Fault
from ltx_mcp.emulator.wire import RequestRefused

NAME = "fal"
KEY = "5d0c1f0e-0000-4000-8000-00000000e111:an-emulated-secret"

PAGES = "https://docs.fal.ai/errors"
LOCKED = "User is locked. Reason: Exhausted balance. Top up your balance at fal.ai/dashboard/billing."
WORDS = {
    400: ("bad_request", "Bad request"),
    401: (None, "Invalid credentials"),
    403: (None, "Forbidden"),
    404: (None, "Not found"),
    429: ("concurrent_requests_limit", "Too many concurrent requests"),
    499: ("client_cancelled", "Request was cancelled by the client"),
    500: ("internal_error", "An unexpected internal error occurred"),
    502: ("runner_incomplete_response", "The runner sent an incomplete response"),
    503: ("runner_scheduling_failure", "No runner could be allocated"),
    504: ("request_timeout", "Request timed out"),
}
MODEL_ERRORS = frozenset(
    {"content_policy_violation", "no_media_generated", "file_download_error", "generation_timeout"}
    | {"internal_server_error", "downstream_service_error", "downstream_service_unavailable", "feature_not_supported"}
)
"""Types that come as a list of details whatever their status is."""


def model_error(details: list[dict[str, Any]], status: int = 422, *, retryable: bool = False) -> Response:
    """What a model says about its input: a list of `loc`, `msg`, `type` and perhaps `ctx` and `input`."""
    body = [{"url": f"{PAGES}/#{detail['type']}", **detail} for detail in details]
    return JSONResponse({"detail": body}, status, headers={"X-Fal-Retryable": str(retryable).lower()})


def infra_error(status: int, error_type: str | None = None, message: str | None = None, **headers: str) -> Response:
    """What the platform says about a request: a text, and mostly a type in the body and in a header."""
    usual_type, usual_message = WORDS.get(status, (None, "Request failed"))
    error_type = error_type or usual_type
    body = {"detail": message or usual_message} | ({"error_type": error_type} if error_type else {})
    if error_type:
        headers["x-fal-error-type"] = error_type
    if status == 429:
        headers["X-Fal-Needs-Retry"] = "1"
    return JSONResponse(body, status, headers=headers)


def refuse(fault: Fault) -> Response:
    """The refusal that a fault asks for."""
    match fault.kind:
        case "locked":
            return infra_error(403, message=LOCKED)
        case "content":
            return content_error(fault.options.get("message"))
        case "refuse":
            expected = {"expected": [6, 8, 10]}
            return model_error([detail("one_of", "duration", "Input should be 6, 8 or 10", 7, expected)])
    options = fault.options
    status, error_type, message = options.get("status", 500), options.get("type"), options.get("message")
    if status == 422 or error_type in MODEL_ERRORS:
        error_type = error_type or "value_error"
        return model_error([detail(error_type, None, message or "The request cannot be processed", None)], status)
    headers = {"Retry-After": str(options["retry_after"])} if "retry_after" in options else {}
    return infra_error(status, error_type, message, **headers)


def content_error(message: str | None = None) -> Response:
    """The safety filter."""
    sentence = message or "The content could not be processed because it was flagged by a content checker."
    return model_error([detail("content_policy_violation", "prompt", sentence, None)])


def detail(
    error_type: str, field: str | None, message: str, given: Any, ctx: dict[str, Any] | None = None
) -> dict[str, Any]:
    """One entry of a model's list."""
    loc = ["body", field] if field else ["body"]
    return {"loc": loc, "msg": message, "type": error_type, "input": given} | ({"ctx": ctx} if ctx else {})


def check_key(request: Request, state: EmulatorState) -> None:
    """`Authorization: Key id:secret`; the word is Key. `request.state.account` is then whose it is. Raises
    RequestRefused."""
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    if not key:
        raise RequestRefused(infra_error(401, message="Authentication is required to access this application"))
    if scheme != "Key" or not has_key(request, state, NAME, key, KEY):
        raise RequestRefused(infra_error(401, message="No user found for Key ID and Secret"))
