"""What every adapter does in the same way: place the order, ask about it, and say in our words what a refusal means.

An order that was answered with one of DEFINITE_REJECTIONS was not accepted. Everything else is unknown, unless an
adapter knows its provider better and says so.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from ltx_mcp.domain.errors import Accepted, ErrorCode, JobError, ProviderError
from ltx_mcp.domain.quoting import shorten
from ltx_mcp.net.address import is_public_host
from ltx_mcp.net.provider_client import TRY_AGAIN, HttpRequest
from ltx_mcp.net.reply import PAGE, HttpResponse
from ltx_mcp.providers.base import AdapterContext, KeyCheck, find_id

REDIRECTS = frozenset(range(300, 309))
DEFINITE_REJECTIONS = frozenset({400, 401, 402, 403, 404, 405, 407, 413, 415, 422, 425, 429, 511}) | REDIRECTS
"""Statuses that mean the order was not accepted; redirects are not followed, and who sends them has done nothing."""
INTERMEDIARIES = {
    407: (
        "a proxy on the way asks for a name and a password",
        "Give it as http://name:password@host:3128 in HTTPS_PROXY.",
    ),
    511: ("this network asks to be signed in to first", "Sign in to the network in a browser, then order again."),
}
BY_STATUS = {
    400: ErrorCode.REJECTED,
    401: ErrorCode.KEY_REJECTED,
    402: ErrorCode.OUT_OF_CREDIT,
    403: ErrorCode.KEY_REJECTED,
    413: ErrorCode.REJECTED,
    415: ErrorCode.REJECTED,
    422: ErrorCode.REJECTED,
    429: ErrorCode.RATE_LIMITED,
}
NO_VIDEO = (
    "It is asked again until its time is over; it was made and may be charged: ask the provider's support for it."
)
FILTERS = ("content policy", "content_policy", "moderation", "nsfw", "safety")
REQUEST_ID = ("x-request-id", "x-fal-request-id")


@dataclass(frozen=True)
class ErrorReply:
    """What an answer that is no 2xx says: the provider's words and, where those say more than the status, our code and
    whether it is certain (`sure`) that the order was not accepted."""

    words: str
    code: ErrorCode | None = None
    sure: bool | None = None


ReadError = Callable[[HttpResponse], ErrorReply]


@dataclass(frozen=True)
class PlacedOrder:
    """A 2xx that names the order: the complete answer, the part of it with the id, and the id."""

    body: Any
    part: Mapping[str, Any]
    id: str


async def place_order(
    context: AdapterContext, call: HttpRequest, id_names: tuple[str, ...], read_error: ReadError
) -> PlacedOrder:
    """Send the one order; any 2xx with an id means that it was accepted. Raises ProviderError."""
    reply = await context.client.send_once(call)
    if not reply.ok:
        raise submission_error(context, reply, read_error(reply))
    part, order_id = find_id(reply.json, *id_names)
    if not order_id:
        raise submission_unknown(context, reply)
    return PlacedOrder(reply.json, part, order_id)


async def ask(context: AdapterContext, call: HttpRequest, read_error: ReadError) -> HttpResponse:
    """Ask about an order; gives a 2xx. Raises ProviderError."""
    reply = await context.client.request(call)
    if not reply.ok:
        raise poll_error(context, reply, read_error(reply).words)
    return reply


def filter_code(words: str) -> ErrorCode | None:
    """A filter's refusal, distinguished from a malformed order by its words, where it has no status of its own."""
    return ErrorCode.CONTENT_REFUSED if any(word in words.lower() for word in FILTERS) else None


def read_filtered(reply: HttpResponse, words: str) -> ErrorReply:
    """The error of a provider whose filter answers with one of several statuses, and in its own words."""
    return ErrorReply(words, filter_code(words) if reply.status_code in (400, 403, 422) else None)


def submission_error(context: AdapterContext, reply: HttpResponse, error: ErrorReply) -> ProviderError:
    """The error of an order that was not answered with a 2xx, or of an upload before it."""
    sure = reply.status_code in DEFINITE_REJECTIONS if error.sure is None else error.sure
    return _error(context, reply, error.words, error.code, "no" if sure else "unknown")


def submission_unknown(context: AdapterContext, reply: HttpResponse) -> ProviderError:
    """The error of a 2xx in which no order can be found: it may have been accepted."""
    message = f"{context.facts.name} answered the order with HTTP {reply.status_code} and nothing that names it."
    return _error(context, reply, reply.text, ErrorCode.BAD_REPLY, "unknown", (message, ""))


def poll_error(context: AdapterContext, reply: HttpResponse, detail: str = "") -> ProviderError:
    """The error of a question that was not answered: expired where the provider itself says it knows no such job."""
    own_words = isinstance(reply.json, dict)
    code = ErrorCode.EXPIRED if reply.status_code in (404, 410) and own_words else None
    if reply.ok:
        code = ErrorCode.BAD_REPLY
    return _error(context, reply, detail or reply.text, code, "yes")


def bad_reply(context: AdapterContext, what: str, message: str = "", hint: str = "") -> ProviderError:
    """The error of an answer that cannot be understood, to a question that may be asked again."""
    name, detail = context.facts.name, context.client.detail(what)
    message = message or f"{name} answered in a way that is not understood."
    return ProviderError(ErrorCode.BAD_REPLY, message, hint, provider=name, accepted="yes", detail=detail)


def no_video(context: AdapterContext, reply: Any, *documented: Any) -> ProviderError:
    """The error of an order that is done according to a reply without the address of a video: it quotes what came
    instead, from the documented place where something stands there."""
    came = next((value for value in documented if value), reply)
    words = came if isinstance(came, str) else json.dumps(came)
    message = f"{context.facts.name} says that it is done, but gives no address of a film."
    return bad_reply(context, f"completed without a film: {words}", message, NO_VIDEO)


def generation_error(context: AdapterContext, code: ErrorCode, detail: str) -> JobError:
    """Why an order that was accepted ended without a video."""
    message, hint = _sentence(context, code, "")
    if code is ErrorCode.UNAVAILABLE:
        message = f"{context.facts.name} took the order but could not make the film."
    return JobError(code, message, hint, context.client.detail(detail))


def key_checked(
    context: AdapterContext, reply: HttpResponse, detail: str, code: ErrorCode | None = None, *, own: bool
) -> KeyCheck:
    """What the answer about an order that does not exist says about the key. `own`: it has the form of the service's
    own answers; only such an answer can say that nothing is wrong."""
    status = reply.status_code
    is_foreign = 300 <= status < 400 or (status < 500 and reply.text == PAGE)
    problem: JobError | None = None
    if is_foreign or ((reply.ok or status in (404, 410)) and not own):
        message = f"Something else than {context.facts.name} answers there (HTTP {status})."
        problem = JobError(ErrorCode.BAD_REPLY, message, "", context.client.detail(reply.text))
    elif not reply.ok and status not in (404, 410):
        problem = JobError.of(_error(context, reply, detail, code, "yes"))
    return KeyCheck(problem, reply.server_time)


def _error(
    context: AdapterContext,
    reply: HttpResponse,
    detail: str,
    code: ErrorCode | None,
    accepted: Accepted,
    sentence: tuple[str, str] | None = None,
) -> ProviderError:
    """With the message and hint of `sentence`, or else those that fit the status and the code."""
    code = code or BY_STATUS.get(reply.status_code, ErrorCode.UNAVAILABLE)
    usual = _intermediary(context, reply) or _sentence(context, code, f" (HTTP {reply.status_code})")
    message, hint = sentence or usual
    request_id = next((reply.headers[name] for name in REQUEST_ID if name in reply.headers), "")
    return ProviderError(
        code,
        message,
        hint,
        provider=context.facts.name,
        accepted=accepted,
        status_code=reply.status_code,
        request_id=context.client.detail(request_id)[:80],
        detail=context.client.detail(detail),
        retry_after_s=reply.retry_after_s(context.now()),
    )


def _intermediary(context: AdapterContext, reply: HttpResponse) -> tuple[str, str] | None:
    """The sentence for what something between here and the provider answered."""
    name, status = context.facts.name, f" (HTTP {reply.status_code})"
    if reply.status_code in INTERMEDIARIES:
        what, fix = INTERMEDIARIES[reply.status_code]
        return f"{name} was not reached: {what}{status}.", fix
    if reply.status_code not in REDIRECTS:
        return None
    to = _host_of(reply.headers.get("location", ""))
    settings = " or ".join(context.facts.url_env.values())
    fix = (
        f"Look whether a sign-in page or a proxy stands in between, or correct {settings}: no order follows a redirect."
    )
    return f"{name} was not reached: what answers there sends on{f' to {to}' if to else ''}{status}.", fix


def _host_of(address: str) -> str:
    try:
        host = urlsplit(address).hostname or ""
    except ValueError:
        return ""
    return shorten(host) if is_public_host(host) else ""


def _sentence(context: AdapterContext, code: ErrorCode, status: str) -> tuple[str, str]:
    name, keys = context.facts.name, " or ".join(context.facts.key_env)
    match code:
        case ErrorCode.KEY_REJECTED:
            return f"{name} does not accept the key{status}.", f"Check {keys}, or choose another provider."
        case ErrorCode.OUT_OF_CREDIT:
            return f"The account at {name} has no credit left{status}.", "Top it up, or choose another provider."
        case ErrorCode.RATE_LIMITED:
            return f"{name} has too many orders of this account at once{status}.", "Order again in a few minutes."
        case ErrorCode.CONTENT_REFUSED:
            return (
                f"{name} refused what the prompt or a picture shows{status}.",
                "Change the prompt or the picture; another provider is not a way around a filter.",
            )
        case ErrorCode.REJECTED:
            return f"{name} refused the order as it was put{status}.", "provider_detail says why; change the request."
        case ErrorCode.EXPIRED:
            return f"{name} does not know this order any more{status}.", "The film is gone there; ask its support."
        case ErrorCode.BAD_REPLY:
            return f"{name} answered in a way that is not understood{status}.", ""
    return f"{name} cannot be used now{status}.", TRY_AGAIN
