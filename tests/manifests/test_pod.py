"""A server in a container as the manifest describes it: read-only, without root, with a real database and bucket."""

import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from ltx_mcp.server.auth.tokens_file import hash_of
from tests.bucket.seaweed import S3Server
from tests.databases import PostgresServer
from tests.facts import facts_of
from tests.jobs.test_processes import wait_for
from tests.logins.service import free_port
from tests.manifests import pod
from tests.manifests.rendered import EXAMPLE, KUBERNETES, Document, environment, pods, render
from tests.patience import HANG_S

pytestmark = pytest.mark.anyio
TOKEN = f"ltx_{secrets.token_urlsafe(32)}"
PREVIEW = {"prompt": "a pond", "provider": "local", "resolution": "720p", "duration": 6, "fps": 24}


@dataclass(frozen=True)
class Pod:
    """A folder for its volumes and files, the rendered pod, and what its Secrets would hold."""

    folder: Path
    spec: Document
    env: dict[str, str]
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def command(self, *arguments: str) -> list[str]:
        (container,) = self.spec["containers"]
        empty = {each["name"] for each in self.spec["volumes"] if "emptyDir" in each}
        volumes = [self.folder / each["mountPath"][1:] for each in container["volumeMounts"] if each["name"] in empty]
        for each in volumes:
            each.mkdir(exist_ok=True)
        given = arguments or [str(self.port) if each == "8000" else each for each in container["args"]]
        return pod.command(self.spec["securityContext"], self.folder, volumes, self.env, given)

    def get(self, path: str) -> int:
        try:
            return httpx2.get(f"{self.url}{path}", trust_env=False, timeout=HANG_S).status_code
        except httpx2.TransportError:
            return 0


@pytest.fixture
def made(postgres: PostgresServer) -> Iterator[Pod]:
    """With what an operator fills in."""
    pod.check_able()
    example = render(KUBERNETES / EXAMPLE)
    spec = pods(example)["server"]
    store = S3Server()
    # pytest's own folders are closed to others
    with TemporaryDirectory(prefix="ltx-mcp-pod-") as name:
        folder, port = Path(name), free_port()
        folder.chmod(0o755)
        files = folder / "etc"
        files.mkdir()
        row = f'[[token]]\nsha256 = "{hash_of(TOKEN)}"\nname = "anna"\nscopes = ["ltx:read", "ltx:order"]\n'
        (files / "tokens.toml").write_text(row)
        for kind in ("callers.toml", "webhooks.toml"):
            (files / kind).write_bytes((KUBERNETES / EXAMPLE / kind).read_bytes())
        for each in files.iterdir():  # as a Secret's files are: of root, and for the group of the pod
            os.chown(each, 0, spec["securityContext"]["fsGroup"])
            each.chmod(0o440)
        given = environment(example, spec["containers"][0]) | store.env
        given |= {
            "LTX_MCP_DATABASE_URL": _within_reach(postgres.new_database(), folder),
            "LTX_MCP_SIGNING_KEY": secrets.token_urlsafe(32),
            "LTX_MCP_VIDEO_STORE": store.new_address(),
            "TMPDIR": str(folder / "tmp"),
        }
        for key, value in given.items():
            if value.startswith(("/data", "/etc/ltx-mcp")):
                given[key] = value.replace("/etc/ltx-mcp", str(files)).replace("/data", str(folder / "data"))
        yield Pod(folder, spec, given, port)
    store.close()


def _within_reach(url: str, folder: Path) -> str:
    """The same database by a socket that another user may reach: its own lies in a folder that is closed."""
    (closed,) = parse_qs(urlsplit(url).query)["host"]
    for name in os.listdir(closed):
        if name.startswith(".s.PGSQL") and not name.endswith(".lock"):
            os.link(Path(closed, name), folder / name)
    return url.replace(quote(closed, safe=""), str(folder)).replace(closed, str(folder))


@contextmanager
def running(made: Pod, log: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """The pod's process, once it is ready by the probe of the manifest."""
    probe = made.spec["containers"][0]["readinessProbe"]["httpGet"]["path"]
    with log.open("wb") as heard:
        process = subprocess.Popen(made.command(), stdout=heard, stderr=heard)
    try:
        wait_for(lambda: made.get(probe) == 200 or process.poll() is not None, HANG_S)
        assert process.poll() is None, log.read_text()
        yield process
    finally:
        # the first of its namespace, with which all others end; of `unshare` it does not hear any more
        for each in _server(process):
            os.kill(each, signal.SIGKILL)
        process.kill()
        process.wait()


def _server(process: "subprocess.Popen[bytes]") -> list[int]:
    if process.poll() is not None:
        return []
    return [int(each) for each in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]


async def order_a_preview(made: Pod) -> dict[str, Any]:
    """Its end, as a client with a token sees it."""
    headers = {"Authorization": f"Bearer {TOKEN}", "Host": "films.example.com"}
    async with (
        httpx2.AsyncClient(headers=headers, trust_env=False, timeout=HANG_S) as http_client,
        Client(streamable_http_client(f"{made.url}/mcp", http_client=http_client)) as client,
    ):
        facts = facts_of(await client.call_tool("generate_video", PREVIEW))
        return facts_of(await client.call_tool("check_job", {"job_id": facts["job_id"], "wait_seconds": 50}))


async def test_it_serves_draws_and_leaves_within_its_grace(made: Pod, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with running(made, log) as process:
        assert made.get(made.spec["containers"][0]["livenessProbe"]["httpGet"]["path"]) == 200
        done = await order_a_preview(made)
        assert done["state"] == "succeeded", done
        (server,) = _server(process)
        os.kill(server, signal.SIGTERM)
        assert process.wait(made.spec["terminationGracePeriodSeconds"]) == 0
    told = log.read_text()
    assert not [word for word in ("Read-only", "Permission denied", "Traceback") if word in told], told


def test_its_media_process_is_shut_in_as_outside(made: Pod) -> None:
    outside = [sys.executable, "-P", "-m", "ltx_mcp", "doctor", "--offline"]
    found = [_confinement(command, made) for command in (made.command("doctor", "--offline"), outside)]
    assert found[0] == found[1]


def _confinement(command: list[str], made: Pod) -> str:
    env = {**os.environ, "LTX_MCP_HOME": str(made.folder / "outside")}
    ended = subprocess.run(command, capture_output=True, text=True, timeout=HANG_S, env=env)
    (line,) = (each for each in ended.stdout.splitlines() if "confinement:" in each)
    return line
