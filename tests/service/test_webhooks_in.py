"""fal tells one server, and the job is another process's on another machine."""

import os
from pathlib import Path

import anyio
import pytest
from mcp import Client

from ltx_mcp.domain.job import State
from ltx_mcp.emulator.app import settings
from tests.conftest import Emulated
from tests.databases import PostgresServer
from tests.facts import facts_of
from tests.server.told import ASKS_HOURLY, HOUR_S, POND, told_by_fal
from tests.service.replicas import Replica

pytestmark = [pytest.mark.anyio, pytest.mark.skipif(os.name == "nt", reason="POSIX signals")]


async def test_a_job_ends_when_another_server_is_told(
    home: Path, emulator: Emulated, postgres: PostgresServer, tmp_path: Path
) -> None:
    shared = {"LTX_MCP_DATABASE_URL": postgres.new_database()}
    models = tmp_path / "models.toml"
    models.write_text(ASKS_HOURLY, encoding="utf-8")
    async with told_by_fal(home, emulator, more=shared) as told:
        ours = {
            "LTX_MCP_HOME": str(tmp_path / "elsewhere"),
            "LTX_MCP_MODELS": str(models),
            "LTX_MCP_WEBHOOKS": str(home.with_name("webhooks.toml")),
            "LTX_MCP_PUBLIC_URL": told.url,
        }
        kept = {name: value for name, value in os.environ.items() if not name.startswith("LTX_")}
        env = kept | settings(emulator[0]) | shared | ours
        replica = await anyio.to_thread.run_sync(Replica, env, tmp_path / "log")
        try:
            async with Client(f"http://127.0.0.1:{replica.port}/mcp") as client:
                placed = facts_of(await client.call_tool("generate_video", {"prompt": "a pond", **POND}))
            await told.until(lambda: told.polls == 1)
            jobs = await told.open()
            job = await told.job(placed["job_id"])
            assert job.lease_owner not in ("", jobs._liveness.worker)
            told.world.advance(HOUR_S)
            ended = await told.end(job)
            await told.until(lambda: told.told)
            assert (ended.state, told.told, told.polls, told.count("submit")) == (State.SUCCEEDED, [200], 2, 1)
        finally:
            replica.close()
