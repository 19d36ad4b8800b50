"""One POST to an address that the operator named, to tell somebody something: judged and pinned, without redirects. Of
the answer nothing is kept but its status."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from ipaddress import ip_address
from socket import SOCK_STREAM, getaddrinfo

import anyio
import anyio.to_thread
from opentelemetry import context
from opentelemetry.context import _SUPPRESS_HTTP_INSTRUMENTATION_KEY as UNTRACED

from ltx_mcp.net.address import Address
from ltx_mcp.net.reply import read_retry_after
from ltx_mcp.net.route import Route
from ltx_mcp.net.ssrf import UNREACHED, EgressBlocked, EgressPolicy, Resolver, is_timeout, send_pinned

MAX_ANSWER_BYTES = 4_096
BODY_S = 1.0
LOOKUPS = 20
"""How many names may be looked up at a time."""


@dataclass(frozen=True)
class Posted:
    """What a receiver answered."""

    status_code: int
    retry_after_s: float | None = None


class NotPostedError(Exception):
    """Why there is no answer, in a few words that name no address."""


def public_policy(resolver: Resolver) -> EgressPolicy:
    """For https to public addresses, on the way that orders go."""
    return EgressPolicy(resolver=resolver, route=Route())


def inside_policy(resolver: Resolver) -> EgressPolicy:
    """For any address, and http too."""
    return EgressPolicy(resolver=resolver, allow=lambda address: True, allow_http=True, inside=True, route=Route())


def make_resolver() -> Resolver:
    """Looks names up in threads of its own: a name server that is silent keeps nobody else's lookups waiting."""
    limiter = anyio.CapacityLimiter(LOOKUPS)

    async def resolve_apart(host: str, port: int) -> list[Address]:
        look = partial(getaddrinfo, host, port, type=SOCK_STREAM)
        found = await anyio.to_thread.run_sync(look, limiter=limiter, abandon_on_cancel=True)
        return [ip_address(entry[4][0]) for entry in found]

    return resolve_apart


async def post(url: str, body: bytes, headers: Mapping[str, str], policy: EgressPolicy, within_s: float) -> Posted:
    """Send `body` once, all of it within `within_s`. Raises NotPostedError."""
    try:
        with anyio.fail_after(within_s), _untraced():
            async with send_pinned("POST", url, policy, headers, body, read_s=within_s) as answer:
                left = MAX_ANSWER_BYTES
                # its head says all; whoever sends a body has it read, within reason
                with anyio.move_on_after(BODY_S), suppress(*UNREACHED):
                    async for chunk in answer.aiter_raw():
                        if (left := left - len(chunk)) <= 0:
                            break
                wait_s = read_retry_after(answer.headers.get("retry-after", ""), datetime.now(UTC))
                return Posted(answer.status_code, wait_s)
    except UNREACHED as error:
        raise NotPostedError(_reason(error, within_s)) from error


def _reason(error: Exception, within_s: float) -> str:
    if isinstance(error, EgressBlocked):
        return str(error)
    return f"no answer within {within_s:g} s" if is_timeout(error) else "the connection failed"


@contextmanager
def _untraced() -> Iterator[None]:
    """Instruments of HTTP clients write whole addresses into their traces, which may hold a secret."""
    token = context.attach(context.set_value(UNTRACED, True))
    try:
        yield
    finally:
        context.detach(token)
