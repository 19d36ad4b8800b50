"""A service that fal tells when an order has ended, and asks fal itself so rarely that nothing else wakes it. Not a
test."""

import json
import secrets
import socket
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import httpx

from ltx_mcp.domain.job import Job
from ltx_mcp.emulator.app import settings
from ltx_mcp.emulator.emulator_state import EmulatorState, Fault
from ltx_mcp.emulator.fal.webhooks import sign
from ltx_mcp.jobs.service import Jobs
from tests.conftest import Emulated
from tests.patience import HANG_S
from tests.server.auth.people import ANN, Service, served

HOUR_S = 3600
ASKS_HOURLY = f'name = "fal"\npoll = {{ first_s = {HOUR_S}, most_s = {HOUR_S} }}\ngive_up_after_s = {9 * HOUR_S}\n'
POND: dict[str, Any] = {"provider": "fal", "resolution": "1080p", "duration": 6}
FILE = '[incoming]\nproviders = ["fal"]\n'


@dataclass
class Told:
    """The service, the world behind fal, and how often fal was asked."""

    service: Service
    world: EmulatorState
    url: str
    jobs: Jobs = field(init=False)

    async def place(self, prompt: str = "a pond", **more: Any) -> Job:
        """An order of Ann's that fal works on and was asked about once: from here on it rests."""
        await self.open()
        before = self.polls
        placed = await self.service.person(ANN).call("generate_video", prompt=prompt, **POND, **more)
        await self.until(lambda: self.polls > before)
        return await self.job(placed["job_id"])

    async def open(self) -> Jobs:
        """The jobs of the service, which are opened at the first call."""
        await self.service.person(ANN).call("list_jobs")
        self.jobs = await self.service.jobs()
        return self.jobs

    async def job(self, job_id: str) -> Job:
        """The job as its row is now."""
        return await self.jobs.get(job_id, None)

    async def end(self, job: Job) -> Job:
        """The job at its end."""
        ended = await self.jobs.following.wait(job, HANG_S, _nothing)
        assert not ended.live, ended.status_message
        return ended

    async def until(self, is_so: Any) -> None:
        """Wait for something that comes."""
        with anyio.fail_after(HANG_S):
            while not is_so():
                await anyio.sleep(0.005)

    @property
    def polls(self) -> int:
        """How often fal was asked."""
        return self.count("poll")

    @property
    def told(self) -> list[int]:
        """What fal was answered when it told something."""
        return [call.status for call in self.world.calls if call.step == "webhook"]

    def count(self, step: str) -> int:
        """How many calls of this kind there were."""
        return sum(call.step == step for call in self.world.calls)

    def news_of(self, job: Job, **more: Any) -> bytes:
        """What fal might say of the order of a job."""
        assert job.provider_ref is not None
        request_id = job.provider_ref["request_id"]
        return json.dumps({"request_id": request_id, "gateway_request_id": request_id, **more}).encode()

    def signed(self, body: bytes, at_s: float | None = None) -> dict[str, str]:
        """fal's headers for it."""
        request_id = json.loads(body)["request_id"]
        return sign(self.world.webhook_key, request_id, round(at_s or time.time()), body)

    async def post(self, job_id: str, body: bytes, headers: Mapping[str, str], provider: str = "fal") -> httpx.Response:
        """Tell it, as whoever can reach the service."""
        return await self.service.web.post(f"/webhooks/{provider}/{job_id}", content=body, headers=headers)


async def _nothing(job: Job) -> None:
    pass


@asynccontextmanager
async def told_by_fal(
    home: Path, emulator: Emulated, *, file: str = FILE, more: Mapping[str, str] | None = None
) -> AsyncIterator[Told]:
    """It has no event stream, and orders run for as long as the emulator's clock is not advanced by an hour."""
    base_url, world = emulator
    world.wait_s, world.work_s = 0.0, HOUR_S
    world.faults.append(Fault("fal", "stream", "status", times=10**6, options={"status": 500}))
    webhooks = home.with_name("webhooks.toml")
    webhooks.write_text(file, encoding="utf-8")
    env = settings(base_url) | {"LTX_MCP_WEBHOOKS": str(webhooks)} | dict(more or {})
    with socket.create_server(("127.0.0.1", 0)) as listener:
        key = secrets.token_urlsafe(32)
        async with served(home, key, listener=listener, more=env, overlay=ASKS_HOURLY) as service:
            yield Told(service, world, f"http://127.0.0.1:{listener.getsockname()[1]}")
