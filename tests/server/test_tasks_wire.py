"""Tasks between real processes: a server killed in the middle of one, and the headers of HTTP."""

import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client, MCPError, StdioServerParameters
from mcp.types import HEADER_MISMATCH, CallToolResult

from ltx_mcp.emulator.app import settings
from ltx_mcp.server.tasks import TASKS
from tests.conftest import Emulated
from tests.jobs.test_processes import environment, processes_of, wait_for
from tests.patience import HANG_S
from tests.server.follower import LONG_S, POND, SMALL, Follows, ended, handle, send, structured
from tests.server.test_http import Served

pytestmark = [pytest.mark.anyio, pytest.mark.skipif(os.name == "nt", reason="POSIX signals")]


@asynccontextmanager
async def over_stdio(home: Path, **more: str) -> AsyncIterator[Client]:
    """A following host and its server process."""
    env = environment(home) | more
    server = StdioServerParameters(command=sys.executable, args=["-m", "ltx_mcp"], env=env)
    async with Client(server, extensions=[Follows()]) as client:
        yield client


@pytest.mark.parametrize("provider", ["fal", "local"])
async def test_a_task_outlives_its_server_that_is_killed_in_the_middle(
    home: Path, emulator: Emulated, provider: str
) -> None:
    base_url, world = emulator
    world.wait_s, world.work_s = 0.0, LONG_S
    order = POND | {"provider": "fal"} if provider == "fal" else SMALL | {"duration": 12}
    stage = "at fal" if provider == "fal" else "drawing"
    async with over_stdio(home, **settings(base_url)) as client:
        task = await handle(client, **order)
        with anyio.fail_after(HANG_S):
            while stage not in (await send(client.session, "get", task["taskId"]))["statusMessage"]:
                await anyio.sleep(0.05)
        for pid in processes_of(home):
            os.kill(pid, 9)
        with pytest.raises(MCPError):
            await send(client.session, "get", task["taskId"])
    assert not processes_of(home)
    async with over_stdio(home, **settings(base_url)) as client:
        seen = await send(client.session, "get", task["taskId"])
        assert (seen["status"], seen["createdAt"]) == ("working", task["createdAt"])
        world.advance(LONG_S)
        done = await ended(client.session, task["taskId"])
    result = CallToolResult.model_validate(done["result"])
    assert not result.is_error
    assert (structured(result)["state"], structured(result)["job_id"]) == ("succeeded", task["taskId"])
    assert (home / "videos" / f"{task['taskId']}.mp4").exists()
    assert len(world.orders) == (provider == "fal")
    wait_for(lambda: not processes_of(home), HANG_S)


def test_over_http_a_task_is_followed_and_the_routing_header_must_name_it(home: Path) -> None:
    served = Served(home)
    try:

        async def order() -> str:
            async with Client(served.url, extensions=[Follows()]) as client:
                task_id: str = (await handle(client, **SMALL, duration=20))["taskId"]
                assert (await send(client.session, "get", task_id))["status"] == "working"
                return task_id

        task_id = anyio.run(order)
        assert post(served.port, task_id, task_id) == (200, "working")
        for name in ("job_" + "b" * 20, None):
            assert post(served.port, task_id, name) == (400, HEADER_MISMATCH)
        assert post(served.port, task_id, task_id, verb="cancel") == (200, None)
    finally:
        served.close()
    wait_for(lambda: not processes_of(home), HANG_S)


def post(port: int, task_id: str, name: str | None, verb: str = "get") -> tuple[int, Any]:
    """The status, and the task's status or the error's code."""
    meta = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {"extensions": {TASKS: {}}},
    }
    body = {"jsonrpc": "2.0", "id": 1, "method": f"tasks/{verb}", "params": {"taskId": task_id, "_meta": meta}}
    headers = {"Mcp-Method": f"tasks/{verb}", "MCP-Protocol-Version": "2026-07-28", "Content-Type": "application/json"}
    headers |= {"Accept": "application/json, text/event-stream"} | ({} if name is None else {"Mcp-Name": name})
    connection = HTTPConnection("127.0.0.1", port, timeout=HANG_S)
    connection.request("POST", "/mcp", json.dumps(body), headers)
    answer = connection.getresponse()
    sent = answer.read().decode()
    connection.close()
    message = json.loads(sent.partition("data: ")[2] or sent)
    return answer.status, message["error"]["code"] if "error" in message else message["result"].get("status")
