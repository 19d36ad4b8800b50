"""Reaching an address that somebody else named: only public hosts, vetted once, with nothing sent along.

Here: the fetch of a caller's URL, and single hops for the uploads and downloads that providers point at.
"""

import ssl
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass
from functools import cache
from ipaddress import ip_address
from pathlib import Path
from socket import SOCK_STREAM
from typing import Any

import anyio
import httpx
from anyio import to_thread

from ltx_mcp.domain.errors import CallerError, ErrorCode
from ltx_mcp.domain.quoting import shorten
from ltx_mcp.net import redact  # noqa: F401 (puts its filters on the loggers of httpx)
from ltx_mcp.net.address import Address, is_public, is_public_or_loopback
from ltx_mcp.private import open_private

Resolver = Callable[[str, int], Awaitable[Sequence[Address]]]

_CONNECT_S = 10.0
_MOST_ADDRESSES = 4
_NOT_PUBLIC = "does not lead to a public address"


@cache
def trusted(*, environment: bool) -> ssl.SSLContext:
    """The certificates that are trusted, with `environment` also those SSL_CERT_FILE names; read once, because that
    takes longer than an order."""
    return httpx.create_ssl_context(trust_env=environment)


class Refused(Exception):
    """Why a hop was not made, or a fetch given up, as the middle of a sentence."""


async def resolve(host: str, port: int) -> Sequence[Address]:
    """The addresses of a name, as this machine sees them."""
    found = await anyio.getaddrinfo(host, port, type=SOCK_STREAM)
    return [ip_address(entry[4][0]) for entry in found]


@dataclass(frozen=True)
class Rules:
    """Where a hop may go. `plain` admits http to loopback addresses."""

    resolver: Resolver = resolve
    trust: ssl.SSLContext | None = None
    allow: Callable[[Address], bool] = is_public
    plain: bool = False


def provider_rules(*, near: bool) -> Rules:
    """For what a provider points at: public addresses, and this machine's own when the provider is there itself."""
    trust = trusted(environment=True)
    return Rules(trust=trust, allow=is_public_or_loopback, plain=True) if near else Rules(trust=trust)


async def fetch_public(
    url: str,
    out: Path,
    *,
    argument: str,
    max_bytes: int,
    timeout_s: float = 30,
    redirects: int = 3,
    resolver: Resolver = resolve,
    trust: ssl.SSLContext | None = None,
    allow: Callable[[Address], bool] = is_public,
) -> str:
    """Copy what a caller's https URL leads to into the new file `out`; gives the content type.

    Every hop must be https and lead to public addresses only. Nothing is sent but the request: no
    cookie, no credential, no proxy. Any failure removes `out` and is a CallerError that names `argument`.
    """
    rules = Rules(resolver, trust, allow)
    try:
        with anyio.fail_after(timeout_s):
            return await _fetch(url, out, rules, max_bytes, redirects)
    except (Refused, httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
        sentence = (
            f"{argument}: {shown(url)} {_reason(error, timeout_s)}; give an https URL without user name or"
            f" password, on a public server, of at most {max_bytes / 1e6:g} MB."
        )
        raise CallerError(ErrorCode.INPUT_FAILED, sentence) from error


async def _fetch(address: str, out: Path, rules: Rules, max_bytes: int, redirects: int) -> str:
    async with get(address, rules, redirects=redirects) as answer:
        return await _save(answer, out, max_bytes)


@asynccontextmanager
async def get(
    address: str,
    rules: Rules,
    *,
    headers: Mapping[str, str] | None = None,
    redirects: int = 3,
    read_s: float | None = None,
) -> AsyncIterator[httpx.Response]:
    """The answer to a GET after at most `redirects` redirects, each hop vetted anew; the body is not yet read.
    `read_s` is the longest silence, and the longest wait for the head; without it the caller must bound the whole.

    Raises Refused, TimeoutError, httpx.HTTPError, httpx.InvalidURL or ValueError.
    """
    url = _checked(httpx.URL(address), rules)
    for _ in range(redirects + 1):
        async with AsyncExitStack() as stack:
            with anyio.fail_after(None if read_s is None else read_s + _CONNECT_S):  # a head may come bit by bit, too
                answer = await stack.enter_async_context(hop("GET", url, rules, headers or {}, read_s=read_s))
            if not answer.has_redirect_location:
                yield answer
                return
            url = _checked(url.join(answer.headers["location"]), rules)
    raise Refused(f"redirects more than {redirects} times")


def _checked(url: httpx.URL, rules: Rules) -> httpx.URL:
    if url.scheme not in ("https", "http" if rules.plain else "https") or not url.host:
        raise Refused("is not, or does not stay, an https URL")
    if url.userinfo:
        raise Refused("carries a user name or password")
    # httpx takes any number here; the socket would answer with an OverflowError.
    if (url.port or 443) > 65_535:
        raise Refused("names a port that does not exist")
    return url


@asynccontextmanager
async def hop(
    method: str,
    url: httpx.URL | str,
    rules: Rules,
    headers: Mapping[str, str],
    content: AsyncIterable[bytes] | None = None,
    read_s: float | None = None,
) -> AsyncIterator[httpx.Response]:
    """One request, on a transport of its own: nothing learned from one server is shown to the next."""
    url = _checked(httpx.URL(url), rules)
    verify = trusted(environment=False) if rules.trust is None else rules.trust
    addresses = await _vetted(url, rules)

    def request(address: Address) -> httpx.Request:
        return _request(method, url, address, headers, content, read_s)

    async with (
        httpx.AsyncHTTPTransport(verify=verify, trust_env=False) as transport,
        aclosing(await _connect(transport, request, addresses)) as answer,
    ):
        yield answer


async def _vetted(url: httpx.URL, rules: Rules) -> Sequence[Address]:
    # A name that does not exist and one that is private get the same answer: no map of the inner network.
    try:
        port = url.port or (443 if url.scheme == "https" else 80)
        addresses = await rules.resolver(url.raw_host.decode("ascii").strip("[]"), port)
    except (OSError, UnicodeError) as error:
        raise Refused(_NOT_PUBLIC) from error
    if not addresses or not all(rules.allow(address) for address in addresses):
        raise Refused(_NOT_PUBLIC)
    if url.scheme == "http" and not all(address.is_loopback for address in addresses):
        raise Refused("is not, or does not stay, an https URL")
    return addresses[:_MOST_ADDRESSES]


async def _connect(
    transport: httpx.AsyncHTTPTransport, request: Callable[[Address], httpx.Request], addresses: Sequence[Address]
) -> httpx.Response:
    for address in addresses[:-1]:
        try:
            return await transport.handle_async_request(request(address))
        except (httpx.ConnectError, httpx.ConnectTimeout):
            continue
    return await transport.handle_async_request(request(addresses[-1]))


def _request(
    method: str,
    url: httpx.URL,
    address: Address,
    headers: Mapping[str, str],
    content: AsyncIterable[bytes] | None,
    read_s: float | None,
) -> httpx.Request:
    """A request that goes to the vetted address itself, while TLS and Host keep the name.

    The name is never resolved a second time, so an answer that changes in between changes nothing.
    """
    ours = {
        "Host": url.netloc.decode("ascii"),
        "Accept": "*/*",
        "Accept-Encoding": "identity",
        "User-Agent": "ltx-mcp",
    }
    return httpx.Request(
        method,
        url.copy_with(host=str(address)),
        headers={**ours, **headers},
        content=content,
        extensions={
            "sni_hostname": url.raw_host.decode("ascii"),
            "timeout": {"connect": _CONNECT_S, "read": read_s, "write": read_s},
            "trace": _peer_check(address),
        },
    )


def _peer_check(address: Address) -> Callable[[str, dict[str, Any]], Awaitable[None]]:
    """Looks at the connected socket before TLS starts: the last word on where the bytes go."""

    async def check(event: str, info: dict[str, Any]) -> None:
        if event != "connection.connect_tcp.complete":
            return
        stream = info["return_value"]
        peer = stream.get_extra_info("server_addr")
        if peer is None or ip_address(peer[0]) != address:
            await stream.aclose()
            raise Refused(_NOT_PUBLIC)

    return check


async def _save(answer: httpx.Response, out: Path, max_bytes: int) -> str:
    _check_head(answer, max_bytes)
    size_bytes = 0
    with await to_thread.run_sync(open_private, out, "xb") as file:
        try:
            async for chunk in answer.aiter_raw():
                size_bytes += len(chunk)
                if size_bytes > max_bytes:
                    raise Refused("is too large")
                await to_thread.run_sync(file.write, chunk)
            file.flush()
        except BaseException:
            # Closed first: Windows does not remove an open file.
            file.close()
            out.unlink(missing_ok=True)
            raise
    return str(answer.headers.get("content-type", ""))


def _check_head(answer: httpx.Response, max_bytes: int) -> None:
    if answer.status_code != 200:
        raise Refused(f"answered with HTTP status {answer.status_code}")
    # Asked for as it is; unpacking what is packed all the same could fill the disk from a few bytes.
    if answer.headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise Refused("is sent in a compressed form that was not asked for")
    length = answer.headers.get("content-length", "")
    if length.isdecimal() and int(length) > max_bytes:
        raise Refused("is too large")


def _reason(error: Exception, timeout_s: float) -> str:
    if isinstance(error, Refused):
        return str(error)
    if isinstance(error, TimeoutError | httpx.TimeoutException):
        return f"did not arrive within {timeout_s:g} s"
    if isinstance(error, httpx.InvalidURL | ValueError):
        return "is, or redirects to, a malformed URL"
    if isinstance(error, OSError):
        return "could not be kept on this machine"
    return "could not be fetched, because the connection failed"


def shown(url: str) -> str:
    """Server and path of a URL; the rest may be a signature or a password."""
    try:
        read = httpx.URL(url)
        path = read.raw_path.split(b"?")[0]
        return shorten(f"{read.scheme}://{read.netloc.decode('ascii')}{path.decode('ascii')}")
    except (httpx.InvalidURL, ValueError):
        return "this URL"
