"""Jobs: everything the server and the terminal ever call. Places, waits, looks; the runner does the work."""

import base64
import binascii
import shutil
import tempfile
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import anyio
from anyio.abc import TaskGroup

from ltx_mcp.domain.errors import CallerError, ErrorCode, LtxError
from ltx_mcp.domain.job import Event, Job, State
from ltx_mcp.domain.plan import Market, Plan, choose, make_offers
from ltx_mcp.domain.request import (
    EstimateCost,
    ListJobs,
    PaidArguments,
    normal_form,
    to_request,
)
from ltx_mcp.jobs.alive import Life
from ltx_mcp.jobs.database import Database
from ltx_mcp.jobs.files import Files
from ltx_mcp.jobs.given import read_media
from ltx_mcp.jobs.runner import HandOver, Runner
from ltx_mcp.jobs.steps import Steps
from ltx_mcp.jobs.store import Budget, NewJob, Store
from ltx_mcp.jobs.tools import Tools
from ltx_mcp.jobs.uploads import Shelf
from ltx_mcp.jobs.watch import Watch
from ltx_mcp.media.inputs import InputReader
from ltx_mcp.media.worker import Media
from ltx_mcp.net.download import Downloads
from ltx_mcp.providers.adapters import make_adapters
from ltx_mcp.providers.base import Prices

WORD_S = 20.0
CANCEL_S = 3.0
HEARTBEAT_S = 10.0
BEFORE_WORD = frozenset({State.QUEUED, State.SUBMITTING})

Told = Callable[[Job], Awaitable[None]]
Sleep = Callable[[float], Awaitable[None]]


@dataclass(frozen=True)
class Config:
    """Plain values from the edge. `folders` are where paths may lie; None: paths are not accepted at all. `lookup`
    gives the keys and addresses that the facts name."""

    home: Path
    market: Market
    budget_usd: Decimal | None
    folders: tuple[Path, ...] | None
    lookup: Callable[[str], str] = lambda name: ""


@dataclass(frozen=True)
class Ordered:
    """The job of a request; `fresh` is false when the request already had it."""

    job: Job
    fresh: bool


@dataclass(frozen=True)
class Page:
    """Some of a caller's jobs, newest first; `next_cursor` is empty on the last page."""

    jobs: tuple[Job, ...]
    next_cursor: str


@dataclass(frozen=True)
class Shown:
    """A picture of a film for a model to look at."""

    data: bytes
    mime_type: str


class Jobs:
    """One open home."""

    def __init__(self, config: Config, database: Database, now: Callable[[], datetime], sleep: Sleep) -> None:
        self._config = config
        self._now = now
        self._sleep = sleep
        self._database = database
        self._media = Media()
        self._files = Files(config.home)
        self._store = Store(database, budget_usd=config.budget_usd)
        self._life = Life(config.home)
        self._reader = InputReader(config.folders, self._media.look_at_picture)
        self._watch = Watch(self._store.revisions)
        self._adapters = make_adapters(config.market.providers, config.lookup, now, self._media)
        self._steps = Steps(self._make_tools())
        self._runner = self._make_runner()

    @classmethod
    async def open(
        cls,
        config: Config,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        sleep: Sleep = anyio.sleep,
    ) -> "Jobs":
        """Open the home of `config`, making it when it is new. Raises SetupError(storage_failed)."""
        database = await anyio.to_thread.run_sync(Database.open, config.home)
        return cls(config, database, now, sleep)

    def _make_tools(self) -> Tools:
        facts = {each.name: each for each in self._config.market.providers}
        return Tools(
            self._store,
            Shelf(self._database),
            self._files,
            self._media,
            facts,
            self._adapters.by_name,
            Downloads().fetch,
            self._now,
            self._sleep,
            near=self._adapters.near,
        )

    def _make_runner(self) -> Runner:
        facts = self._config.market.providers
        slots = {each.name: each.slots for each in facts if each.slots}
        repeatable = frozenset(each.name for each in facts if each.repeatable)
        return Runner(self._store, self._steps, self._life, slots, repeatable, self._now, self._watch.wake)

    # -- life ---------------------------------------------------------------------------------------------------

    async def start(self, group: TaskGroup) -> None:
        """Begin to work in the background."""
        await self._store.do(self._life.begin)
        await self._store.do(self._life.sweep)
        group.start_soon(self.work)

    async def work(self, *, until_idle: bool = False) -> None:
        """Work until `stop`, or until nothing is left to do."""
        if not self._life.worker:
            await self._store.do(self._life.begin)
        await self._runner.run(until_idle=until_idle)

    async def stop(self, hand_over: HandOver | None = None) -> int:
        """Stop working, hand back what was held, close everything; returns how many live jobs are left to others.

        `hand_over` is called when there are any.
        """
        with anyio.CancelScope(shield=True):
            left = await self._runner.stop(hand_over)
            await self._adapters.close()
            await self._media.close()
            self._database.close()
        return left

    # -- ordering -----------------------------------------------------------------------------------------------

    async def order(self, arguments: PaidArguments, caller: str) -> Ordered:
        """The job of this request: placed now, or the one it already has.

        Raises CallerError or SetupError, and then nothing was kept: no row, no file, no reservation.
        """
        folder = await self._store.do(tempfile.mkdtemp, prefix="ltx-mcp-")
        try:
            given = await read_media(arguments, caller, Path(folder), self._reader, self._store)
            inputs = tuple(each.input for each in given)
            request = to_request(arguments)
            normal = normal_form(request, inputs)
            try:
                for each in given:
                    each.check()
                offers = choose(request, inputs, self._config.market)
            except LtxError:
                same = await self._store.do(self._store.find_same, caller, arguments.request_key, normal, self._now())
                if same is not None:
                    return Ordered(same, fresh=False)
                raise
            for each in given:
                if each.path is not None:
                    await self._store.do(self._files.keep_input, each.input, each.path)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        new = NewJob(caller, arguments.request_key, normal, offers, inputs)
        placed = await self._store.do(self._store.place, new, self._now())
        self._runner.wake()
        return Ordered(placed.job, placed.fresh)

    async def word(self, job: Job, wait_s: float, told: Told) -> Job:
        """The job once the provider has answered, or it is known that the job must wait its turn; then, within
        `wait_s` from now, at its end."""
        began = anyio.current_time()
        with anyio.move_on_after(max(WORD_S, wait_s)):
            await self._until(job, self._has_word, told)
        return await self.wait(await self._reload(job), began + wait_s - anyio.current_time(), told)

    async def wait(self, job: Job, seconds: float, told: Told) -> Job:
        """The job at its end, or as it is after `seconds`."""
        if seconds > 0:
            with anyio.move_on_after(seconds):
                await self._until(job, _has_ended, told)
        return await self._reload(job)

    # -- looking ------------------------------------------------------------------------------------------------

    async def get(self, job_id: str, caller: str) -> Job:
        """One job of this caller. Raises CallerError(job_not_found)."""
        job = await self._store.do(self._store.get, job_id, caller)
        if job is None:
            raise _no_job(job_id)
        return job

    async def look(self, job_id: str, caller: str) -> Job:
        """One job of this caller; one whose outcome is unknown is asked after once more, where that can be done.

        Raises CallerError(job_not_found).
        """
        job = await self._store.do(self._store.ask_again, caller, job_id, self._now())
        if job is None:
            raise _no_job(job_id)
        if job.state is State.RUNNING and not job.holder:
            self._runner.wake()
        return job

    async def cancel(self, job_id: str, caller: str) -> Job:
        """Wish a job cancelled and say what came of it, which most providers tell within a second."""
        job = await self._store.do(self._store.wish_cancel, caller, job_id, self._now())
        if job is None:
            raise _no_job(job_id)
        self._runner.wake()
        self._steps.ring(job_id)
        with anyio.move_on_after(CANCEL_S):
            await self._until(job, _cancel_is_decided, _nobody)
        return await self._reload(job)

    def hindrance(self, job: Job) -> str:
        """What a live job that nobody works on waits for: a key or address this process does not have."""
        if not job.live or job.holder or job.offer.provider in self._adapters.by_name:
            return ""
        return self._config.market.standings[job.offer.provider].why_not

    async def prices(self, provider: str) -> Mapping[str, Decimal]:
        """The provider's own prices by endpoint; empty where it cannot, or must not, be asked. Raises ProviderError."""
        adapter = self._adapters.by_name.get(provider)
        return await adapter.prices() if isinstance(adapter, Prices) else {}

    async def page(self, arguments: ListJobs, caller: str) -> Page:
        """One page of this caller's jobs. Raises CallerError for a cursor that no page gave."""
        before = await self._read_cursor(arguments.cursor, caller) if arguments.cursor else None
        query = (caller, arguments.state, arguments.limit + 1, before)
        found = await self._store.do(self._store.page, *query)
        live = {job.id for job in found[: arguments.limit] if job.live}
        if arguments.wait_seconds and live:
            await self._one_ends(caller, live, arguments.wait_seconds)
            found = await self._store.do(self._store.page, *query)
        shown = tuple(found[: arguments.limit])
        return Page(shown, _to_cursor(shown[-1]) if len(found) > arguments.limit else "")

    def quotes(self, arguments: EstimateCost) -> Plan:
        """Everything that could be ordered for this, what stands in the way of the rest, and why others refuse."""
        if arguments.audio or arguments.video or arguments.context:
            raise CallerError(
                ErrorCode.INVALID_REQUEST,
                f"audio, video and context do not belong to operation {arguments.operation}.",
                "Leave them out.",
            )
        return make_offers(to_request(arguments), (), self._config.market)

    async def budget(self) -> Budget:
        """Today's money."""
        return await self._store.do(self._store.budget, self._now())

    @property
    def market(self) -> Market:
        """What can be bought here."""
        return self._config.market

    async def line(self, job: Job) -> int:
        """How many jobs must end before a queued one can begin; 0 when nothing stands before it."""
        slots = self._config.market.facts(job.offer.provider).slots
        if job.state is not State.QUEUED or job.waits_for or slots is None:
            return 0
        return max(0, await self._store.do(self._store.ahead, job) - slots + 1)

    async def history(self, job_id: str, caller: str) -> Sequence[Event]:
        """All that happened to a job of this caller."""
        return await self._store.do(self._store.history, (await self.get(job_id, caller)).id)

    def film(self, job: Job) -> Path | None:
        """The film on this machine, when there is one."""
        path = self._files.film(job.id)
        return path if job.state is State.SUCCEEDED and path.exists() else None

    async def sheet(self, job: Job) -> Shown | None:
        """The contact sheet, made when the film was saved."""
        path = self._files.sheet(job.id)
        if self.film(job) is None or not path.exists():
            return None
        return Shown(await self._store.do(path.read_bytes), "image/jpeg")

    async def frame(self, job: Job, seconds: float) -> Shown:
        """One frame, at most 1024 pixels on the long side. Raises CallerError without a film or beyond its end."""
        film = self.film(job)
        if film is None:
            raise CallerError(
                ErrorCode.INVALID_REQUEST,
                f"{job.id} is {job.state}; it has no film to take a frame from.",
                "check_job says when it is done.",
            )
        with tempfile.TemporaryDirectory(prefix="ltx-mcp-") as folder:
            path = Path(folder) / "frame.jpg"
            await self._media.take_frame(film, seconds, path, "jpeg", 1024)
            return Shown(await self._store.do(path.read_bytes), "image/jpeg")

    @property
    def home(self) -> Path:
        """The folder everything is kept in."""
        return self._config.home

    async def is_idle(self) -> bool:
        """Whether nothing is under way in the whole database."""
        return not await self._store.do(self._store.live)

    # -- inside -------------------------------------------------------------------------------------------------

    async def _until(self, job: Job, done: Callable[[Job], Awaitable[bool]], told: Told) -> None:
        """Return when `done`; `told` hears of each change, and at least every HEARTBEAT_S."""
        while True:
            await told(job)
            if await done(job):
                return
            with anyio.move_on_after(HEARTBEAT_S):
                await self._watch.change({job.id: job.revision})
            job = await self._reload(job)

    async def _has_word(self, job: Job) -> bool:
        return job.state not in BEFORE_WORD or bool(job.waits_for) or await self.line(job) > 0

    async def _reload(self, job: Job) -> Job:
        return await self._store.do(self._store.get, job.id) or job

    async def _one_ends(self, caller: str, ids: set[str], seconds: float) -> None:
        with anyio.move_on_after(seconds):
            while True:
                jobs = [await self.get(job_id, caller) for job_id in ids]
                if not all(job.live for job in jobs):
                    return
                await self._watch.change({job.id: job.revision for job in jobs})

    async def _read_cursor(self, cursor: str, caller: str) -> tuple[datetime, str]:
        try:
            job_id = base64.urlsafe_b64decode(cursor.encode()).decode()
            job = await self._store.do(self._store.get, job_id, caller)
        except (binascii.Error, ValueError):
            job = None
        if job is None:
            raise CallerError(
                ErrorCode.INVALID_REQUEST,
                "cursor: no page of list_jobs gave this one.",
                "Use next_cursor of an earlier answer, or leave cursor out to begin with the newest.",
            )
        return job.created_at, job.id


def _no_job(job_id: str) -> CallerError:
    return CallerError(
        ErrorCode.JOB_NOT_FOUND, f"There is no job {job_id[:40]}.", "list_jobs shows the jobs there are."
    )


def _to_cursor(job: Job) -> str:
    return base64.urlsafe_b64encode(job.id.encode()).decode()


async def _has_ended(job: Job) -> bool:
    return not job.live


async def _cancel_is_decided(job: Job) -> bool:
    return not job.live or job.cancel is not None


async def _nobody(job: Job) -> None:
    """Nobody listens."""
