"""Talking to a provider's own address: the one order on a fresh connection, and questions that may be asked again.

Says of every failure whether the provider may have taken the order; what a status code means is said by the adapters.
"""

import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Mapping
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import anyio
import httpx

from ltx_mcp.domain.errors import Accepted, ErrorCode, ProviderError
from ltx_mcp.domain.quoting import one_line
from ltx_mcp.net.download import length_of, too_much
from ltx_mcp.net.flow import LEAST_BYTES_S, WIDEST, Bounds, EndlessError, TricklingError, pour
from ltx_mcp.net.guard import Refused, Rules, hop, provider_rules, trusted
from ltx_mcp.net.redact import redact

MAX_REPLY_BYTES = 4 << 20
CONNECT_S, READ_S = 10.0, 60.0
ORDER_S = 120.0
EVENTS_S = 40.0
BODY_S = 120.0
"""How long a small answer may take to come whole, however steadily it trickles."""
MAX_STREAM_BYTES = 16 << 20
HELD_WINDOW_S = 600.0
"""A film that is the answer to the order cannot be continued by another try: it is given up only after this long."""
PAGE = "(an HTML page)"
MAX_RETRY_AFTER_S = 86_400.0
_MOST_SAID = 2_000
MOST_REASON = 120
_CHUNK = 1 << 18
NEVER_SENT = (
    *(httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError),
    *(httpx.UnsupportedProtocol, httpx.InvalidURL, httpx.LocalProtocolError, UnicodeError),
)
"""What httpx raises before the first byte of a request is on its way: refused connections, DNS, TLS, a proxy's no."""

Files = Mapping[str, tuple[str | None, str | bytes, str | None]]
"""Multipart fields: file name (None for a plain field), content and media type."""


@dataclass(frozen=True)
class Call:
    """One request to a provider. `read_s` is the longest silence, in seconds."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    files: Files | None = None
    read_s: float = READ_S


@dataclass(frozen=True)
class Reply:
    """A whole answer. `content` may be cut short when the connection broke after the status."""

    status_code: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def ok(self) -> bool:
        """A 2xx status."""
        return 200 <= self.status_code < 300

    @property
    def json(self) -> Any:
        """The body as JSON; None where it is none."""
        return read_json(self.content)

    @property
    def text(self) -> str:
        """The body for a person; a page of HTML is only named."""
        text = self.content.decode("utf-8", "replace").strip()
        return PAGE if text[:15].lower().startswith(("<!doctype", "<html")) else text

    @property
    def told_at(self) -> datetime | None:
        """The server's own time, as its Date header tells it."""
        try:
            at = parsedate_to_datetime(self.headers.get("date", ""))
        except (ValueError, OverflowError):
            return None
        return at if at.tzinfo else at.replace(tzinfo=UTC)

    def retry_after_s(self, now: datetime) -> float | None:
        """What Retry-After asks for, as seconds from `now`."""
        return read_retry_after(self.headers.get("retry-after", ""), now)


def read_json(text: str | bytes) -> Any:
    """JSON; None where it is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def read_retry_after(text: str, now: datetime) -> float | None:
    """Seconds, of either form the header has, a day at most; None where it says nothing."""
    if text.strip().isdecimal():
        return min(float(text), MAX_RETRY_AFTER_S)
    try:
        at = parsedate_to_datetime(text)
        wait_s = ((at if at.tzinfo else at.replace(tzinfo=UTC)) - now).total_seconds()
    except (ValueError, OverflowError):
        return None
    return min(max(0.0, wait_s), MAX_RETRY_AFTER_S)


class Wire:
    """One provider's line. `secrets` are struck out of everything it says; `near`: its address is on this machine.

    `connect_s` and `order_s` are how long a connection and the whole order may take, in seconds.
    """

    def __init__(
        self,
        provider: str,
        secrets: Iterable[str] = (),
        *,
        near: bool = False,
        connect_s: float = CONNECT_S,
        order_s: float = ORDER_S,
    ) -> None:
        self.provider = provider
        self.near = near
        self._connect_s, self._order_s = connect_s, order_s
        self._secrets = tuple(secrets)
        self._pool: httpx.AsyncClient | None = None

    async def order(self, call: Call) -> Reply:
        """Send the one order, on a fresh connection, following nothing.

        Any status is an answer. Raises ProviderError: accepted `no` when not a byte was sent, else `unknown`.
        """
        try:
            with anyio.fail_after(self._order_s):
                async with self.held_order(call) as held:
                    return await held.read()
        except TimeoutError as error:
            raise self.broken("did not answer the order in time", "unknown") from error

    @asynccontextmanager
    async def held_order(self, call: Call) -> AsyncGenerator["Held", None]:
        """The order of a service that answers with the film: its body is read inside, under the same rule."""
        async with self._client() as client:
            try:
                with anyio.fail_after(max(call.read_s, self._order_s) + self._connect_s):
                    answer = await client.send(_request(client, call, self._connect_s), stream=True)
            except NEVER_SENT as error:
                raise self.broken(f"could not be reached: {self._reason(error)}", "no") from error
            except (httpx.HTTPError, TimeoutError) as error:
                raise self.broken(f"did not answer the order: {self._reason(error)}", "unknown") from error
            try:
                yield Held(self, answer, "unknown")
            finally:
                await answer.aclose()

    async def ask(self, call: Call) -> Reply:
        """A question about an order, or any other call that costs nothing. Raises ProviderError(unavailable)."""
        try:
            with anyio.fail_after(call.read_s + self._connect_s):
                async with self.held(call) as held:
                    return await held.read()
        except TimeoutError as error:
            raise self.broken("could not be asked: no answer in time", "yes") from error

    @asynccontextmanager
    async def held(self, call: Call) -> AsyncGenerator["Held", None]:
        """A question whose answer is large, or comes bit by bit. Raises ProviderError(unavailable)."""
        try:
            with anyio.fail_after(call.read_s + self._connect_s):
                answer = await self._shared().send(_request(self._shared(), call, self._connect_s), stream=True)
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeError, TimeoutError) as error:
            raise self.broken(f"could not be asked: {self._reason(error)}", "yes") from error
        try:
            yield Held(self, answer, "yes")
        finally:
            await answer.aclose()

    async def events(self, call: Call) -> AsyncGenerator[str, None]:
        """The `data:` payloads of a server-sent event stream, until the provider ends it. Raises ProviderError."""
        async with self.held(call) as held:
            if held.status_code != 200:
                raise self.broken(f"answered HTTP {held.status_code} to a stream", "yes")
            lines: list[str] = []
            size = whole = 0
            async with aclosing(held.lines()) as told:
                async for line in told:
                    whole += len(line) + 1
                    if whole > MAX_STREAM_BYTES:
                        raise self.broken("sent a stream without end", "yes")
                    if line.startswith("data:"):
                        lines.append(line[5:].removeprefix(" "))
                        size += len(line)
                    elif not line and lines:
                        yield "\n".join(lines)
                        lines, size = [], 0
                    if size > MAX_REPLY_BYTES:
                        raise self.broken("sent an event without end", "yes")

    async def put(self, url: str, path: Path, headers: Mapping[str, str], *, read_s: float = 300) -> None:
        """Upload a file to where the provider pointed. No credential goes along. Raises ProviderError(unavailable)."""
        size_bytes = (await anyio.Path(path).stat()).st_size
        given = {"Content-Length": str(size_bytes), **headers}
        try:
            with anyio.fail_after(read_s + size_bytes / LEAST_BYTES_S):
                async with hop("PUT", url, self.rules, given, _chunks(path), read_s) as answer:
                    reply = await Held(self, answer, "no").read()
        except (Refused, httpx.HTTPError, httpx.InvalidURL, ValueError, TimeoutError) as error:
            raise self.broken(f"gave an upload address that failed: {self._reason(error)}", "no") from error
        if not reply.ok:
            raise self.broken(f"answered HTTP {reply.status_code} to an upload", "no", self.detail(reply.text))

    @property
    def rules(self) -> Rules:
        """Where this provider may point: public https addresses, and loopback ones when it is there itself."""
        return provider_rules(near=self.near)

    def detail(self, text: str) -> str:
        """The provider's own words on one line, with every known secret struck out and cut short."""
        # once more on the line, where signs that nobody sees part a secret no longer
        return one_line(redact(one_line(redact(text, self._secrets), _MOST_SAID), self._secrets))

    def broken(self, what: str, accepted: Accepted, detail: str = "") -> ProviderError:
        """The error of a line that failed."""
        message = f"{self.provider} {what}."
        hint = "Order again in a few minutes, or choose another provider."
        return ProviderError(
            ErrorCode.UNAVAILABLE, message, hint, provider=self.provider, accepted=accepted, detail=self.detail(detail)
        )

    async def close(self) -> None:
        """End the connections that were kept for questions."""
        if self._pool is not None:
            await self._pool.aclose()
            self._pool = None

    def _shared(self) -> httpx.AsyncClient:
        if self._pool is None:
            self._pool = self._client()
        return self._pool

    def _client(self) -> httpx.AsyncClient:
        limits = httpx.Limits(max_keepalive_connections=20, max_connections=200)
        return httpx.AsyncClient(
            verify=trusted(environment=True), limits=limits, trust_env=not self.near, follow_redirects=False
        )

    def _reason(self, error: Exception) -> str:
        if isinstance(error, TimeoutError | httpx.TimeoutException):
            return "no answer in time"
        if isinstance(error, httpx.LocalProtocolError | UnicodeError):
            # what httpx says here repeats the header, key and all
            return "the key, or another header, holds signs that cannot be sent"
        # of what is not HTTP the bytes themselves are quoted, which belong into no sentence of ours
        words = str(error).partition(": byte")[0].partition(": b'")[0]
        return self.detail(words)[:MOST_REASON].strip().rstrip(".") or "the connection was cut"

    def cut(self, error: Exception, accepted: Accepted) -> ProviderError:
        """The error of an answer that broke off."""
        return self.broken(f"broke off its answer: {self._reason(error)}", accepted)


class Held:
    """An answer of which only the head has come. `accepted` is what a broken body means for an order."""

    def __init__(self, wire: Wire, answer: httpx.Response, accepted: Accepted) -> None:
        self._wire = wire
        self._answer = answer
        self._accepted = accepted
        self.status_code = answer.status_code
        self.headers: Mapping[str, str] = dict(answer.headers)

    async def read(self) -> Reply:
        """The answer as far as it came: its status is worth knowing even when the rest never arrives."""
        body = bytearray()
        with suppress(httpx.HTTPError), anyio.move_on_after(BODY_S):
            async for chunk in self._answer.aiter_raw():
                body += chunk
                if len(body) > MAX_REPLY_BYTES:
                    break
        return Reply(self.status_code, self.headers, bytes(body))

    async def lines(self) -> AsyncGenerator[str, None]:
        """The body line by line, as it comes, whatever its head says of its encoding. Raises ProviderError when it
        breaks off, or a line does not end."""
        rest = bytearray()
        try:
            async for chunk in self._answer.aiter_raw():
                # not splitlines: U+2028 and the like may stand inside JSON
                *whole, last = chunk.split(b"\n")
                for line in whole:
                    yield (rest + line).removesuffix(b"\r").decode("utf-8", "replace")
                    rest.clear()
                rest += last
                if len(rest) > MAX_REPLY_BYTES:
                    raise self._wire.broken("sent a line without end", self._accepted)
        except httpx.HTTPError as error:
            raise self._wire.cut(error, self._accepted) from error

    async def save(self, path: Path, bounds: Bounds = WIDEST, tell: Callable[[float], None] | None = None) -> None:
        """The body into a file, telling the part that has come. Raises ProviderError when it breaks off, trickles or
        does not end, and what `bounds.room` raises."""
        length = length_of(self.headers)
        try:
            await pour(self._answer.aiter_raw(), path, bounds, length=length, tell=tell)
        except EndlessError as error:
            raise too_much(self._wire.provider, bounds) from error
        except TricklingError as error:
            raise self._wire.broken("sends the film too slowly", self._accepted) from error
        except httpx.HTTPError as error:
            raise self._wire.cut(error, self._accepted) from error


def _request(client: httpx.AsyncClient, call: Call, connect_s: float) -> httpx.Request:
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
    )


async def _chunks(path: Path) -> AsyncIterator[bytes]:
    async with await anyio.open_file(path, "rb") as file:
        while chunk := await file.read(_CHUNK):
            yield chunk
