"""Requests to a provider's own address: the one order on a fresh connection, and questions that may be asked again.

Every failure says whether the provider may have accepted the order; what a status code means is said by the adapters.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Mapping
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import httpx

from ltx_mcp.domain.errors import Accepted, ErrorCode, ProviderError
from ltx_mcp.domain.quoting import one_line
from ltx_mcp.net.download import announced_length, too_much
from ltx_mcp.net.flow import MIN_BYTES_S, WIDEST, Bounds, EndlessError, TricklingError, pour
from ltx_mcp.net.redact import redact
from ltx_mcp.net.reply import HttpResponse
from ltx_mcp.net.route import Route, UnusableError
from ltx_mcp.net.ssrf import (
    CONNECT_S,
    READ_S,
    SOCKS_ERRORS,
    EgressBlocked,
    make_transport,
    provider_policy,
    proxy_of,
    proxy_words,
    send_pinned,
)
from ltx_mcp.net.unpack import Body, CutError, PackedError

MAX_REPLY_BYTES = 4 << 20
ROUTE_TRIES = 6
"""How many times CONNECT_S all of a connection may take: to a proxy, through it, TLS, and what waits in between."""
ORDER_S, UPLOAD_S = 120.0, 300.0
EVENTS_S = 40.0
BODY_S = 120.0
"""How long a small answer may take to come completely, however steadily it trickles."""
MAX_STREAM_BYTES = 16 << 20
HELD_WINDOW_S = 600.0
"""A video that is the answer to the order cannot be continued by another try: it is given up only after this long."""
TRY_AGAIN = "Order again in a few minutes, or choose another provider."
_MAX_DETAIL = 2_000
MAX_REASON = 120
_CHUNK = 1 << 18
NEVER_SENT: tuple[type[Exception], ...] = (
    *(httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError),
    *(httpx.UnsupportedProtocol, httpx.InvalidURL, httpx.LocalProtocolError, UnicodeError, UnusableError),
)
"""What is raised before the first byte of a request is on its way: refused connections, DNS, TLS, a proxy's refusal."""
BROKEN: tuple[type[Exception], ...] = (
    *(httpx.HTTPError, httpx.InvalidURL, UnicodeError, TimeoutError, UnusableError),
    *SOCKS_ERRORS,
)
"""What a request may fail with at all."""
UNWRITTEN: tuple[type[Exception], ...] = (*NEVER_SENT, ValueError, TypeError)
"""What is raised where a request cannot even be built."""
CONNECTIONS = httpx.Limits(max_keepalive_connections=20, max_connections=200)

Files = Mapping[str, tuple[str | None, str | bytes, str | None]]
"""Multipart fields: file name (None for a plain field), content and media type."""


@dataclass(frozen=True)
class HttpRequest:
    """One request to a provider. `read_s` is the longest silence, in seconds."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    files: Files | None = None
    read_s: float = READ_S


class _SendTrace:
    """Listens to how a request is sent: of an order that failed before it `began`, it is certain that nobody accepted
    it. It began once its first byte may be on its way to the provider; asking a proxy to let it through does not count,
    since the order is not in that."""

    def __init__(self) -> None:
        self.began = False
        self.on_begin: Callable[[], object] = lambda: None

    async def listen(self, event: str, info: dict[str, Any]) -> None:
        """What the HTTP library reports about each of its steps."""
        if event.endswith(".send_request_headers.started") and info["request"].method != b"CONNECT":
            self.began = True
            self.on_begin()


class ProviderClient:
    """The connections to one provider. `secrets` are redacted from everything it says; `is_loopback`: its address is on
    this machine. `connect_s` and `order_s` are how long a connection and the complete order may take, in seconds."""

    def __init__(
        self,
        provider: str,
        secrets: Iterable[str] = (),
        *,
        is_loopback: bool = False,
        connect_s: float = CONNECT_S,
        order_s: float = ORDER_S,
        route: Route | None = None,
    ) -> None:
        self.provider = provider
        self.is_loopback = is_loopback
        self.route = route or Route()
        self._connect_s, self._order_s = connect_s, order_s
        self._secrets = (*secrets, *self.route.secrets)
        self._pools: dict[str, httpx.AsyncClient] = {}

    def check_way(self, urls: Iterable[str]) -> None:
        """Whether a request could be made to these addresses; nothing is sent. Raises ProviderError(unavailable)."""
        for url in urls:
            try:
                make_transport(httpx.URL(url), self.route)
            except NEVER_SENT as error:
                raise self._not_sent(url, error) from error

    async def send_once(self, call: HttpRequest) -> HttpResponse:
        """Send the one order, on a fresh connection, following nothing.

        Any status is an answer. Raises ProviderError: accepted `no` when not a byte was sent, else `unknown`.
        """
        trace = _SendTrace()
        try:
            with anyio.fail_after(self._order_s):
                async with self._sent_once(call, trace) as held:
                    return await held.read()
        except TimeoutError as error:
            if not trace.began:
                raise self._not_sent(call.url, error) from error
            raise self.connection_error("did not answer the order in time", "unknown") from error

    @asynccontextmanager
    async def send_once_streamed(self, call: HttpRequest) -> AsyncGenerator["StreamedResponse", None]:
        """The order of a service that answers with the video: its body is read inside, under the same rule."""
        async with self._sent_once(call, _SendTrace()) as held:
            yield held

    @asynccontextmanager
    async def _sent_once(self, call: HttpRequest, trace: _SendTrace) -> AsyncGenerator["StreamedResponse", None]:
        try:
            client = self._client(httpx.URL(call.url))
            request = _request(client, call, self._connect_s, trace)
        except UNWRITTEN as error:
            raise self._not_sent(call.url, error) from error
        async with client:
            try:
                answer = await self._sent(client, request, trace, max(call.read_s, self._order_s))
            except BROKEN as error:
                if isinstance(error, NEVER_SENT) or not trace.began:
                    raise self._not_sent(call.url, error) from error
                raise self.connection_error(f"did not answer the order: {self._reason(error)}", "unknown") from error
            try:
                yield StreamedResponse(self, answer, "unknown")
            finally:
                await answer.aclose()

    async def _sent(
        self, client: httpx.AsyncClient, request: httpx.Request, trace: _SendTrace, answer_s: float
    ) -> httpx.Response:
        """The answer's head. A connection that is not made is given up long before an answer would be."""
        with anyio.fail_after(ROUTE_TRIES * self._connect_s) as scope:

            def await_answer() -> None:
                scope.deadline = anyio.current_time() + answer_s + self._connect_s

            trace.on_begin = await_answer
            return await client.send(request, stream=True)

    async def request(self, call: HttpRequest) -> HttpResponse:
        """A question about an order, or any other call that costs nothing. Raises ProviderError(unavailable)."""
        try:
            with anyio.fail_after(call.read_s + self._connect_s):
                async with self.stream(call) as held:
                    return await held.read()
        except TimeoutError as error:
            raise self.connection_error("could not be asked: no answer in time", "yes") from error

    @asynccontextmanager
    async def stream(self, call: HttpRequest) -> AsyncGenerator["StreamedResponse", None]:
        """A question whose answer is large, or comes bit by bit. Raises ProviderError(unavailable)."""
        try:
            with anyio.fail_after(call.read_s + self._connect_s):
                client = self._shared(call.url)
                answer = await client.send(_request(client, call, self._connect_s), stream=True)
        except BROKEN as error:
            reason = self._reason(error, self._through(call.url))
            raise self.connection_error(f"could not be asked: {reason}", "yes", fix=_fix(error)) from error
        try:
            yield StreamedResponse(self, answer, "yes")
        finally:
            await answer.aclose()

    async def events(self, call: HttpRequest) -> AsyncGenerator[str, None]:
        """The `data:` payloads of a server-sent event stream, until the provider ends it. Raises ProviderError."""
        async with self.stream(call) as held:
            if held.status_code != 200:
                raise self.connection_error(f"answered HTTP {held.status_code} to a stream", "yes")
            lines: list[str] = []
            size = total = 0
            async with aclosing(held.lines()) as received:
                async for line in received:
                    total += len(line) + 1
                    if total > MAX_STREAM_BYTES:
                        raise self.connection_error("sent a stream without end", "yes")
                    if line.startswith("data:"):
                        lines.append(line[5:].removeprefix(" "))
                        size += len(line)
                    elif not line and lines:
                        yield "\n".join(lines)
                        lines, size = [], 0
                    if size > MAX_REPLY_BYTES:
                        raise self.connection_error("sent an event without end", "yes")

    async def put(self, url: str, path: Path, headers: Mapping[str, str]) -> None:
        """Upload a file to where the provider pointed. No credential goes along. Raises ProviderError(unavailable)."""
        size_bytes = (await anyio.Path(path).stat()).st_size
        given = {"Content-Length": str(size_bytes), **headers}
        policy = provider_policy(self.route, is_loopback=self.is_loopback)
        try:
            with anyio.fail_after(UPLOAD_S + size_bytes / MIN_BYTES_S):
                async with send_pinned("PUT", url, policy, given, _chunks(path), UPLOAD_S) as answer:
                    reply = await StreamedResponse(self, answer, "no").read()
        except (EgressBlocked, httpx.HTTPError, httpx.InvalidURL, ValueError, TimeoutError) as error:
            raise self.connection_error(f"gave an upload address that failed: {self._reason(error)}", "no") from error
        if not reply.ok:
            raise self.connection_error(
                f"answered HTTP {reply.status_code} to an upload", "no", self.detail(reply.text)
            )

    def detail(self, text: str) -> str:
        """The provider's own words on one line, with every known secret redacted and cut short."""
        # once more on the line, where invisible characters no longer split a secret
        return one_line(redact(one_line(redact(text, self._secrets), _MAX_DETAIL), self._secrets))

    def connection_error(self, what: str, accepted: Accepted, detail: str = "", fix: str = "") -> ProviderError:
        """The error of a connection that failed."""
        message, hint, detail = f"{self.provider} {what}.", fix or TRY_AGAIN, self.detail(detail)
        return ProviderError(
            ErrorCode.UNAVAILABLE, message, hint, provider=self.provider, accepted=accepted, detail=detail
        )

    def _not_sent(self, url: str, error: Exception) -> ProviderError:
        """The error of an order of which not a byte was sent."""
        reason = self._reason(error, self._through(url))
        return self.connection_error(f"could not be reached: {reason}", "no", fix=_fix(error))

    async def close(self) -> None:
        """End the connections that were kept for questions."""
        for pool in self._pools.values():
            await pool.aclose()
        self._pools.clear()

    def _shared(self, url: str) -> httpx.AsyncClient:
        """Questions to the same host share their connections."""
        parsed = httpx.URL(url)
        host = str(parsed.copy_with(raw_path=b"/", userinfo=b""))
        if host not in self._pools:
            self._pools[host] = self._client(parsed)
        return self._pools[host]

    def _client(self, url: httpx.URL) -> httpx.AsyncClient:
        transport = make_transport(url, self.route, limits=CONNECTIONS)
        return httpx.AsyncClient(transport=transport, trust_env=False, follow_redirects=False)

    def _through(self, url: str) -> str:
        """The proxy on the way to an address, as it stands in a sentence; empty where there is none."""
        try:
            proxy = proxy_of(httpx.URL(url), self.route)
        except NEVER_SENT:
            return ""
        return "" if proxy is None else proxy.named

    def _reason(self, error: Exception, proxy: str = "") -> str:
        if isinstance(error, UnusableError):
            return str(error)
        if isinstance(error, httpx.ProxyError) and proxy:
            return self.detail(f"{proxy} does not let it through: {proxy_words(error)}")
        through = f", asked through {proxy}" if proxy else ""
        if isinstance(error, TimeoutError | httpx.TimeoutException):
            return f"no answer in time{through}"
        if isinstance(error, httpx.LocalProtocolError | UnicodeError):
            # what httpx says here repeats the header, key and all
            return "the key, or another header, holds signs that cannot be sent"
        # of what is not HTTP the library quotes the bytes themselves, which belong in no sentence of ours
        words = str(error).partition(": byte")[0].partition(": b'")[0]
        return (self.detail(words)[:MAX_REASON].strip().rstrip(".") or "the connection was cut") + through

    def cut(self, error: Exception, accepted: Accepted) -> ProviderError:
        """The error of an answer that broke off."""
        return self.connection_error(f"broke off its answer: {self._reason(error)}", accepted)


class StreamedResponse:
    """An answer of which only the head has come. `accepted` is what a broken body means for an order."""

    def __init__(self, client: ProviderClient, answer: httpx.Response, accepted: Accepted) -> None:
        self._client = client
        self._accepted = accepted
        self._body = Body(answer.aiter_raw(), answer.headers.get("content-encoding", ""))
        self.status_code = answer.status_code
        self.headers: Mapping[str, str] = dict(answer.headers)

    async def head(self, within_s: float = BODY_S) -> bytes:
        """The first bytes of the body; none where they did not come."""
        with suppress(httpx.HTTPError, PackedError), anyio.move_on_after(within_s):
            return await self._body.head()
        return b""

    async def read(self) -> HttpResponse:
        """The answer as far as it came: its status is worth knowing even when the rest never arrives."""
        body, unread = bytearray(), ""
        try:
            with suppress(httpx.HTTPError, CutError), anyio.move_on_after(BODY_S):
                async for piece in self._body:
                    body += piece
                    if len(body) > MAX_REPLY_BYTES:
                        break
        except PackedError as error:
            unread = str(error)
        return HttpResponse(self.status_code, self.headers, bytes(body), unread)

    async def lines(self) -> AsyncGenerator[str, None]:
        """The body line by line, as it comes, whatever its head says of its encoding. Raises ProviderError when it
        breaks off, or a line does not end."""
        rest = bytearray()
        try:
            async for chunk in self._body:
                # not splitlines: U+2028 and the like may stand inside JSON
                *complete, last = chunk.split(b"\n")
                for line in complete:
                    yield (rest + line).removesuffix(b"\r").decode("utf-8", "replace")
                    rest.clear()
                rest += last
                if len(rest) > MAX_REPLY_BYTES:
                    raise self._client.connection_error("sent a line without end", self._accepted)
        except (httpx.HTTPError, PackedError) as error:
            raise self._client.cut(error, self._accepted) from error

    async def save(self, path: Path, bounds: Bounds = WIDEST, report: Callable[[float], None] | None = None) -> None:
        """The body into a file, reporting the part that has come. Raises ProviderError when it breaks off, trickles or
        does not end, and what `bounds.room` raises."""
        try:
            length = await announced_length(self._body, self.headers, bounds)
            await pour(aiter(self._body), path, bounds, length=length, report=report)
        except EndlessError as error:
            raise too_much(self._client.provider, bounds) from error
        except TricklingError as error:
            raise self._client.connection_error("sends the film too slowly", self._accepted) from error
        except PackedError as error:
            raise self._client.connection_error(f"sends a film that {error}", self._accepted) from error
        except httpx.HTTPError as error:
            raise self._client.cut(error, self._accepted) from error


def _fix(error: Exception) -> str:
    """What to do about a route that cannot be used; empty where waiting may be enough."""
    return error.fix if isinstance(error, UnusableError) else ""


def _request(
    client: httpx.AsyncClient, call: HttpRequest, connect_s: float, trace: _SendTrace | None = None
) -> httpx.Request:
    timeout = httpx.Timeout(call.read_s, connect=connect_s)
    headers = {"User-Agent": "ltx-mcp", "Accept-Encoding": "identity", **call.headers}
    return client.build_request(
        call.method,
        call.url,
        headers=headers,
        params=dict(call.params) or None,
        json=call.body,
        files=dict(call.files) if call.files is not None else None,
        timeout=timeout,
        extensions={} if trace is None else {"trace": trace.listen},
    )


async def _chunks(path: Path) -> AsyncIterator[bytes]:
    async with await anyio.open_file(path, "rb") as file:
        while chunk := await file.read(_CHUNK):
            yield chunk
