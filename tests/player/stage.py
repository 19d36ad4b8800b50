"""The player on a stage: a real browser, a host page that speaks MCP Apps, and the real server behind it."""

import http.server
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import anyio
from mcp import Client
from mcp.client.extension import advertise
from mcp.types import TextResourceContents

from ltx_mcp.server.player.page import PAGE
from tests.facts import facts_on_wire
from tests.patience import HANG_S

if TYPE_CHECKING:
    from playwright.async_api import Browser, FrameLocator, Locator, Page

HOST_PAGE = Path(__file__).with_name("host.html")
APPS = advertise("io.modelcontextprotocol/ui", {"mimeTypes": ["text/html;profile=mcp-app"]})
ALL: dict[str, Any] = {
    name: {} for name in ("openLinks", "serverTools", "serverResources", "updateModelContext", "message")
}
MAX_MS = HANG_S * 1000


PROMPT = (
    "A heron lifts off a reed bed at dawn, the camera follows it low over the water. 一只苍鹭掠过水面。 طائر فوق الماء."
)
DRAWN: dict[str, Any] = {"provider": "local", "resolution": "720p", "fps": 24, "generate_audio": False}


async def place(client: Client, tool: str = "generate_video", **arguments: Any) -> str:
    """The job of an order that a model placed."""
    result = await client.call_tool(tool, arguments)
    assert result.structured_content, result.content
    return str(result.structured_content["job_id"])


async def until_ended(client: Client, job_id: str) -> dict[str, Any]:
    """The view of a job or a set at its end."""
    with anyio.fail_after(HANG_S):
        while True:
            result = await client.call_tool("check_job", {"job_id": job_id, "wait_seconds": 45, "frames": False})
            assert result.structured_content
            if result.structured_content["state"] in ("succeeded", "failed", "cancelled", "unknown"):
                return dict(result.structured_content)


class Lost(Exception):
    """The call was made, and its answer got lost on the way back."""


@dataclass
class Bridge:
    """What a host passes on to the server, written down. `faults` are told of each call and may raise."""

    client: Client
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    reads: list[str] = field(default_factory=list)
    most_under_way: int = 0
    faults: Callable[[str, bool], None] = lambda name, answered: None
    _open: set[anyio.CancelScope] = field(default_factory=set)
    _calling: int = 0

    @property
    def under_way(self) -> int:
        """How many calls and reads of the page have no answer yet."""
        return len(self._open)

    @contextmanager
    def _passing(self) -> Iterator[None]:
        scope = anyio.CancelScope()
        self._open.add(scope)
        try:
            with scope:
                yield
        finally:
            self._open.remove(scope)
        if scope.cancel_called:
            raise Lost("the page was closed")

    async def close(self) -> None:
        """Give up what is under way: a client that ends while an answer comes in fails."""
        for scope in self._open:
            scope.cancel()
        await self.idle()

    async def call_tool(self, params: dict[str, Any]) -> dict[str, Any]:
        """One tools/call of the page."""
        name, arguments = params["name"], params["arguments"]
        self.calls.append((name, arguments))
        self._calling += 1
        self.most_under_way = max(self.most_under_way, self._calling)
        try:
            with self._passing():
                self.faults(name, False)
                result = await self.client.call_tool(name, arguments)
                self.faults(name, True)
        finally:
            self._calling -= 1
        return result.model_dump(by_alias=True, mode="json", exclude_none=True)

    async def read_resource(self, params: dict[str, Any]) -> dict[str, Any]:
        """One resources/read of the page."""
        self.reads.append(params["uri"])
        with self._passing():
            result = await self.client.read_resource(params["uri"])
        return result.model_dump(by_alias=True, mode="json", exclude_none=True)

    async def idle(self) -> None:
        """Wait until no call is under way."""
        with anyio.fail_after(HANG_S):
            while self.under_way:
                await anyio.sleep(0.03)

    def named(self, tool: str) -> list[dict[str, Any]]:
        """The arguments of every call of this tool."""
        return [arguments for name, arguments in self.calls if name == tool]


@dataclass
class Player:
    """The page in its frame, and the hands of a person."""

    page: "Page"
    bridge: Bridge

    @property
    def frame(self) -> "FrameLocator":
        return self.page.frame_locator("iframe")

    def at(self, name: str) -> "Locator":
        """The element of this id."""
        return self.frame.locator(f"#{name}")

    def button(self, name: str) -> "Locator":
        return self.frame.get_by_role("button", name=name, exact=True)

    async def hear(self, method: str, params: dict[str, Any]) -> None:
        """A notification of the host."""
        await self.page.evaluate("message => tell(message)", {"method": method, "params": params})

    async def heard(self, method: str) -> list[dict[str, Any]]:
        """What the page sent of this kind."""
        found: list[dict[str, Any]] = await self.page.evaluate(
            "method => heard.filter(each => each.method === method)", method
        )
        return found

    async def give(self, job_id: str, **more: Any) -> dict[str, Any]:
        """What a host does when the model calls check_job: the input, the call, the result. Gives the view."""
        arguments = {"job_id": job_id, "wait_seconds": 0, **more}
        await self.hear("ui/notifications/tool-input", {"arguments": arguments})
        result = await self.bridge.client.call_tool("check_job", arguments)
        told = result.model_dump(by_alias=True, mode="json", exclude_none=True)
        await self.hear("ui/notifications/tool-result", told)
        return facts_on_wire(told)

    async def state(self, words: str, most_ms: float = MAX_MS) -> None:
        """Wait until this is said."""
        await self.at("state").filter(has_text=words).wait_for(timeout=most_ms)

    async def ask(self, script: str) -> Any:
        """The value of this in the page's own window."""
        return await self.page.frames[1].evaluate(script)

    async def until(self, script: str, most_s: float = MAX_MS / 1000) -> None:
        """Wait until this is true there. Asked again and again, because the page's policy forbids a waiting script."""
        with anyio.fail_after(most_s):
            while not await self.ask(script):
                await anyio.sleep(0.03)

    async def until_called(self, tool: str) -> None:
        """Wait until the page has called this tool."""
        with anyio.fail_after(HANG_S):
            while not self.bridge.named(tool):
                await anyio.sleep(0.03)

    async def hide(self, hidden: bool) -> None:
        """What a browser tells a page of a window that is covered, or seen again."""
        await self.ask(
            f"Object.defineProperty(document, 'hidden', {{ value: {str(hidden).lower()}, configurable: true }}) && "
            "document.dispatchEvent(new Event('visibilitychange'))"
        )

    async def count_words(self) -> None:
        """From now on `spoken` counts how often a screen reader would hear the state."""
        await self.ask(
            "window.spoken = 0, new MutationObserver(() => { spoken += 1; })"
            ".observe($('state'), { childList: true, characterData: true, subtree: true })"
        )

    async def plays(self) -> float:
        """How far the film is after it was started and moved on."""
        await self.until("document.querySelector('video').readyState >= 1")
        await self.ask("document.querySelector('video').play()")
        await self.until("document.querySelector('video').currentTime > 0.2")
        return float(await self.ask("document.querySelector('video').currentTime"))


class _Pages(http.server.BaseHTTPRequestHandler):
    """The host page, and the framed page with the policy a host makes of the declared domains."""

    def __init__(self, framed: dict[str, bytes], *args: Any) -> None:
        self.framed = framed
        super().__init__(*args)

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        body = HOST_PAGE.read_bytes() if parts.path == "/host" else self.framed.get(parts.path)
        self.send_response(200 if body is not None else 404)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        if policy := parse_qs(parts.query).get("csp"):
            self.send_header("Content-Security-Policy", policy[0])
        self.end_headers()
        self.wfile.write(body or b"")

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""


@contextmanager
def pages_served() -> Iterator[tuple[int, dict[str, bytes]]]:
    """A loopback port, and the framed pages it serves by path."""
    framed: dict[str, bytes] = {}
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(_Pages, framed)) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield server.server_port, framed
        server.shutdown()
        thread.join()


def policy_of(meta: dict[str, Any], also: str = "") -> str:
    """The Content-Security-Policy that a host makes of a page's declared domains, as the specification says."""
    csp = meta.get("ui", {}).get("csp", {})
    loaded = " ".join([*csp.get("resourceDomains", []), also]).strip()
    reached = " ".join(csp.get("connectDomains", [])) or "'none'"
    return (
        f"default-src 'none'; script-src 'self' 'unsafe-inline' {loaded}; style-src 'self' 'unsafe-inline' {loaded}; "
        f"img-src 'self' data: {loaded}; media-src 'self' data: {loaded}; font-src 'self' {loaded}; "
        f"connect-src {reached}; frame-src 'none'; object-src 'none'; base-uri 'self'"
    )


@dataclass
class Stage:
    """Where players are opened."""

    browser: "Browser"
    port: int
    framed: dict[str, bytes]

    @asynccontextmanager
    async def open(
        self,
        client: Client,
        *,
        capabilities: dict[str, Any] | None = None,
        context: dict[str, Any] | None = None,
        width: int = 700,
        policy: Callable[[dict[str, Any]], str] = policy_of,
        own_clock: bool = False,
        **manner: Any,
    ) -> AsyncIterator[Player]:
        """The player in a frame, greeted unless the host is `silent`; at the end nothing was wrong on its console."""
        read = (await client.read_resource(PAGE)).contents[0]
        assert isinstance(read, TextResourceContents)
        assert read.mime_type == "text/html;profile=mcp-app"
        path = f"/framed/{len(self.framed)}"
        self.framed[path] = read.text.encode()
        given = {"capabilities": ALL if capabilities is None else capabilities, "context": context or {}, **manner}
        made = await self.browser.new_context(viewport={"width": width, "height": 900})
        page = await made.new_page()
        if own_clock:
            await page.clock.install()
        wrong: list[str] = []
        page.on("pageerror", lambda error: wrong.append(str(error)))
        bridge = Bridge(client)
        await page.expose_function("call_tool", bridge.call_tool)
        await page.expose_function("read_resource", bridge.read_resource)
        await page.goto(f"http://127.0.0.1:{self.port}/host")
        address = f"http://localhost:{self.port}{path}"
        await page.evaluate(
            "([address, csp, manner]) => open_page(`${address}?csp=${encodeURIComponent(csp)}`, manner)",
            [address, policy(read.meta or {}), given],
        )
        player = Player(page, bridge)
        await (page.wait_for_function("greeted") if not manner.get("silent") else player.at("state").wait_for())
        try:
            yield player
        finally:
            await made.close()
            await bridge.close()
        assert not wrong
