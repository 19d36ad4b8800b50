"""What a tool call works at: the Jobs of this process, opened when first needed, and how its films are reached."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread
from anyio.abc import TaskGroup
from mcp.server.mcpserver import Context

from ltx_mcp.domain.errors import LtxError
from ltx_mcp.domain.job import Job
from ltx_mcp.presentation.config import CALLER
from ltx_mcp.presentation.next_steps import JobContext, context_of
from ltx_mcp.presentation.result_models import JobRef, JobView, Links, to_ref, to_view
from ltx_mcp.presentation.result_text import status_text
from ltx_mcp.server.patience import Patiences
from ltx_mcp.server.whole_steps import ProgressSteps
from ltx_mcp.settings import Settings

if TYPE_CHECKING:
    from ltx_mcp.jobs.config import JobsConfig
    from ltx_mcp.jobs.service import Jobs

logger = logging.getLogger(__name__)

FIRST_CHECK_S, CHECK_INTERVAL_S = 1.0, 60.0


class AppContext:
    """One server's connection to its jobs. `make_config` gives the plain values; `base_url` is set over HTTP."""

    def __init__(
        self, settings: Settings, make_config: Callable[[], "JobsConfig"], group: TaskGroup, base_url: str = ""
    ) -> None:
        self._home = settings.home
        self._environment = settings.environment
        self._shared = bool(settings.database_url)
        self.show_frames = settings.show_frames
        self._make_config = make_config
        self._group = group
        self._base_url = base_url
        self._jobs: Jobs | None = None
        self._opening = anyio.Lock()
        self._closed = False
        self.has_responded = anyio.Event()
        self.patiences = Patiences()

    async def jobs(self) -> "Jobs":
        """The open jobs; the first call imports the store and starts the runner."""
        async with self._opening:
            if self._jobs is None:
                # a quarter of a second of imports: not on the event loop, where other calls wait
                service = await anyio.to_thread.run_sync(_import_service)
                config = await anyio.to_thread.run_sync(self._make_config)
                jobs: Jobs = await service.Jobs.open(config)
                await jobs.start(self._group)
                self._jobs = jobs
            return self._jobs

    async def take_over_ownerless(self) -> None:
        """A second after the first answer: jobs that a dead process left are taken over, where there are any."""
        await self.has_responded.wait()
        await anyio.sleep(FIRST_CHECK_S)
        while not await self.has_jobs():
            await anyio.sleep(CHECK_INTERVAL_S)

    async def has_jobs(self) -> bool:
        """Whether there is anything to look at; what is there is opened, as far as it can be."""
        if not self._shared and not (self._home / "jobs.sqlite").exists():
            return False
        try:
            await self.jobs()
        except LtxError as error:
            logger.error("the jobs could not be opened: %s", error)
            return False
        except Exception:
            logger.exception("the jobs could not be opened")
        return True

    async def close(self) -> None:
        """Hand over what is under way: to a detached worker, when live jobs are left."""
        if self._closed:
            return
        self._closed = True
        with anyio.CancelScope(shield=True):
            if self._jobs is not None:
                start = partial(anyio.to_thread.run_sync, _start_worker, self._home, self._environment)
                await self._jobs.stop(start)

    def caller(self, context: Any = None) -> str:
        """Whose jobs a call may see."""
        return CALLER

    @property
    def links(self) -> Links:
        """How films are reached from where the caller is."""
        assert self._jobs is not None
        base = self._base_url.rstrip("/")
        url_of = (lambda job: f"{base}/videos/{job.id}.mp4") if base else None
        return Links(self._jobs.film, url_of, self._jobs.loopback_providers)

    async def ref(self, job: Job, *, fresh: bool = True) -> JobRef:
        """The short form of a job, as this caller reaches it."""
        made = await self._shape(partial(to_ref, fresh=fresh), job)
        assert isinstance(made, JobRef)
        return made

    async def view(self, job: Job) -> JobView:
        """The whole form."""
        made = await self._shape(to_view, job)
        assert isinstance(made, JobView)
        return made

    async def status_text(self, job: Job) -> str:
        """What happens to it now, in a few words; empty when it has ended."""
        return status_text(job, await self._context(job), datetime.now(UTC)) if job.live else ""

    async def _shape(self, form: Callable[..., JobRef | JobView], job: Job) -> JobRef | JobView:
        return form(job, self.links, await self._context(job), datetime.now(UTC))

    async def _context(self, job: Job) -> JobContext:
        return await context_of(await self.jobs(), job, show_frames=self.show_frames)

    def progress_reporter(self, context: Context[Any]) -> Callable[[Job], Awaitable[None]]:
        """Tells a waiting caller how a job stands, in whole steps."""
        steps = ProgressSteps()

        async def report(job: Job) -> None:
            if step := steps.next(job.progress, f"{job.state} {job.status_message}", anyio.current_time()):
                await context.report_progress(*step, await self.status_text(job) or job.state.value)

        return report


def app_context_of(context: Context[Any]) -> AppContext:
    """The context of the server that a call came to."""
    app_context = context.request_context.lifespan_context
    assert isinstance(app_context, AppContext)
    return app_context


def _import_service() -> Any:
    from ltx_mcp.jobs import service

    return service


def _start_worker(home: Path, environment: Mapping[str, str]) -> None:
    from ltx_mcp.jobs.handover import start_worker

    start_worker(home, environment)
