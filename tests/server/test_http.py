"""`serve --http` as a real process: both eras over a socket, films with byte ranges, and nothing for strangers."""

import base64
import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio import to_thread
from mcp import Client
from mcp.types import CallToolResult, TextContent
from PIL import Image

from ltx_mcp.domain.job import State
from tests.cli.conftest import first_line, insist
from tests.conftest import ENDS_S, ERAS, Era
from tests.facts import facts_of
from tests.jobs.test_processes import Look, processes_of, wait_for
from tests.patience import HANG_S

pytestmark = pytest.mark.skipif(os.name == "nt", reason="POSIX signals")

SMALL: dict[str, Any] = {"resolution": "720p", "fps": 24, "generate_audio": False}
MIDDLE = SMALL | {"duration": 12}
WAITED_FOR = SMALL | {"duration": 20}
LONG: dict[str, Any] = {"resolution": "2160p", "duration": 20, "fps": 50}


class Served:
    """A server process on a free port, listening when this is made."""

    def __init__(self, home: Path, **more: str) -> None:
        command = [sys.executable, "-m", "ltx_mcp", "serve", "--http", "--port", "0"]
        kept = {name: value for name, value in os.environ.items() if not name.startswith("LTX_")}
        env = {**kept, "LTX_MCP_HOME": str(home), **more}
        self.home = home
        self.process = subprocess.Popen(command, env=env, stderr=subprocess.PIPE, encoding="utf-8")
        try:
            self.told = first_line(self.process.stderr)
            found = re.search(r"http://\S+:(\d+)/mcp", self.told)
            assert found, self.told
        except BaseException:
            self.close()
            raise
        self.url, self.port = found[0], int(found[1])

    def get(self, path: str, method: str = "GET", **headers: str) -> tuple[HTTPResponse, bytes]:
        """The answer to a path that is sent as it stands, by a client that repairs nothing."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=HANG_S)
        connection.putrequest(method, path, skip_host="Host" in headers)
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.endheaders()
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        return answer, body

    def call(self, tool: str, **arguments: Any) -> CallToolResult:
        """One call by a client that comes and goes."""

        async def call() -> CallToolResult:
            async with Client(self.url) as client:
                return await client.call_tool(tool, arguments)

        return anyio.run(call)

    def end(self, number: signal.Signals) -> tuple[float, int, str]:
        """How many seconds it took to end, its exit code, and what it said on stderr since the first line."""
        began = time.monotonic()
        self.process.send_signal(number)
        code = self.process.wait(HANG_S)
        assert self.process.stderr is not None
        return time.monotonic() - began, code, self.process.stderr.read()

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stderr is not None
        self.process.stderr.close()


@pytest.fixture
def serve(home: Path) -> Iterator[Callable[..., Served]]:
    """Starts servers on the test's home; at the end no process works on it any more."""
    started: list[Served] = []

    def start(at: Path = home, **more: str) -> Served:
        started.append(Served(at, **more))
        return started[-1]

    yield start
    for each in started:
        each.close()
    wait_for(lambda: not processes_of(home), HANG_S)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One server for the tests that only ask."""
    one = Served(tmp_path_factory.mktemp("http") / "home")
    yield one
    one.close()
    wait_for(lambda: not processes_of(one.home), HANG_S)


@pytest.fixture(scope="module")
def film(served: Served) -> dict[str, Any]:
    """The view of one finished job."""
    job_id = structured(served.call("generate_video", prompt="a lighthouse", **SMALL))["job_id"]
    view = structured(served.call("check_job", job_id=job_id, wait_seconds=45))
    assert view["state"] == "succeeded"
    return view


@pytest.fixture
def look(home: Path) -> Iterator[Look]:
    opened = Look(home)
    yield opened
    opened.database.close()


def structured(result: CallToolResult) -> dict[str, Any]:
    assert not result.is_error, result.content
    return facts_of(result)


def text_of(result: CallToolResult) -> str:
    assert isinstance(result.content[0], TextContent)
    return result.content[0].text


# -- the tools ----------------------------------------------------------------------------------------------------


@pytest.mark.anyio
@pytest.mark.parametrize("era", ERAS)
async def test_a_film_is_ordered_and_followed_over_http_with_progress(served: Served, era: Era) -> None:
    told: list[float] = []

    async def note(progress: float, total: float | None, message: str | None) -> None:
        told.append(progress)

    async with Client(served.url, mode=era) as client:
        assert "generate_video" in {tool.name for tool in (await client.list_tools()).tools}
        placed = structured(await client.call_tool("generate_video", {"prompt": f"a pier, {era}", **SMALL}))
        waiting = {"job_id": placed["job_id"], "wait_seconds": 45}
        view = structured(await client.call_tool("check_job", waiting, progress_callback=note))
    assert view["state"] == "succeeded"
    assert len(told) > 2
    assert told == sorted(set(told)) == [int(each) for each in told]
    assert view["video_url"] == f"http://127.0.0.1:{served.port}/videos/{view['job_id']}.mp4"
    assert "file" not in view


def test_a_path_is_not_a_picture_over_http(served: Served, tmp_path: Path) -> None:
    path = tmp_path / "pier.png"
    Image.new("RGB", (640, 360)).save(path)
    refused = served.call("animate_image", prompt="x", image=str(path))
    assert refused.is_error
    assert text_of(refused).startswith("invalid_request: image is a path, which is not accepted here")


def test_a_picture_of_several_megabytes_arrives_as_a_data_uri(served: Served, tmp_path: Path) -> None:
    path = tmp_path / "noise.png"
    Image.frombytes("RGB", (1600, 900), random.Random(1).randbytes(1600 * 900 * 3)).save(path)
    data = path.read_bytes()
    assert len(data) > 4 << 20
    uri = f"data:image/png;base64,{base64.b64encode(data).decode()}"
    placed = structured(served.call("animate_image", prompt="noise", image=uri))
    assert structured(served.call("cancel_job", job_id=placed["job_id"]))["state"] == "cancelled"


# -- the films ----------------------------------------------------------------------------------------------------


def test_the_url_of_a_film_gives_the_whole_film(served: Served, film: dict[str, Any]) -> None:
    answer, body = served.get(f"/videos/{film['job_id']}.mp4")
    assert answer.status == 200
    assert answer.getheader("content-type") == "video/mp4"
    assert answer.getheader("accept-ranges") == "bytes"
    assert body == (served.home / "videos" / f"{film['job_id']}.mp4").read_bytes()
    assert len(body) == film["size_bytes"]


@pytest.mark.parametrize("asked", ["bytes=0-99", "bytes=1000-", "bytes=-500"])
def test_a_player_can_seek_with_byte_ranges(served: Served, film: dict[str, Any], asked: str) -> None:
    whole = (served.home / "videos" / f"{film['job_id']}.mp4").read_bytes()
    size = len(whole)
    first, last = {"bytes=0-99": (0, 99), "bytes=1000-": (1000, size - 1), "bytes=-500": (size - 500, size - 1)}[asked]
    answer, body = served.get(f"/videos/{film['job_id']}.mp4", Range=asked)
    assert answer.status == 206
    assert answer.getheader("content-range") == f"bytes {first}-{last}/{size}"
    assert answer.getheader("content-type") == "video/mp4"
    assert body == whole[first : last + 1]


def test_a_range_beyond_the_end_is_416_with_the_size(served: Served, film: dict[str, Any]) -> None:
    answer, _ = served.get(f"/videos/{film['job_id']}.mp4", Range=f"bytes={film['size_bytes']}-")
    assert answer.status == 416
    assert answer.getheader("content-range") == f"bytes */{film['size_bytes']}"


def test_head_gives_size_and_type_without_the_film(served: Served, film: dict[str, Any]) -> None:
    answer, body = served.get(f"/videos/{film['job_id']}.mp4", "HEAD")
    assert (answer.status, body) == (200, b"")
    assert answer.getheader("content-length") == str(film["size_bytes"])
    assert answer.getheader("content-type") == "video/mp4"


@pytest.mark.parametrize(
    "name",
    [
        "job_aaaaaaaaaaaaaaaaaaaa.mp4",
        "{job_id}",
        "{job_id}.jpg",
        "{job_id}.json",
        ".mp4",
        "",
        "..%2f..%2fjobs.sqlite",
        "..%2fjobs.sqlite",
        "../../jobs.sqlite",
        "../videos/{job_id}.jpg",
        "..%2fjobs.sqlite%00.mp4",
        "%2e%2e%2fvideos%2f{job_id}.mp4",
        "%ff.mp4",
    ],
)
def test_only_a_films_own_name_leads_to_a_file(served: Served, film: dict[str, Any], name: str) -> None:
    answer, body = served.get(f"/videos/{name.format(job_id=film['job_id'])}")
    assert answer.status == 404
    assert str(served.home).encode() not in body
    assert b"SQLite" not in body


def test_a_job_without_a_film_is_404(served: Served) -> None:
    job_id = structured(served.call("generate_video", prompt="long", **LONG))["job_id"]
    answer, _ = served.get(f"/videos/{job_id}.mp4")
    served.call("cancel_job", job_id=job_id)
    assert answer.status == 404
    assert served.get(f"/videos/{job_id}.mp4")[0].status == 404


# -- strangers ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["evil.example", "evil.example:{port}", "127.0.0.1.evil.example:{port}", ""])
def test_a_name_that_is_not_this_machines_is_refused_everywhere(
    served: Served, film: dict[str, Any], host: str
) -> None:
    named = {"Host": host.format(port=served.port)}
    assert served.get("/mcp", "GET", **named)[0].status == 421
    answer, body = served.get("/mcp", "POST", **named, **{"Content-Type": "application/json"})
    assert (answer.status, b"LTX_MCP_PUBLIC_URL" in body) == (421, True)
    assert served.get(f"/videos/{film['job_id']}.mp4", **named)[0].status == 421


@pytest.mark.parametrize("host", ["127.0.0.1:{port}", "localhost:{port}", "[::1]:{port}", "localhost"])
def test_every_name_of_this_machine_is_served(served: Served, film: dict[str, Any], host: str) -> None:
    answer, _ = served.get(f"/videos/{film['job_id']}.mp4", "HEAD", Host=host.format(port=served.port))
    assert answer.status == 200


def test_a_page_of_another_site_is_refused(served: Served, film: dict[str, Any]) -> None:
    assert served.get(f"/videos/{film['job_id']}.mp4", Origin="https://evil.example")[0].status == 403
    asked = {"Origin": "https://evil.example", "Content-Type": "application/json"}
    assert served.get("/mcp", "POST", **asked)[0].status == 403


def test_a_page_of_another_site_can_show_a_film_but_not_read_it(served: Served, film: dict[str, Any]) -> None:
    path = f"/videos/{film['job_id']}.mp4"
    shown = {"Origin": "null", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "video"}
    answer, _ = served.get(path, "HEAD", **shown)
    assert (answer.status, answer.getheader("Access-Control-Allow-Origin")) == (200, None)
    assert served.get(path, **shown | {"Host": "evil.example"})[0].status == 421
    assert served.get(path, **shown | {"Sec-Fetch-Mode": "cors"})[0].status == 403
    assert served.get(path, **shown | {"Sec-Fetch-Dest": "empty"})[0].status == 403


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.0.1", "films.example.com"])
def test_another_host_than_loopback_is_refused_before_anything_is_opened(home: Path, host: str) -> None:
    command = [sys.executable, "-m", "ltx_mcp", "serve", "--http", "--host", host]
    env = {**os.environ, "LTX_MCP_HOME": str(home)}
    ended = subprocess.run(command, env=env, capture_output=True, encoding="utf-8", timeout=HANG_S)
    assert (ended.returncode, ended.stdout) == (3, "")
    assert ended.stderr.startswith(f"ltx-mcp: invalid_request: --host {host} would let others order with your keys")
    assert ended.stderr.count("\n") == 1


# -- starting and ending ------------------------------------------------------------------------------------------


def test_the_public_address_is_used_for_films_and_served(
    serve: Callable[..., Served], served: Served, film: dict[str, Any]
) -> None:
    server = serve(served.home, LTX_MCP_PUBLIC_URL="https://films.example.com/ltx/")
    view = structured(server.call("check_job", job_id=film["job_id"]))
    assert view["video_url"] == f"https://films.example.com/ltx/videos/{film['job_id']}.mp4"
    assert server.get(f"/videos/{film['job_id']}.mp4", "HEAD", Host="films.example.com")[0].status == 200
    assert server.get(f"/videos/{film['job_id']}.mp4", "HEAD", Host="other.example.com")[0].status == 421


def test_the_start_says_that_there_is_no_login_and_whose_keys_are_lent(serve: Callable[..., Served]) -> None:
    import pwd

    user = pwd.getpwuid(os.geteuid()).pw_name
    told = serve(FAL_KEY="fal-secret-value", NETWRCK_API_KEY="netwrck-secret-value", LOGNAME="somebody").told
    assert "There is no login: everyone and every program on this machine can use it" in told
    assert f"order with the keys of {user} for fal (FAL_KEY), netwrck (NETWRCK_API_KEY)." in told
    assert "secret" not in told
    assert "order previews: no key is set" in serve().told


def test_a_port_that_is_taken_is_one_line_with_a_way_out(home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        command = [sys.executable, "-m", "ltx_mcp", "serve", "--http", "--port", str(port)]
        env = {**os.environ, "LTX_MCP_HOME": str(home)}
        ended = subprocess.run(command, env=env, capture_output=True, encoding="utf-8", timeout=HANG_S)
    assert ended.returncode == 3
    assert ended.stderr.startswith(f"ltx-mcp: invalid_request: Port {port} on 127.0.0.1 cannot be used: ")
    assert "--port" in ended.stderr
    assert ended.stderr.count("\n") == 1


@pytest.mark.anyio
@pytest.mark.parametrize("era", ERAS)
async def test_a_waiting_call_is_answered_when_the_server_is_told_to_end(
    serve: Callable[..., Served], look: Look, era: Era
) -> None:
    server = serve()
    ended: list[tuple[float, int, str]] = []

    def end_it(job_id: str) -> None:
        wait_for(lambda: (look.job(job_id).progress or 0) > 0, HANG_S)
        ended.append(server.end(signal.SIGTERM))

    async with Client(server.url, mode=era) as client, anyio.create_task_group() as group:
        job_id = structured(await client.call_tool("generate_video", {"prompt": "a pond", **WAITED_FOR}))["job_id"]
        group.start_soon(to_thread.run_sync, end_it, job_id)
        view = structured(await client.call_tool("check_job", {"job_id": job_id, "wait_seconds": 45}))
    seconds, code, told = ended[0]
    assert (view["state"], seconds < ENDS_S) == ("running", True)
    assert (code, "Traceback" in told) == (0, False)
    wait_for(lambda: look.history(job_id).count("started") == 2, HANG_S)
    cancel(server, job_id)


def test_a_film_that_the_end_of_the_server_cut_short_is_there_a_little_later(
    serve: Callable[..., Served], look: Look
) -> None:
    server = serve()
    job_id = structured(server.call("generate_video", prompt="a pond", **MIDDLE))["job_id"]
    wait_for(lambda: (look.job(job_id).progress or 0) > 0, HANG_S)
    seconds, code, told = server.end(signal.SIGTERM)
    assert seconds < ENDS_S
    assert (code, told) == (0, "")
    wait_for(lambda: look.job(job_id).state is State.SUCCEEDED, HANG_S)
    assert look.history(job_id).count("started") == 2
    assert (server.home / "videos" / f"{job_id}.mp4").exists()


def test_ctrl_c_again_and_again_does_not_break_the_handover(serve: Callable[..., Served], look: Look) -> None:
    server = serve()
    job_id = structured(server.call("generate_video", prompt="a pond", **LONG))["job_id"]
    wait_for(lambda: look.job(job_id).state is State.RUNNING, HANG_S)
    insist(server.process, signal.SIGINT)
    wait_for(lambda: look.history(job_id).count("started") == 2, HANG_S)
    cancel(server, job_id)


def cancel(server: Served, job_id: str) -> None:
    command = [sys.executable, "-m", "ltx_mcp", "jobs", "cancel", job_id]
    subprocess.run(command, env={**os.environ, "LTX_MCP_HOME": str(server.home)}, stdout=subprocess.DEVNULL, check=True)
