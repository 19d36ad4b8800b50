"""A film in a bucket: the server's address leads the browser there, as the page's policy allows."""

import threading
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from mcp import Client

from tests.bucket.seaweed import S3Server
from tests.jobs.test_processes import processes_of, wait_for
from tests.patience import HANG_S
from tests.player.stage import APPS, DRAWN, Stage, place, until_ended
from tests.server.test_http import Served

pytestmark = pytest.mark.anyio
BEGINNING_BYTES = 40_000


class EndingAddresses(ThreadingHTTPServer):
    """A way to the bucket, by which an address that was signed brings no more than the beginning of a film. `end` cuts
    that off; such an address is refused from then on, and one that is signed later brings all of it."""

    daemon_threads = True

    def __init__(self, server: S3Server) -> None:
        super().__init__(("127.0.0.1", 0), _Carrier)
        self.s3 = server
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.signed: list[str] = []
        self.ended: frozenset[str] = frozenset()
        self.is_over = threading.Event()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def end(self) -> None:
        self.ended = frozenset(self.signed)
        self.is_over.set()


class _Carrier(BaseHTTPRequestHandler):
    server: EndingAddresses

    def _carry(self) -> None:
        way, signature = self.server, parse_qs(urlsplit(self.path).query).get("X-Amz-Signature", [""])[0]
        if signature:
            way.signed.append(signature)
        if signature in way.ended:
            self.send_error(403)
            return
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        with closing(HTTPConnection("127.0.0.1", way.s3.port, timeout=HANG_S)) as s3:
            s3.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                s3.putheader(name, value)
            s3.endheaders(body)
            answer = s3.getresponse()
            content = answer.read()
        self.send_response_only(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("connection", "transfer-encoding"):
                self.send_header(name, value)
        self.send_header("Connection", "close")
        self.end_headers()
        is_cut = signature and not way.is_over.is_set()
        self.wfile.write(content[:BEGINNING_BYTES] if is_cut else content)
        self.close_connection = True
        if is_cut:
            self.wfile.flush()
            way.is_over.wait(HANG_S)

    do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = _carry

    def log_message(self, format: str, *arguments: Any) -> None:
        """Nothing is said."""


@pytest.fixture
def s3() -> Iterator[S3Server]:
    server = S3Server()
    yield server
    server.close()


@pytest.fixture
def with_bucket(tmp_path: Path, s3: S3Server) -> Iterator[Served]:
    """A server over HTTP whose films are in a bucket."""
    one = Served(tmp_path / "home", **s3.env, LTX_MCP_VIDEO_STORE=s3.new_address())
    yield one
    one.close()
    wait_for(lambda: not processes_of(one.home), HANG_S)


async def test_a_film_in_a_bucket_plays_and_seeks_through_the_redirect(
    stage: Stage, with_bucket: Served, s3: S3Server
) -> None:
    async with Client(with_bucket.url, extensions=[APPS]) as client:
        job_id = await place(client, prompt="a tide pool", duration=6, **DRAWN)
        assert (await until_ended(client, job_id))["state"] == "succeeded"
        async with stage.open(client) as player:
            asked: list[str] = []
            player.page.on("request", lambda request: asked.append(request.url))
            view = await player.give(job_id)
            assert await player.plays() > 0.2
            assert await player.ask("document.querySelector('video').currentSrc") == view["video_url"]
            await player.ask("void (document.querySelector('video').currentTime = 5)")
            await player.until("(one => one.currentTime >= 5 && !one.seeking && one.readyState > 1)($('video'))")
        assert any(url.startswith(f"{s3.url}/") and "X-Amz-Signature" in url for url in asked)
        assert not player.bridge.reads


async def test_a_film_goes_on_when_the_address_in_the_bucket_has_ended_while_it_was_open(
    stage: Stage, tmp_path: Path, s3: S3Server
) -> None:
    way = EndingAddresses(s3)
    env = s3.env | {"AWS_ENDPOINT_URL": way.url, "LTX_MCP_VIDEO_STORE": s3.new_address()}
    server = Served(tmp_path / "home", **env)
    try:
        async with Client(server.url, extensions=[APPS]) as client:
            job_id = await place(client, prompt="a tide pool", duration=6, **DRAWN)
            assert (await until_ended(client, job_id))["size_bytes"] > 2 * BEGINNING_BYTES
            async with stage.open(client) as player:
                await player.give(job_id)
                await player.until("$('video').readyState > 0")
                await player.ask("void (Date.now = (now => () => now() + 11 * 60e3)(Date.now))")
                way.end()
                await player.ask("void ($('video').currentTime = 5)")
                await player.until("(one => one.currentTime >= 5 && !one.seeking && one.readyState > 1)($('video'))")
            assert set(way.signed) > way.ended
            assert not player.bridge.reads
    finally:
        server.close()
        wait_for(lambda: not processes_of(server.home), HANG_S)
        way.shutdown()
        way.server_close()
