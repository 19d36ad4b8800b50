"""The server over real pipes: every line with an id is answered, whatever it holds, in both eras of the protocol."""

import io
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from mcp.shared.message import SessionMessage
from mcp.types import ErrorData, JSONRPCError, JSONRPCResponse

from ltx_mcp.server.stdio import _write

INFO = {"name": "host", "version": "1"}
META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientInfo": INFO,
    "io.modelcontextprotocol/clientCapabilities": {},
}
HELLO = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": INFO}
MAX_S = 300.0
"""A server that does not answer is ended, and its test with it."""
DEEP = b'{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{"name":"list_jobs","arguments":{"state":'


class Host:
    """A host that writes lines of its own making."""

    def __init__(self, home: Path, era: str, folder: str = "") -> None:
        self.meta = META if era == "2026-07-28" else None
        env = os.environ | {"LTX_MCP_HOME": str(home), "LTX_MCP_INPUT_DIRS": folder or str(home.parent)}
        pipe = subprocess.PIPE
        self.process = subprocess.Popen([sys.executable, "-m", "ltx_mcp"], stdin=pipe, stdout=pipe, env=env)
        self.guard = threading.Timer(MAX_S, self.process.kill)
        self.guard.start()
        self.number = 0
        if self.meta is None:
            self.ask("initialize", HELLO)
            self.write(b'{"jsonrpc":"2.0","method":"notifications/initialized"}')

    def write(self, line: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line + b"\n")
        self.process.stdin.flush()

    def answer(self, number: int | None) -> dict[str, Any]:
        """The answer under this id; the first that comes with any other is an error of the test."""
        assert self.process.stdout is not None
        while line := self.process.stdout.readline():
            message: dict[str, Any] = json.loads(line)
            if "method" not in message:
                assert message["id"] == number
                return message
        raise AssertionError("the server ended")

    def line(self, method: str, params: dict[str, Any]) -> bytes:
        self.number += 1
        whole = params | ({"_meta": self.meta} if self.meta else {})
        return json.dumps({"jsonrpc": "2.0", "id": self.number, "method": method, "params": whole}).encode()

    def ask(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        self.write(self.line(method, params))
        return self.answer(self.number)

    def call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        return dict(self.ask("tools/call", {"name": tool, "arguments": arguments})["result"])


@pytest.fixture
def host(home: Path) -> Iterator[Callable[..., Host]]:
    started: list[Host] = []

    def start(era: str, folder: str = "") -> Host:
        started.append(Host(home, era, folder))
        return started[-1]

    yield start
    for each in started:
        each.guard.cancel()
        each.process.kill()
        each.process.communicate()


@pytest.mark.parametrize("era", ["2025-11-25", "2026-07-28"])
def test_every_line_with_an_id_is_answered(era: str, host: Callable[..., Host]) -> None:
    over = host(era)
    order = {"name": "generate_video", "arguments": {"prompt": "a boat \ud83d sails", "provider": "local"}}
    line = over.line("tools/call", order)
    assert b"\\ud83d sails" in line
    over.write(line)
    job_id = over.answer(over.number)["result"]["structuredContent"]["job_id"]
    assert over.call("list_jobs")["structuredContent"]["jobs"][0]["prompt"] == "a boat \ufffd sails"
    for depth in (500, 100_000):
        over.write(DEEP % 900 + b"[" * depth + b"]" * depth + b"}}}")
        assert over.answer(900)["error"]["code"] == -32700
    over.write(b"\xef\xbb\xbf" + over.line("tools/list", {}))
    assert over.answer(over.number)["result"]["tools"]
    over.write(b"\xff no JSON")
    assert over.answer(None)["error"]["code"] == -32700
    over.write(b'{"jsonrpc":"2.0","method":"notifications/broken",}')
    assert not over.call("cancel_job", job_id=job_id).get("isError")


@pytest.mark.skipif(sys.platform != "linux", reason="names of other systems are Unicode")
def test_a_folder_whose_name_is_no_unicode_does_not_end_the_server(tmp_path: Path, host: Callable[..., Host]) -> None:
    os.mkdir(os.path.join(os.fsencode(tmp_path), b"\xff"))
    over = host("2025-11-25", os.fsdecode(os.path.join(os.fsencode(tmp_path), b"\xff")))
    refused = over.call("animate_image", prompt="x", image="nowhere.png", provider="local")
    assert "nowhere.png does not exist" in refused["content"][0]["text"]
    assert over.call("list_jobs")["structuredContent"] == {"jobs": []}


def test_an_answer_with_half_a_sign_is_written_all_the_same() -> None:
    sink = io.BytesIO()
    _write(sink, SessionMessage(JSONRPCResponse(jsonrpc="2.0", id=1, result={"text": "\udcff ä"})))
    assert json.loads(sink.getvalue())["result"] == {"text": "? ä"}


def test_an_error_that_repeats_what_was_sent_is_cut() -> None:
    sink = io.BytesIO()
    error = ErrorData(code=-32022, message="No such version.", data={"requested": "x" * 1_000_000})
    _write(sink, SessionMessage(JSONRPCError(jsonrpc="2.0", id=1, error=error)))
    assert json.loads(sink.getvalue())["error"] == {"code": -32022, "message": "No such version."}


@pytest.mark.parametrize("probes", [1, 2])
def test_who_asks_what_is_spoken_may_still_begin_with_the_handshake(probes: int, host: Callable[..., Host]) -> None:
    """The AI SDK waits one second for that answer; a server that starts takes longer on a busy machine."""
    late = host("2026-07-28")
    for _ in range(probes):
        assert "2026-07-28" in late.ask("server/discover", {})["result"]["supportedVersions"]
    late.meta = None
    assert late.ask("initialize", HELLO)["result"]["protocolVersion"] == "2025-11-25"
    late.write(b'{"jsonrpc":"2.0","method":"notifications/initialized"}')
    assert late.call("list_jobs")["structuredContent"] == {"jobs": []}


def test_who_asks_what_is_spoken_may_go_on_without_one(host: Callable[..., Host]) -> None:
    modern = host("2026-07-28")
    modern.ask("server/discover", {})
    assert modern.call("list_jobs")["structuredContent"] == {"jobs": []}
