"""What one client may take from the web server, over real sockets: time, a place, memory."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import anyio
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from ltx_mcp.server.http_bodies import BodyBudget, FileTransfers
from ltx_mcp.server.http_limits import HttpLimits, WebServer

ASK = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
WAIT = b"GET /wait HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
POST = b"POST /length HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"
SOON_S = 0.3
WAIT_S = 20.0
"""For what must happen, and has all the time of a busy machine."""

Open = Callable[..., "Client"]


class Client:
    """A socket that sends what it is told to."""

    def __init__(self, port: int, receive_buffer: int = 0) -> None:
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(WAIT_S)
        self.socket.connect(("127.0.0.1", port))

    def send(self, data: bytes) -> "Client":
        self.socket.sendall(data)
        return self

    def read(self) -> bytes:
        """What comes until the other side ends, which it does, be it with a reset."""
        got = b""
        try:
            while data := self.socket.recv(1 << 16):
                got += data
        except ConnectionResetError:
            pass
        return got

    def begun(self) -> "Client":
        """This, once its answer has begun."""
        assert self.status() == 200
        return self

    def status(self) -> int:
        return int(self.socket.recv(1 << 16).split()[1])

    def trickle(self, data: bytes) -> None:
        """Send the same again and again until the other side has ended."""
        end = time.monotonic() + WAIT_S
        while time.monotonic() < end:
            try:
                self.socket.sendall(data)
                self.socket.settimeout(0.02)
                if not self.socket.recv(1 << 16):
                    return
            except TimeoutError:
                continue
            except OSError:
                return
        raise AssertionError("it may send for ever")


@contextmanager
def serving(limits: HttpLimits, let_go: threading.Event, **app: Any) -> Iterator[Open]:
    """The web server in a thread. `/wait` and `/held` end their answers once they are let go."""

    async def index(request: Request) -> Response:
        return PlainTextResponse("here")

    async def wait(request: Request) -> Response:
        async def words() -> Any:
            yield b"it begins "
            while not let_go.is_set():
                await anyio.sleep(0.02)
            yield b"and was waited for"

        return StreamingResponse(words())

    async def length(request: Request) -> Response:
        return PlainTextResponse(str(len(await request.body())))

    async def held(request: Request) -> Response:
        await request.body()
        return await wait(request)

    ways = {"/": index, "/wait": wait, "/length": length, "/held": held, **app.pop("routes", {})}
    made: Any = Starlette(routes=[Route(path, way, methods=["GET", "POST"]) for path, way in ways.items()])
    if app:
        made = BodyBudget(made, **app)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        web = WebServer(made, limits)
        thread = threading.Thread(target=lambda: anyio.run(web.serve, [listener]), daemon=True)
        thread.start()
        opened: list[Client] = []

        def connect(*how: int) -> Client:
            opened.append(Client(port, *how))
            return opened[-1]

        try:
            yield connect
        finally:
            let_go.set()
            web.leave(1)
            thread.join(WAIT_S)
            for each in opened:
                each.socket.close()
            assert not thread.is_alive()


@pytest.fixture
def let_go() -> threading.Event:
    return threading.Event()


@pytest.mark.parametrize("begun", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: x\r\n"])
def test_a_client_that_does_not_ask_is_left(let_go: threading.Event, begun: bytes) -> None:
    with serving(HttpLimits(header_timeout_s=SOON_S), let_go) as connect:
        assert connect().send(begun).read() == b""


def test_a_header_that_comes_in_drops_is_not_waited_for(let_go: threading.Event) -> None:
    with serving(HttpLimits(header_timeout_s=SOON_S), let_go) as connect:
        connect().send(b"GET / HTTP/1.1\r\n").trickle(b"X: y\r\n")
        again = connect().send(ASK)
        assert again.status() == 200
        again.trickle(b"G")


def test_a_body_that_comes_in_drops_is_a_408(let_go: threading.Event) -> None:
    limits = HttpLimits(body_timeout_s=SOON_S, min_body_bytes_per_s=10_000)
    with serving(limits, let_go) as connect:
        silent = connect().send(POST % 10_000 + b"x")
        connect().send(POST % 1_000_000).trickle(b"x")
        assert b" 408 " in silent.read()


def test_the_rest_of_a_body_that_was_answered_already_is_not_waited_for_either(let_go: threading.Event) -> None:
    with serving(HttpLimits(body_timeout_s=SOON_S), let_go) as connect:
        client = connect().send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n")
        assert b"here" in client.read()


def test_a_body_that_is_large_but_comes_has_the_time_it_takes(let_go: threading.Event) -> None:
    with serving(HttpLimits(body_timeout_s=SOON_S, min_body_bytes_per_s=1_000), let_go) as connect:
        client = connect().send(POST % 12_000)
        for _ in range(12):
            client.send(bytes(1_000))
            time.sleep(2 * SOON_S / 12)
        assert client.status() == 200


def test_a_call_that_waits_and_a_client_that_waits_for_it_are_left_alone(let_go: threading.Event) -> None:
    limits = HttpLimits(header_timeout_s=SOON_S, idle_timeout_s=SOON_S, body_timeout_s=SOON_S, write_timeout_s=SOON_S)
    with serving(limits, let_go) as connect:
        waiting = connect().send(WAIT).begun()
        assert connect().read() == b""  # a silent one of the same age has ended
        assert connect().read() == b""
        let_go.set()
        assert b"was waited for" in waiting.read()


def test_an_answer_that_nobody_reads_is_cut(let_go: threading.Event) -> None:
    ended = threading.Event()

    async def endless(request: Request) -> Response:
        async def zeros() -> Any:
            try:
                while True:
                    yield bytes(1 << 16)
                    await anyio.sleep(0)
            finally:
                ended.set()

        return StreamingResponse(zeros())

    with serving(HttpLimits(write_timeout_s=SOON_S), let_go, routes={"/endless": endless}) as connect:
        connect(4096).send(b"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n").begun()
        assert ended.wait(WAIT_S)


def test_a_full_server_takes_a_newcomer_for_the_one_that_was_silent_longest(let_go: threading.Event) -> None:
    with serving(HttpLimits(max_connections=4), let_go) as connect:
        busy = connect().send(WAIT).begun()
        silent = [connect() for _ in range(3)]
        for _ in range(20):
            assert connect().send(ASK).status() == 200
        assert [each.read() for each in silent] == [b""] * 3
        let_go.set()
        assert b"was waited for" in busy.read()


def test_a_server_where_all_are_served_says_when_to_come_again(let_go: threading.Event) -> None:
    with serving(HttpLimits(max_connections=2), let_go) as connect:
        busy = [connect().send(WAIT).begun() for _ in range(2)]
        refused = connect().send(ASK).read()
        assert refused.startswith(b"HTTP/1.1 503")
        assert b"Retry-After: 5" in refused
        let_go.set()
        assert all(b"was waited for" in each.read() for each in busy)


# -- large bodies and downloads -------------------------------------------------------------------------------------

LARGE = 100_000
HELD = b"POST /held HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % LARGE


def test_large_bodies_wait_their_turn_and_small_ones_do_not(let_go: threading.Event) -> None:
    bounds = {"max_body_bytes": 2 * LARGE, "max_bytes": 2 * LARGE, "timeout_s": WAIT_S}
    with serving(HttpLimits(), let_go, **bounds) as connect:
        begun = [connect().send(HELD + bytes(LARGE)).begun() for _ in range(2)]
        waiting = [connect().send(HELD + bytes(LARGE)) for _ in range(3)]
        assert connect().send(POST % 3 + b"abc").status() == 200
        for each in waiting:
            each.socket.settimeout(SOON_S)
            with pytest.raises(TimeoutError):
                each.status()
            each.socket.settimeout(WAIT_S)
        let_go.set()
        assert all(b"was waited for" in each.read() for each in begun + waiting)


def test_a_large_body_whose_turn_does_not_come_is_told_so(let_go: threading.Event) -> None:
    bounds = {"max_body_bytes": 2 * LARGE, "max_bytes": LARGE, "timeout_s": SOON_S}
    with serving(HttpLimits(), let_go, **bounds) as connect:
        connect().send(HELD + bytes(LARGE)).begun()
        answer = connect().send(HELD + bytes(LARGE)).read()
        assert answer.startswith(b"HTTP/1.1 503")
        assert b"retry-after: 5" in answer


def test_a_body_of_no_announced_length_holds_only_what_it_brought(let_go: threading.Event) -> None:
    bounds = {"max_body_bytes": 2 * LARGE, "max_bytes": 3 * LARGE, "timeout_s": WAIT_S}
    chunked = b"POST /held HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    with serving(HttpLimits(), let_go, **bounds) as connect:
        small = [connect().send(chunked + b"3\r\nabc\r\n0\r\n\r\n").begun() for _ in range(3)]
        assert connect().send(POST % LARGE + bytes(LARGE)).status() == 200
        let_go.set()
        assert all(b"was waited for" in each.read() for each in small)


def test_one_download_too_many_is_told_so(let_go: threading.Event) -> None:
    downloads = FileTransfers(1)

    class Counted(StreamingResponse):
        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            await downloads.send(super().__call__, scope, receive, send)

    async def film(request: Request) -> Response:
        async def frames() -> Any:
            yield b"first"
            while not let_go.is_set():
                await anyio.sleep(0.02)

        return Counted(frames())

    with serving(HttpLimits(), let_go, routes={"/film": film}) as connect:
        ask = b"GET /film HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        first = connect().send(ask).begun()
        assert connect().send(ask).status() == 503
        let_go.set()
        first.read()
        assert connect().send(ask).status() == 200


def test_the_slowest_download_gives_way(monkeypatch: pytest.MonkeyPatch) -> None:
    cut: list[str] = []
    scopes = [{"type": "http", "ltx_mcp.abort": lambda name=name: cut.append(name)} for name in ("slow", "fast")]

    async def run() -> None:
        downloads = FileTransfers(2)
        let_go = anyio.Event()

        async def send(message: Any) -> None:
            pass

        def film(size_bytes: int) -> Any:
            async def app(scope: Any, receive: Any, send: Any) -> None:
                await send({"type": "http.response.body", "body": bytes(size_bytes)})
                await let_go.wait()

            return app

        async def receive() -> Any:
            await anyio.sleep_forever()

        async with anyio.create_task_group() as group:
            group.start_soon(downloads.send, film(1), scopes[0], receive, send)
            group.start_soon(downloads.send, film(50_000_000), scopes[1], receive, send)
            await anyio.sleep(0)
            now = anyio.current_time()
            monkeypatch.setattr(anyio, "current_time", lambda: now + 60)
            group.start_soon(downloads.send, film(1), {"type": "http"}, receive, send)
            await anyio.sleep(0)
            let_go.set()

    anyio.run(run)
    assert cut == ["slow"]
