"""Reaching an address that somebody else named: only public hosts, vetted once, with nothing sent along. Through a
proxy, which finds the host itself, an address is judged by its form alone.

Here: the fetch of a caller's URL, single hops for the uploads and downloads that providers point at, and what carries
a request on its way.
"""

import ssl
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, suppress
from dataclasses import dataclass
from functools import cache, partial
from ipaddress import ip_address
from pathlib import Path
from socket import SOCK_STREAM
from typing import Any

import anyio
import httpx
from anyio import to_thread

from ltx_mcp import telemetry
from ltx_mcp.domain.errors import CallerError, ErrorCode
from ltx_mcp.domain.quoting import shorten
from ltx_mcp.net import redact  # noqa: F401 (puts its filters on the loggers of httpx)
from ltx_mcp.net.address import Address, is_public, is_public_host, is_public_or_loopback
from ltx_mcp.net.route import KEY_LOG, Proxy, Route, UnusableError, check_certificates
from ltx_mcp.private import open_private

Resolver = Callable[[str, int], Awaitable[Sequence[Address]]]

CONNECT_S, READ_S = 10.0, 60.0
"""How long a connection may take, and a host may be silent, unless a call says otherwise."""
ONE_BY_ONE = httpx.Limits(max_connections=10)
_MAX_ADDRESSES = 4
_NOT_PUBLIC = "does not lead to a public address"


@cache
def trusted(file: str = "", folder: str = "") -> ssl.SSLContext:
    """The certificates of this file or folder, else those that ship; read once, because that takes longer than an
    order. Raises UnusableError."""
    check_certificates(file, folder)
    try:
        if file or folder:
            return ssl.create_default_context(cafile=file or None, capath=folder or None)
        return httpx.create_ssl_context(trust_env=False)
    except OSError as error:
        raise UnusableError(KEY_LOG, f"TLS cannot be set up: {error.strerror or 'OpenSSL refuses'}") from error


@cache
def _no_trust() -> ssl.SSLContext:
    """For plain http: nothing is read for it."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def trust_of(route: Route | None) -> ssl.SSLContext:
    """The certificates to trust on this route; without one those that ship. Raises UnusableError."""
    return trusted() if route is None else trusted(*route.certificates)


class QuietTransport(httpx.AsyncHTTPTransport):
    """Requests of ours are in nobody's spans: an address may be signed, and a provider is told no trace of ours."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Without the instrumentation of httpx, where there is one."""
        with telemetry.kept_quiet():
            return await super().handle_async_request(request)


def make_transport(
    url: httpx.URL, route: Route | None, trust: ssl.SSLContext | None = None, limits: httpx.Limits = ONE_BY_ONE
) -> httpx.AsyncHTTPTransport:
    """What carries requests to the host of `url`, by the proxy that leads there or directly. Raises UnusableError."""
    verify = _no_trust() if url.scheme == "http" else trust or trust_of(route)
    proxy = proxy_of(url, route)
    try:
        through: httpx.Proxy | None = None
        if proxy is not None:
            proxy_trust = trust_of(route) if proxy.url.startswith("https:") else None
            through = httpx.Proxy(proxy.url, auth=proxy.login, ssl_context=proxy_trust)
        return QuietTransport(verify=verify, trust_env=False, proxy=through, limits=limits)
    except (httpx.InvalidURL, ValueError, ImportError) as error:
        if proxy is None:
            raise
        raise UnusableError(proxy.variable, "it is no address of a proxy") from error


def proxy_of(url: httpx.URL, route: Route | None) -> Proxy | None:
    """The proxy on the way to a host. Raises UnusableError."""
    if route is None or url.scheme != "https":
        return None
    return route.proxy(url.raw_host.decode("ascii"), url.port or 443)


SOCKS_ERRORS: tuple[type[Exception], ...] = ()
"""The errors of the optional library for SOCKS."""
with suppress(ImportError):
    from socksio import SOCKSError

    SOCKS_ERRORS = (SOCKSError,)
_NO_WAY: tuple[type[Exception], ...] = (httpx.ProxyError, httpx.ConnectError, httpx.ConnectTimeout, *SOCKS_ERRORS)


class EgressBlocked(Exception):
    """Why a request was not made, or a fetch given up, as the middle of a sentence."""


async def resolve(host: str, port: int) -> Sequence[Address]:
    """The addresses of a name, as this machine sees them."""
    found = await anyio.getaddrinfo(host, port, type=SOCK_STREAM)
    return [ip_address(entry[4][0]) for entry in found]


UNREACHED: tuple[type[Exception], ...] = (EgressBlocked, httpx.HTTPError, httpx.InvalidURL, OSError, ValueError)
"""What `get` may fail with."""


@dataclass(frozen=True)
class EgressPolicy:
    """Where a request may go. `allow_http` admits http to loopback addresses; with `inside` to all, and through a proxy
    hosts of an inner network too. Without a `route` no proxy is taken, and only the certificates that ship count."""

    resolver: Resolver = resolve
    trust: ssl.SSLContext | None = None
    allow: Callable[[Address], bool] = is_public
    allow_http: bool = False
    inside: bool = False
    route: Route | None = None


def provider_policy(route: Route, *, is_loopback: bool) -> EgressPolicy:
    """For what a provider points at: public addresses, and this machine's own when the provider is there itself; on the
    way that its orders go."""
    if is_loopback:
        return EgressPolicy(allow=is_public_or_loopback, allow_http=True, route=route)
    return EgressPolicy(route=route)


async def fetch_public(
    url: str,
    out: Path,
    *,
    argument: str,
    max_bytes: int,
    timeout_s: float = 30,
    redirects: int = 3,
    policy: EgressPolicy = EgressPolicy(),
) -> str:
    """Copy what a caller's https URL leads to into the new file `out`; gives the content type.

    Every hop must be https and lead to public addresses only. Nothing is sent but the request: no cookie, no
    credential. A policy with a `route` is for a caller who may use this machine's proxy: what goes through it is judged
    by its form alone. Any failure removes `out` and is a CallerError that names `argument`.
    """
    try:
        with anyio.fail_after(timeout_s):
            async with get(url, policy, redirects=redirects) as answer:
                return await _save(answer, out, max_bytes)
    except UNREACHED as error:
        sentence = (
            f"{argument}: {redacted_url(url)} {_reason(error, timeout_s)}; give an https URL without user name or"
            f" password, on a public server, of at most {max_bytes / 1e6:g} MB."
        )
        raise CallerError(ErrorCode.INPUT_FAILED, sentence) from error


@asynccontextmanager
async def get(
    address: str,
    policy: EgressPolicy,
    *,
    headers: Mapping[str, str] | None = None,
    redirects: int = 3,
    read_s: float | None = None,
) -> AsyncIterator[httpx.Response]:
    """The answer to a GET after at most `redirects` redirects, each vetted anew; the body is not yet read.
    `read_s` is the longest silence, and the longest wait for the head; without it the caller must bound the whole.

    Raises EgressBlocked, TimeoutError, httpx.HTTPError, httpx.InvalidURL or ValueError.
    """
    url = _checked(httpx.URL(address), policy)
    for _ in range(redirects + 1):
        async with AsyncExitStack() as stack:
            with anyio.fail_after(None if read_s is None else read_s + CONNECT_S):  # a head may come bit by bit, too
                answer = await stack.enter_async_context(send_pinned("GET", url, policy, headers or {}, read_s=read_s))
            if not answer.has_redirect_location:
                yield answer
                return
            url = _checked(url.join(answer.headers["location"]), policy)
    raise EgressBlocked(f"redirects more than {redirects} times")


async def reach(url: str, read_s: float) -> None:
    """Whether anything answers there, on the route that a video would take. Raises what `get` raises."""
    async with get(url, provider_policy(Route(), is_loopback=False), read_s=read_s):
        pass


def _checked(url: httpx.URL, policy: EgressPolicy) -> httpx.URL:
    if url.scheme not in ("https", "http" if policy.allow_http else "https") or not url.host:
        raise EgressBlocked("is not, or does not stay, an https URL")
    if url.userinfo:
        raise EgressBlocked("carries a user name or password")
    # httpx takes any number here; the socket would answer with an OverflowError.
    if (url.port or 443) > 65_535:
        raise EgressBlocked("names a port that does not exist")
    return url


@asynccontextmanager
async def send_pinned(
    method: str,
    url: httpx.URL | str,
    policy: EgressPolicy,
    headers: Mapping[str, str],
    content: AsyncIterable[bytes] | bytes | None = None,
    read_s: float | None = None,
) -> AsyncIterator[httpx.Response]:
    """One request, on a transport of its own: nothing learned from one server is shown to the next."""
    url = _checked(httpx.URL(url), policy)
    try:
        proxy = proxy_of(url, policy.route)
        transport = make_transport(url, policy.route, policy.trust)
    except UnusableError as error:
        raise EgressBlocked(f"cannot be reached: {error}") from error
    if proxy is None:
        targets: Sequence[Address | None] = await _vetted(url, policy)
    elif policy.inside or is_public_host(url.raw_host.decode("ascii")):
        targets = [None]  # its address is the proxy's to find
    else:
        raise EgressBlocked(_NOT_PUBLIC)

    request = partial(_request, method, url, headers, content, read_s)
    async with transport, aclosing(await _connect(transport, request, targets, proxy)) as answer:
        yield answer


async def _vetted(url: httpx.URL, policy: EgressPolicy) -> Sequence[Address]:
    # A name that does not exist and one that is private get the same answer: no map of the inner network.
    try:
        port = url.port or (443 if url.scheme == "https" else 80)
        addresses = await policy.resolver(url.raw_host.decode("ascii").strip("[]"), port)
    except (OSError, UnicodeError) as error:
        raise EgressBlocked(_NOT_PUBLIC) from error
    if not addresses or not all(policy.allow(address) for address in addresses):
        raise EgressBlocked(_NOT_PUBLIC)
    if url.scheme == "http" and not policy.inside and not all(address.is_loopback for address in addresses):
        raise EgressBlocked("is not, or does not stay, an https URL")
    return addresses[:_MAX_ADDRESSES]


async def _connect(
    transport: httpx.AsyncHTTPTransport,
    request: Callable[[Address | None], httpx.Request],
    targets: Sequence[Address | None],
    proxy: Proxy | None,
) -> httpx.Response:
    for target in targets[:-1]:
        try:
            return await transport.handle_async_request(request(target))
        except (httpx.ConnectError, httpx.ConnectTimeout):
            continue
    try:
        return await transport.handle_async_request(request(targets[-1]))
    except _NO_WAY as error:
        if proxy is None:
            raise
        raise EgressBlocked(f"cannot be reached through {proxy.named}: {proxy_words(error)}") from error


def proxy_words(error: Exception) -> str:
    """Why there was no way through a proxy, in its own words where it had some."""
    if isinstance(error, httpx.TimeoutException):
        return "no answer in time"
    if isinstance(error, httpx.ProxyError):
        return f"it answers {shorten(str(error)).strip()}"
    return shorten(str(error)).rstrip(".") or "the connection was cut"


def _request(
    method: str,
    url: httpx.URL,
    headers: Mapping[str, str],
    content: AsyncIterable[bytes] | bytes | None,
    read_s: float | None,
    address: Address | None,
) -> httpx.Request:
    """A request that goes to the vetted address itself, while TLS and Host keep the name.

    The name is never resolved a second time, so an answer that changes in between changes nothing. Without an address
    a proxy is asked for the name.
    """
    ours = {
        "Host": url.netloc.decode("ascii"),
        "Accept": "*/*",
        "Accept-Encoding": "identity",
        "User-Agent": "ltx-mcp",
    }
    extensions: dict[str, Any] = {"timeout": {"connect": CONNECT_S, "read": read_s, "write": read_s}}
    if address is not None:
        extensions |= {"sni_hostname": url.raw_host.decode("ascii"), "trace": _peer_check(address)}
        url = url.copy_with(host=str(address))
    return httpx.Request(method, url, headers={**ours, **headers}, content=content, extensions=extensions)


def _peer_check(address: Address) -> Callable[[str, dict[str, Any]], Awaitable[None]]:
    """Checks the connected socket before TLS starts, which decides where the bytes go."""

    async def check(event: str, info: dict[str, Any]) -> None:
        if event != "connection.connect_tcp.complete":
            return
        stream = info["return_value"]
        peer = stream.get_extra_info("server_addr")
        if peer is None or ip_address(peer[0]) != address:
            await stream.aclose()
            raise EgressBlocked(_NOT_PUBLIC)

    return check


async def _save(answer: httpx.Response, out: Path, max_bytes: int) -> str:
    _check_head(answer, max_bytes)
    size_bytes = 0
    with await to_thread.run_sync(open_private, out, "xb") as file:
        try:
            async for chunk in answer.aiter_raw():
                size_bytes += len(chunk)
                if size_bytes > max_bytes:
                    raise EgressBlocked("is too large")
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
        raise EgressBlocked(f"answered with HTTP status {answer.status_code}")
    # Asked for as it is; unpacking what is packed all the same could fill the disk from a few bytes.
    if answer.headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise EgressBlocked("is sent in a compressed form that was not asked for")
    length = answer.headers.get("content-length", "")
    if length.isdecimal() and int(length) > max_bytes:
        raise EgressBlocked("is too large")


def is_timeout(error: Exception) -> bool:
    """Whether something took too long."""
    return isinstance(error, TimeoutError | httpx.TimeoutException)


def _reason(error: Exception, timeout_s: float) -> str:
    if isinstance(error, EgressBlocked):
        return str(error)
    if is_timeout(error):
        return f"did not arrive within {timeout_s:g} s"
    if isinstance(error, httpx.InvalidURL | ValueError):
        return "is, or redirects to, a malformed URL"
    if isinstance(error, OSError):
        return "could not be kept on this machine"
    return "could not be fetched, because the connection failed"


def redacted_url(url: str) -> str:
    """Server and path of a URL; the rest may be a signature or a password."""
    try:
        read = httpx.URL(url)
        path = read.raw_path.split(b"?")[0]
        return shorten(f"{read.scheme}://{read.netloc.decode('ascii')}{path.decode('ascii')}")
    except (httpx.InvalidURL, ValueError):
        return "this URL"
