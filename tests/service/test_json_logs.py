"""With LTX_MCP_LOG_FORMAT=json all that a service writes to stderr, from its first line to its last, is one object a
line: of a real process, by which jobs end well and badly, and which refuses, breaks and is told to end."""

import hashlib
import json
import re
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from ltx_mcp.emulator.app import settings
from ltx_mcp.emulator.emulator_state import Fault
from ltx_mcp.server.auth.tokens_file import new_token, to_row_text
from tests.cli.conftest import environment, posix
from tests.conftest import Emulated
from tests.facts import facts_on_wire
from tests.jobs.test_processes import wait_for
from tests.logins.service import free_port
from tests.patience import HANG_S
from tests.server.auth.people import result_of
from tests.server.auth.service import send

pytestmark = [pytest.mark.anyio, posix]

USER, PROMPT = "wolfgang.amadeus", "a secret pond at night"
CHEAP: dict[str, Any] = {"provider": "fal", "model": "ltx-2.3-fast"}
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
NAMES = {"time", "level", "logger", "message", "request", "job", "trace_id", "span_id", "caller", "error"}


@dataclass
class Service:
    """A service and the token of a backend that may act for others."""

    folder: Path
    more: dict[str, str]
    token: str = field(default_factory=new_token)
    port: int = field(default_factory=free_port)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def written(self) -> str:
        return (self.folder / "log").read_text("utf-8")

    @property
    def lines(self) -> list[dict[str, Any]]:
        """What it wrote, each line as the object that it must be."""
        return [json.loads(line) for line in self.written.splitlines()]

    def start(self) -> subprocess.Popen[bytes]:
        tokens = self.folder / "tokens.toml"
        tokens.write_text(to_row_text(self.token, "shop", ("ltx:order",), may_act=True, expires=None), "utf-8")
        tokens.chmod(0o600)
        ours = {
            "LTX_MCP_TOKENS_FILE": str(tokens),
            "LTX_MCP_PUBLIC_URL": self.url,
            "LTX_MCP_SIGNING_KEY": secrets.token_urlsafe(32),
            "LTX_MCP_LOG_FORMAT": "json",
            "LTX_MCP_LOG_LEVEL": "DEBUG",
        }
        env = environment(self.folder / "home", **ours | self.more)
        command = [sys.executable, "-m", "ltx_mcp", "serve", "--http", "--port", str(self.port)]
        with (self.folder / "log").open("wb") as log:
            return subprocess.Popen(command, env=env, stderr=log)

    @contextmanager
    def running(self) -> Iterator[subprocess.Popen[bytes]]:
        process = self.start()
        try:
            wait_for(lambda: "serves MCP at" in self.written or process.poll() is not None, HANG_S)
            assert process.poll() is None, self.written
            yield process
        finally:
            process.kill()
            process.wait()

    async def call(self, tool: str, **arguments: Any) -> Any:
        """The result of a tool for the user."""
        async with httpx.AsyncClient(base_url=self.url, timeout=HANG_S, trust_env=False) as web:
            params = {"name": tool, "arguments": arguments}
            return result_of(await send(web, self.token, "tools/call", params, X_LTX_User=USER))

    async def ended(self, **order: Any) -> tuple[str, str]:
        """The id of a new job, and how it ended."""
        placed = facts_on_wire(await self.call("generate_video", **CHEAP | {"prompt": PROMPT} | order))
        view = facts_on_wire(await self.call("check_job", job_id=placed["job_id"], wait_seconds=50))
        return placed["job_id"], view["state"]


@pytest.fixture
def service(tmp_path: Path, emulator: Emulated) -> Service:
    return Service(tmp_path, settings(emulator[0]))


async def test_every_line_from_first_to_last_is_an_object_and_none_tells_a_secret(
    service: Service, emulator: Emulated
) -> None:
    emulator[1].wait_s, emulator[1].work_s = 0.0, 0.1
    with service.running() as process:
        made, state = await service.ended()
        assert state == "succeeded"
        emulator[1].faults.append(Fault("fal", "submit", "refuse"))
        broken, state = await service.ended(prompt=f"{PROMPT} again")
        assert state == "failed"
        refused = await service.call("generate_video", prompt=f"{PROMPT} cheaply", **CHEAP, max_cost_usd=0.01)
        assert refused["isError"]
        async with httpx.AsyncClient(base_url=service.url, trust_env=False) as web:
            assert (await send(web, "nobody's", "tools/list", {})).status_code == 401
            assert (await web.get(f"/videos/{made}.mp4?exp=1&sig={'s' * 43}")).status_code in (401, 403, 404)
        process.send_signal(signal.SIGTERM)
        assert process.wait(HANG_S) == 0
    lines = service.lines
    assert all(TIME.fullmatch(line["time"]) and line["level"] and line["logger"] for line in lines)
    assert {name for line in lines for name in line} <= NAMES
    assert all(value for line in lines for value in line.values())
    assert any("serves MCP at" in line["message"] for line in lines)
    told = {(line["job"], line["message"]) for line in lines if "job" in line}
    assert {(made, f"{made} succeeded"), (broken, f"{broken} failed: rejected")} <= told
    caller = hashlib.sha256(f"token|shop/{USER}".encode()).hexdigest()[:16]
    ended = next(line for line in lines if line["message"] == f"{made} succeeded")
    placed = next(line for line in lines if line["message"] == f"{made} placed with fal")
    assert ended["caller"] == placed["caller"] == caller
    assert "request" in placed
    assert "request" not in ended
    assert [line for line in lines if line["logger"] == "httpx" and "request" in line] == []
    access = [line for line in lines if line["logger"] == "uvicorn.access"]
    assert placed["request"].partition("/")[0] in {line["request"] for line in access}
    assert any(line["message"].endswith(" 401") for line in access)
    hidden = (USER, PROMPT, service.token, service.more["FAL_KEY"], "sig=", "s" * 43)
    assert [each for each in hidden if each in service.written] == []


async def test_a_server_that_cannot_start_says_why_in_an_object(service: Service) -> None:
    service.more["LTX_MCP_SIGNING_KEY"] = ""
    with pytest.raises(AssertionError, match="LTX_MCP_SIGNING_KEY"), service.running():
        pass
    (line,) = service.lines
    assert (line["level"], "LTX_MCP_SIGNING_KEY" in line["message"]) == ("ERROR", True)


PRINTS = """
import logging, os, subprocess, sys, threading, warnings
from ltx_mcp.presentation.json_logs import log_as_json
log_as_json()
print("printed", file=sys.stderr)
sys.stderr.flush()
warnings.warn("old")
thread = threading.Thread(target=lambda: 1 / 0)
thread.start()
thread.join()
subprocess.run([sys.executable, "-c", "raise KeyError('child')"])
logging.error("%d", "no number")
raise ValueError("the last")
"""


async def test_what_others_print_and_what_breaks_is_an_object_too() -> None:
    ended = subprocess.run([sys.executable, "-c", PRINTS], capture_output=True, text=True, timeout=HANG_S)
    lines = [json.loads(line) for line in ended.stderr.splitlines()]
    assert (ended.returncode, {line["logger"] for line in lines}) == (1, {"stderr", "py.warnings"})
    assert {"ZeroDivisionError", "ValueError"} <= {line.get("error", {}).get("type") for line in lines}
    for said in ("printed", "KeyError: 'child'", "UserWarning: old", "no number"):
        assert any(said in line["message"] + line.get("error", {}).get("traceback", "") for line in lines)


LEAVES = """
import os, sys
from ltx_mcp.cli import serve
serve.report_left_out = lambda: os.write(2, b"the last words\\n")
sys.argv = ["ltx-mcp", "serve", "--http", "--port", "0"]
from ltx_mcp.__main__ import main
main()
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_what_is_printed_just_before_a_server_leaves_is_an_object(tmp_path: Path, number: signal.Signals) -> None:
    env = environment(tmp_path / "home", LTX_MCP_LOG_FORMAT="json")
    with subprocess.Popen([sys.executable, "-c", LEAVES], env=env, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        first = process.stderr.readline()
        process.send_signal(number)
        rest = process.stderr.read()
    messages = [json.loads(line)["message"] for line in (first, *rest.splitlines())]
    assert ("serves MCP at" in messages[0], messages[-1]) == (True, "the last words")
