"""What a provider's refusal means, in our words: the same rule for every one of them.

An order that was answered with one of DEFINITE_REJECTIONS was not taken. Everything else is unknown, unless an adapter
knows its provider better and says so.
"""

import json
from typing import Any
from urllib.parse import urlsplit

from ltx_mcp.domain.errors import Accepted, ErrorCode, JobError, ProviderError
from ltx_mcp.domain.quoting import shorten
from ltx_mcp.net.address import is_public_host
from ltx_mcp.net.reply import PAGE, HttpResponse
from ltx_mcp.providers.base import AdapterContext, KeyCheck

REDIRECTS = frozenset(range(300, 309))
DEFINITE_REJECTIONS = frozenset({400, 401, 402, 403, 404, 405, 407, 413, 415, 422, 425, 429, 511}) | REDIRECTS
"""Statuses of who did not take the order; redirects are not followed, and the host that sends them has done nothing."""
IN_BETWEEN = {
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
NO_FILM = "It is asked again until its time is over; it was made and may be charged: ask the provider's support for it."
REQUEST_ID = ("x-request-id", "x-fal-request-id")


def submission_error(
    context: AdapterContext,
    reply: HttpResponse,
    detail: str,
    code: ErrorCode | None = None,
    *,
    sure: bool | None = None,
) -> ProviderError:
    """The error of an order that was not answered with a 2xx. `sure` overrules what the status says."""
    certain = reply.status_code in DEFINITE_REJECTIONS if sure is None else sure
    return _error(context, reply, detail, code, "no" if certain else "unknown")


def submission_unknown(context: AdapterContext, reply: HttpResponse) -> ProviderError:
    """The error of a 2xx in which no order can be found: it may have been taken."""
    message = f"{context.facts.name} answered the order with HTTP {reply.status_code} and nothing that names it."
    return _made(context, reply, ErrorCode.BAD_REPLY, message, "", reply.text, "unknown")


def poll_error(context: AdapterContext, reply: HttpResponse, detail: str = "") -> ProviderError:
    """The error of a question that was not answered: expired where the provider itself says it knows of no such job."""
    own_words = isinstance(reply.json, dict)
    code = ErrorCode.EXPIRED if reply.status_code in (404, 410) and own_words else None
    if reply.ok:
        code = ErrorCode.BAD_REPLY
    return _error(context, reply, detail or reply.text, code, "yes")


def bad_reply(context: AdapterContext, what: str) -> ProviderError:
    """The error of an answer that cannot be understood, to a question that may be asked again."""
    name = context.facts.name
    message, detail = f"{name} answered in a way that is not understood.", context.client.detail(what)
    return ProviderError(ErrorCode.BAD_REPLY, message, provider=name, accepted="yes", detail=detail)


def no_film(context: AdapterContext, reply: Any, *documented: Any) -> ProviderError:
    """The error of an order that is said to be done by a reply without the address of a film: it tells what came
    instead, at the documented place where something stands there."""
    came = next((told for told in documented if told), reply)
    words = came if isinstance(came, str) else json.dumps(came)
    name, detail = context.facts.name, context.client.detail(f"completed without a film: {words}")
    message = f"{name} says that it is done, but gives no address of a film."
    return ProviderError(ErrorCode.BAD_REPLY, message, NO_FILM, provider=name, accepted="yes", detail=detail)


def generation_error(context: AdapterContext, code: ErrorCode, detail: str) -> JobError:
    """Why an order that was taken ended without a film."""
    message, hint = _sentence(context, code, "")
    if code is ErrorCode.UNAVAILABLE:
        message = f"{context.facts.name} took the order but could not make the film."
    return JobError(code, message, hint, context.client.detail(detail))


def key_checked(
    context: AdapterContext, reply: HttpResponse, detail: str, code: ErrorCode | None = None, *, own: bool
) -> KeyCheck:
    """What the answer about an order that does not exist says of the key. `own`: it has the form of the service's own
    answers; only such a one can say that nothing is wrong."""
    status = reply.status_code
    stranger = 300 <= status < 400 or (status < 500 and reply.text == PAGE)
    if own and not stranger and (reply.ok or status in (404, 410)):
        return KeyCheck(None, reply.told_at)
    if stranger or reply.ok or status in (404, 410):
        message = f"Something else than {context.facts.name} answers there (HTTP {status})."
        return KeyCheck(JobError(ErrorCode.BAD_REPLY, message, "", context.client.detail(reply.text)), reply.told_at)
    return KeyCheck(JobError.of(_error(context, reply, detail, code, "yes")), reply.told_at)


def _error(
    context: AdapterContext, reply: HttpResponse, detail: str, code: ErrorCode | None, accepted: Accepted
) -> ProviderError:
    code = code or BY_STATUS.get(reply.status_code, ErrorCode.UNAVAILABLE)
    message, hint = _in_between(context, reply) or _sentence(context, code, f" (HTTP {reply.status_code})")
    return _made(context, reply, code, message, hint, detail, accepted)


def _made(
    context: AdapterContext,
    reply: HttpResponse,
    code: ErrorCode,
    message: str,
    hint: str,
    detail: str,
    accepted: Accepted,
) -> ProviderError:
    return ProviderError(
        code,
        message,
        hint,
        provider=context.facts.name,
        accepted=accepted,
        status_code=reply.status_code,
        request_id=_request_id(context, reply),
        detail=context.client.detail(detail),
        retry_after_s=reply.retry_after_s(context.now()),
    )


def _in_between(context: AdapterContext, reply: HttpResponse) -> tuple[str, str] | None:
    """The sentence for what somebody between here and the provider answered."""
    name, status = context.facts.name, f" (HTTP {reply.status_code})"
    if reply.status_code in IN_BETWEEN:
        what, mend = IN_BETWEEN[reply.status_code]
        return f"{name} was not reached: {what}{status}.", mend
    if reply.status_code not in REDIRECTS:
        return None
    to = _host_of(reply.headers.get("location", ""))
    settings = " or ".join(context.facts.url_env.values())
    mend = (
        f"Look whether a sign-in page or a proxy stands in between, or correct {settings}: no order follows a redirect."
    )
    return f"{name} was not reached: what answers there sends on{f' to {to}' if to else ''}{status}.", mend


def _host_of(address: str) -> str:
    try:
        host = urlsplit(address).hostname or ""
    except ValueError:
        return ""
    return shorten(host) if is_public_host(host) else ""


def _request_id(context: AdapterContext, reply: HttpResponse) -> str:
    found = next((reply.headers[name] for name in REQUEST_ID if name in reply.headers), "")
    return context.client.detail(found)[:80]


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
    return f"{name} cannot be used now{status}.", "Order again in a few minutes, or choose another provider."
