"""What this project sends over the network, and what may be written down about it.

Here: the guarded fetch of a URL that a caller named, and redaction. The only importer of httpx.
"""

import logging
import re
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from pathlib import Path
from socket import SOCK_STREAM
from typing import Any
from urllib.parse import quote

import anyio
import httpx
from anyio import to_thread

from ltx_mcp.domain.errors import CallerError, ErrorCode

Address = IPv4Address | IPv6Address
Resolver = Callable[[str, int], Awaitable[Sequence[Address]]]

_CONNECT_S = 10.0
_MOST_ADDRESSES = 4
_STRUCK = "***"
_NOT_PUBLIC = "does not lead to a public address"

# `\/` is how some services write a slash inside JSON.
_USERINFO = re.compile(r'(:\\?/\\?/)[^\s/?#"<>\\]*@')
_URL_TAIL = re.compile(r'(:\\?/\\?/[^\s?#"<>]*)([?#][^\s"<>]*)?')

# The IANA special-purpose registries. Written out, because `is_global` differs between patch releases of Python.
_NOT_PUBLIC_V4 = tuple(
    ip_network(text)
    for text in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
        *("192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15"),
        *("198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"),
    )
)
_PUBLIC_V6 = ip_network("2000::/3")
_NOT_PUBLIC_V6 = tuple(ip_network(text) for text in ("2001::/23", "2001:db8::/32", "3fff::/20"))
_NAT64 = ip_network("64:ff9b::/96")

# httpx writes whole URLs at INFO, httpcore the headers of every answer (Location, Set-Cookie) at DEBUG.
_CLIENT_LOGGERS = ("httpx", "httpx2")
_WIRE_LOGGERS = tuple(
    f"{core}.{part}"
    for core in ("httpcore", "httpcore2")
    for part in ("connection", "http11", "http2", "proxy", "socks")
)


class _Refused(Exception):
    """Why a fetch was given up, as the middle of a sentence for the caller."""


@dataclass(frozen=True)
class _Rules:
    max_bytes: int
    redirects: int
    resolver: Resolver
    trust: ssl.SSLContext | None
    allow: Callable[[Address], bool]


def is_public(address: Address) -> bool:
    """Whether this address is one of the open internet; addresses that carry an IPv4 one are judged by it."""
    if isinstance(address, IPv4Address):
        return not any(address in net for net in _NOT_PUBLIC_V4)
    inner = address.ipv4_mapped or address.sixtofour
    if inner is None and address in _NAT64:
        inner = IPv4Address(int(address) & 0xFFFFFFFF)
    if inner is not None:
        return is_public(inner)
    return address in _PUBLIC_V6 and not any(address in net for net in _NOT_PUBLIC_V6)


async def resolve(host: str, port: int) -> Sequence[Address]:
    """The addresses of a name, as this machine sees them."""
    found = await anyio.getaddrinfo(host, port, type=SOCK_STREAM)
    return [ip_address(entry[4][0]) for entry in found]


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
    rules = _Rules(max_bytes, redirects, resolver, trust, allow)
    try:
        with anyio.fail_after(timeout_s):
            return await _fetch(url, out, rules)
    except (_Refused, httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
        sentence = (
            f"{argument}: {_shown(url)} {_reason(error, timeout_s)}; give an https URL without user name or"
            f" password, on a public server, of at most {max_bytes / 1e6:g} MB."
        )
        raise CallerError(ErrorCode.INPUT_FAILED, sentence) from error


async def _fetch(address: str, out: Path, rules: _Rules) -> str:
    url = _checked(httpx.URL(address))
    for _ in range(rules.redirects + 1):
        async with _answer(url, rules) as answer:
            if not answer.has_redirect_location:
                return await _save(answer, out, rules.max_bytes)
            url = _checked(url.join(answer.headers["location"]))
    raise _Refused(f"redirects more than {rules.redirects} times")


def _checked(url: httpx.URL) -> httpx.URL:
    if url.scheme != "https" or not url.host:
        raise _Refused("is not, or does not stay, an https URL")
    if url.userinfo:
        raise _Refused("carries a user name or password")
    # httpx takes any number here; the socket would answer with an OverflowError.
    if (url.port or 443) > 65_535:
        raise _Refused("names a port that does not exist")
    return url


@asynccontextmanager
async def _answer(url: httpx.URL, rules: _Rules) -> AsyncIterator[httpx.Response]:
    """One hop, on a transport of its own: nothing learned from one server is shown to the next."""
    verify = True if rules.trust is None else rules.trust
    addresses = await _vetted(url, rules)
    async with (
        httpx.AsyncHTTPTransport(verify=verify, trust_env=False) as transport,
        aclosing(await _connect(transport, url, addresses)) as answer,
    ):
        yield answer


async def _vetted(url: httpx.URL, rules: _Rules) -> Sequence[Address]:
    # A name that does not exist and one that is private get the same answer: no map of the inner network.
    try:
        addresses = await rules.resolver(url.raw_host.decode("ascii"), url.port or 443)
    except (OSError, UnicodeError) as error:
        raise _Refused(_NOT_PUBLIC) from error
    if not addresses or not all(rules.allow(address) for address in addresses):
        raise _Refused(_NOT_PUBLIC)
    return addresses[:_MOST_ADDRESSES]


async def _connect(transport: httpx.AsyncHTTPTransport, url: httpx.URL, addresses: Sequence[Address]) -> httpx.Response:
    for address in addresses[:-1]:
        try:
            return await transport.handle_async_request(_request(url, address))
        except (httpx.ConnectError, httpx.ConnectTimeout):
            continue
    return await transport.handle_async_request(_request(url, addresses[-1]))


def _request(url: httpx.URL, address: Address) -> httpx.Request:
    """A request that goes to the vetted address itself, while TLS and Host keep the name.

    The name is never resolved a second time, so an answer that changes in between changes nothing.
    """
    return httpx.Request(
        "GET",
        url.copy_with(host=str(address)),
        headers={
            "Host": url.netloc.decode("ascii"),
            "Accept": "*/*",
            "Accept-Encoding": "identity",
            "User-Agent": "ltx-mcp",
        },
        extensions={
            "sni_hostname": url.raw_host.decode("ascii"),
            "timeout": {"connect": _CONNECT_S},
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
            raise _Refused(_NOT_PUBLIC)

    return check


async def _save(answer: httpx.Response, out: Path, max_bytes: int) -> str:
    _check_head(answer, max_bytes)
    size_bytes = 0
    with await to_thread.run_sync(out.open, "xb") as file:
        try:
            async for chunk in answer.aiter_raw():
                size_bytes += len(chunk)
                if size_bytes > max_bytes:
                    raise _Refused("is too large")
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
        raise _Refused(f"answered with HTTP status {answer.status_code}")
    # Asked for as it is; unpacking what is packed all the same could fill the disk from a few bytes.
    if answer.headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise _Refused("is sent in a compressed form that was not asked for")
    length = answer.headers.get("content-length", "")
    if length.isdecimal() and int(length) > max_bytes:
        raise _Refused("is too large")


def _reason(error: Exception, timeout_s: float) -> str:
    if isinstance(error, _Refused):
        return str(error)
    if isinstance(error, TimeoutError | httpx.TimeoutException):
        return f"did not arrive within {timeout_s:g} s"
    if isinstance(error, httpx.InvalidURL | ValueError):
        return "is, or redirects to, a malformed URL"
    if isinstance(error, OSError):
        return "could not be kept on this machine"
    return "could not be fetched, because the connection failed"


def _shown(url: str) -> str:
    """Server and path of a URL; the rest may be a signature or a password."""
    try:
        read = httpx.URL(url)
        path = read.raw_path.split(b"?")[0]
        return f"{read.scheme}://{read.netloc.decode('ascii')}{path.decode('ascii')}"[:200]
    except (httpx.InvalidURL, ValueError):
        return "this URL"


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """Strike out the given key values, and of every URL user, password, query and fragment.

    Strikes up to the next space or double quote, since a query may hold any other sign.
    """
    known = {form for secret in secrets if secret for form in (secret, quote(secret), quote(secret, safe=""))}
    for form in sorted(known, key=len, reverse=True):
        text = text.replace(form, _STRUCK)
    text = _USERINFO.sub(rf"\1{_STRUCK}@", text)
    return _URL_TAIL.sub(lambda found: f"{found[1]}?{_STRUCK}" if found[2] else found[0], text)


def _redact_record(record: logging.LogRecord) -> bool:
    record.msg, record.args = redact(record.getMessage()), ()
    return True


def _drop_record(record: logging.LogRecord) -> bool:
    return False


def _keep_urls_out_of_logs() -> None:
    # Filters sit on the loggers themselves, so no level set later can open them again.
    for name in _CLIENT_LOGGERS:
        logging.getLogger(name).addFilter(_redact_record)
    for name in _WIRE_LOGGERS:
        logging.getLogger(name).addFilter(_drop_record)


_keep_urls_out_of_logs()
