"""One POST to an address that the operator named, to tell somebody something: judged and pinned, without redirects. Of
the answer nothing is kept but its status."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from ipaddress import ip_address
from socket import SOCK_STREAM, getaddrinfo
from typing import Any

import anyio
from anyio import from_thread
from anyio.lowlevel import current_token
from opentelemetry import context
from opentelemetry.context import _SUPPRESS_HTTP_INSTRUMENTATION_KEY as UNTRACED

from ltx_mcp.net.address import Address
from ltx_mcp.net.reply import read_retry_after
from ltx_mcp.net.route import Route
from ltx_mcp.net.ssrf import UNREACHED, EgressBlocked, EgressPolicy, Resolver, is_timeout, send_pinned

MAX_ANSWER_BYTES = 4_096
BODY_S = 1.0


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
    """Looks each name up in a thread of its own: a name server that is silent keeps no other name waiting, and who
    asks meanwhile waits for the same thread."""
    under_way: dict[tuple[str, int], _Lookup] = {}

    async def resolve_apart(host: str, port: int) -> Sequence[Address]:
        lookup = under_way.get((host, port))
        if lookup is None:
            lookup = _Lookup(partial(getaddrinfo, host, port, type=SOCK_STREAM))
            lookup.start(lambda: under_way.pop((host, port)))
            under_way[host, port] = lookup
        return await lookup.found()

    return resolve_apart


class _Lookup:
    """A name that is being looked up."""

    def __init__(self, resolve: Callable[[], Sequence[Any]]) -> None:
        self._resolve = resolve
        self._is_over = anyio.Event()
        self._found: Sequence[Address] = ()
        self._error: OSError | ValueError | None = None

    def start(self, ended: Callable[[], object]) -> None:
        """Begin; `ended` is called once it is over."""
        loop = current_token()

        def end() -> None:
            ended()
            self._is_over.set()

        def run() -> None:
            try:
                self._found = [ip_address(entry[4][0]) for entry in self._resolve()]
            except (OSError, ValueError) as error:
                self._error = error
            finally:
                with suppress(RuntimeError):  # nobody waits any more: all has ended
                    from_thread.run_sync(end, token=loop)

        # a process that ends does not wait for it
        threading.Thread(target=run, name="lookup", daemon=True).start()

    async def found(self) -> Sequence[Address]:
        """The addresses. Raises what the lookup raised."""
        await self._is_over.wait()
        if self._error is not None:
            raise self._error
        return self._found


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
