"""A real `Jobs` over the emulator's real socket, in a home of its own and in a time that runs faster.

Not a test. A poll's rest of five seconds takes some milliseconds here, and the hour after which an order is given up
a fraction of a second, because the clock and the sleep that `Jobs` is given run `factor` times as fast, together.
"""

import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic
from typing import Any

import anyio

from ltx_mcp.domain.arguments import (
    AnimateImage,
    ExtendVideo,
    GenerateFromAudio,
    GenerateVideo,
    JoinVideos,
    OrderArguments,
    PaidArguments,
    ReframeVideo,
    RetakeVideo,
)
from ltx_mcp.domain.job import Event, Job
from ltx_mcp.domain.offer import Offer
from ltx_mcp.domain.plan import Catalog, select_offers
from ltx_mcp.domain.request import Input, to_request
from ltx_mcp.emulator.app import settings
from ltx_mcp.emulator.emulator_state import EmulatedOrder, EmulatorState
from ltx_mcp.jobs.callers import CallerLimits
from ltx_mcp.jobs.config import JobsConfig
from ltx_mcp.jobs.operator_files.callers_file import CallersFile
from ltx_mcp.jobs.service import Jobs
from ltx_mcp.jobs.store.schema import IS_LIVE
from ltx_mcp.media.inputs import Fetch, InputReader
from ltx_mcp.presentation.links import Links
from ltx_mcp.presentation.next_steps import JobContext
from ltx_mcp.presentation.result_models import JobRef, JobView, to_ref, to_view
from ltx_mcp.providers.catalog_loader import make_catalog, read_providers
from tests.patience import HANG_S

REMOTE = tuple(facts.name for facts in read_providers() if not facts.is_preview)
MADE = ("text_to_video", "image_to_video")
"""What is made of other media is in test_contract_edits.py."""
FACTOR = 500.0
NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
TICK_S = 0.01
WAITS = f"SELECT id FROM jobs WHERE waits_for = '' AND (holder = '' OR cancel_wanted AND cancel IS NULL) AND {IS_LIVE}"
CALLER = "local"
WIRE = Path(__file__).parent / "wire"
Lookup = Callable[[str], str]
Ask = Callable[..., PaidArguments]
"""Makes a request."""


class FastTime:
    """A clock and a sleep that agree with each other: a second of theirs lasts 1 / `factor` seconds."""

    def __init__(self, factor: float = FACTOR) -> None:
        self.factor = factor
        self._since, self._at = monotonic(), NOON

    def now(self) -> datetime:
        """Noon, and what has passed since."""
        return self._at + timedelta(seconds=(monotonic() - self._since) * self.factor)

    def run(self, factor: float) -> None:
        """Run this fast from here on."""
        self._at, self._since, self.factor = self.now(), monotonic(), factor

    def turn(self, seconds: float) -> None:
        """Let this much time pass at once."""
        self._at += timedelta(seconds=seconds)

    async def sleep(self, seconds: float) -> None:
        """Rest that long, by this clock."""
        await anyio.sleep(max(0.0, seconds) / self.factor)


@dataclass
class Bench:
    """An open home, the world behind the providers it orders from, and the settings that lead there."""

    jobs: Jobs
    world: EmulatorState
    home: Path
    env: dict[str, str]
    time: FastTime
    changes: dict[str, list[Job]] = field(default_factory=dict)

    async def place(self, arguments: OrderArguments, caller: str = CALLER) -> Job:
        """Place a request, and let the job be carried on in the background."""
        return (await self.jobs.order(arguments, caller)).job

    async def end(self, job: Job, *, within_s: float = HANG_S) -> Job:
        """The job at its end; every change on the way is kept in `changes`."""
        seen = self.changes.setdefault(job.id, [])

        async def told(now: Job) -> None:
            seen.append(now)

        ended = await self.jobs.following.wait(job, within_s, told)
        assert not ended.live, f"{ended.state} after {within_s} s: {ended.status_message}"
        return ended

    async def until(self, job: Job, *states: str, within_s: float = HANG_S) -> Job:
        """The job as soon as it is in one of these states."""
        with anyio.fail_after(within_s):
            while True:
                job = await self.jobs.get(job.id, job.caller)
                if job.state in states:
                    return job
                assert job.live, f"{job.state} instead of {states}: {job.error}"
                await anyio.sleep(0.005)

    async def order(self, arguments: OrderArguments, caller: str = CALLER) -> Job:
        """Place a request and wait for its end."""
        return await self.end(await self.place(arguments, caller))

    async def history(self, job: Job) -> list[Event]:
        """All that happened to a job."""
        return list(await self.jobs.history(job.id, job.caller))

    def states(self, job: Job) -> list[str]:
        """The states that were seen on the way, each once in a row."""
        seen = [each.state.value for each in self.changes.get(job.id, [])]
        return [state for at, state in enumerate(seen) if at == 0 or seen[at - 1] != state]

    def view(self, job: Job) -> JobView:
        """What check_job answers with."""
        return to_view(job, Links(self.jobs.film), JobContext(), self.time.now())

    def ref(self, job: Job) -> JobRef:
        """What a paid tool answers with."""
        return to_ref(job, Links(self.jobs.film), JobContext(), self.time.now())

    def orders(self, provider: str = "") -> list[EmulatedOrder]:
        """What the emulator took."""
        return [each for each in self.world.orders if provider in ("", each.provider)]

    def count(self, provider: str, step: str) -> int:
        """How often one call was made."""
        return sum((each.provider, each.step) == (provider, step) for each in self.world.calls)


@asynccontextmanager
async def opened(
    home: Path,
    emulated: tuple[str, EmulatorState],
    *,
    factor: float = FACTOR,
    folders: tuple[Path, ...] | None = (),
    env: Mapping[str, str] | None = None,
    providers: tuple[str, ...] = (),
    budget_usd: Decimal | None = None,
    fetch: Fetch | None = None,
    overlay: str = "",
    callers: Path | None = None,
    database_url: str = "",
    bucket: str = "",
    works: bool = True,
) -> AsyncIterator[Bench]:
    """An open home; `env` is laid over the emulator's own settings, and an empty value takes one away. `fetch` is for
    callers' URLs, where the one that ships would refuse a test's own server; `overlay` is what LTX_MCP_MODELS has, and
    `callers` the file of LTX_MCP_CALLERS_FILE. Without `works` it only takes orders."""
    base_url, world = emulated
    world.wait_s, world.work_s = 0.0, 0.05
    given = settings(base_url) | dict(env or {})
    catalog, time = catalog_of(given, providers, overlay), FastTime(factor)
    config = JobsConfig(
        home, catalog, budget_usd, folders, lookup_in(given), database_url=database_url, video_store=bucket
    )
    if callers is not None:
        file = CallersFile(callers, catalog.providers, CallerLimits(), lookup_in(given))
        config = replace(config, limits_by_caller=file.limits_of)
    async with anyio.create_task_group() as group:
        jobs = await Jobs.open(config, time.now, time.sleep)
        if fetch is not None:
            jobs._placement.reader = InputReader(
                folders, jobs._media.probe_image, fetch, probe_media=jobs._media.probe_media
            )
        if works:
            await jobs.start(group)
        ticking = anyio.CancelScope()
        group.start_soon(_tick, jobs, ticking)
        try:
            yield Bench(jobs, world, home, given, time)
        finally:
            ticking.cancel()
            await jobs.stop()
            group.cancel_scope.cancel()


async def known_prices(bench: Bench) -> None:
    """Until providers were asked for their prices, and what they told is kept."""
    bench.jobs._prices.wake()
    with anyio.fail_after(HANG_S):
        while not await bench.jobs._price_book.run_in_thread(bench.jobs._price_book.read, bench.time.now()):
            await anyio.sleep(0.005)


async def _tick(jobs: Jobs, scope: anyio.CancelScope) -> None:
    """The runner rests in real seconds for a time that passes faster here, so it is woken while a job waits for it."""
    with scope:
        while True:
            await anyio.sleep(TICK_S)
            if await jobs._database.quick_read(WAITS, ()):
                jobs._runner.wake()


def lookup_in(env: Mapping[str, str]) -> Lookup:
    """The value of a setting by its name."""
    return lambda name: env.get(name, "")


def catalog_of(env: Mapping[str, str], providers: tuple[str, ...] = (), overlay: str = "") -> Catalog:
    """What could be bought with these settings."""
    if not overlay:
        return make_catalog(read_providers(), providers, lookup_in(env))
    with TemporaryDirectory() as folder:
        path = Path(folder, "models.toml")
        path.write_text(overlay, encoding="utf-8")
        return make_catalog(read_providers(path), providers, lookup_in(env))


def offers(catalog: Catalog, arguments: PaidArguments, *inputs: Input) -> tuple[Offer, ...]:
    """The offers a request leads to, in order. Raises CallerError."""
    return select_offers(to_request(arguments), inputs, catalog)


def text(**changed: Any) -> GenerateVideo:
    """A text request, six seconds of 1080p."""
    return GenerateVideo(**{"prompt": "a pond at dawn", **changed})


def image(picture: Path | str, **changed: Any) -> AnimateImage:
    """An image request, six seconds of 1080p."""
    return AnimateImage(**{"prompt": "the water moves", "image": str(picture), **changed})


def speaks(sound: Path | str, **changed: Any) -> GenerateFromAudio:
    """A request for a film of 1080p from a sound."""
    return GenerateFromAudio(**{"prompt": "a street singer", "audio": str(sound), **changed})


def extends(video: Path | str, **changed: Any) -> ExtendVideo:
    """A request for two seconds more of a film."""
    return ExtendVideo(**{"prompt": "the tide comes in", "video": str(video), "duration": 2, **changed})


def retakes(video: Path | str, **changed: Any) -> RetakeVideo:
    """A request for two other seconds in a film."""
    section = {"start_time": 1, "duration": 2}
    return RetakeVideo(**{"prompt": "a red hat instead", "video": str(video), **section, **changed})


def reframes(video: Path | str, **changed: Any) -> ReframeVideo:
    """A request for an upright version of a film, of 1080p."""
    return ReframeVideo(**{"video": str(video), **changed})


def joins(*videos: Path | str, **changed: Any) -> JoinVideos:
    """A request for a film of these."""
    return JoinVideos(**{"videos": [str(video) for video in videos], **changed})


def wire_fixture(provider: str) -> dict[str, Any]:
    """What the provider's pages say an order of ours looks like on the wire."""
    read: dict[str, Any] = json.loads((WIRE / f"{provider}.json").read_text(encoding="utf-8"))
    return read
