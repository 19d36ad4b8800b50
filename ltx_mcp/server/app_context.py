"""What the calls of one server share: the Jobs of this process, opened at the first use, and how videos are reached."""

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
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
from ltx_mcp.domain.job_set import JobSet, jobs_of
from ltx_mcp.jobs.waits import Waits
from ltx_mcp.log_context import NOTHING, logging_about
from ltx_mcp.presentation.links import Links, links_of
from ltx_mcp.presentation.next_steps import context_of
from ltx_mcp.presentation.result_models import JobRef, JobView, to_ref, view_of
from ltx_mcp.presentation.result_text import ended_text, status_text
from ltx_mcp.presentation.set_results import SetView, contexts_of, set_view_of, to_set_ref
from ltx_mcp.server.auth.links import LinkSigner
from ltx_mcp.server.patience import Patiences
from ltx_mcp.settings import Settings

if TYPE_CHECKING:
    from ltx_mcp.jobs.config import JobsConfig
    from ltx_mcp.jobs.service import Jobs

logger = logging.getLogger(__name__)

FIRST_CHECK_S, CHECK_INTERVAL_S = 1.0, 60.0
READY_WITHIN_S = 1.0
QUIET_S = 5.0
"""Progress of less than one percent is reported no more often than this."""
PERCENT = 100


class AppContext:
    """One server's access to its jobs; `base_url` is set where videos are reached over HTTP, `signer` where callers log
    in."""

    def __init__(
        self,
        settings: Settings,
        make_config: Callable[[], "JobsConfig"],
        group: TaskGroup,
        base_url: str = "",
        signer: LinkSigner | None = None,
    ) -> None:
        self.settings = settings
        self._make_config = make_config
        self._group = group
        self._base_url = base_url
        self.signer = signer
        self._jobs: Jobs | None = None
        self._opening = anyio.Lock()
        self.has_responded = anyio.Event()
        self.is_draining = False
        self.listening = Waits()
        self.patiences = Patiences(is_alone=not settings.database_url)

    async def jobs(self) -> "Jobs":
        """The open jobs. The first call imports the store and starts the runner."""
        async with self._opening:
            if self._jobs is None:
                # the imports take a quarter of a second, in which the event loop serves other calls
                service = await anyio.to_thread.run_sync(_import_service)
                config = await anyio.to_thread.run_sync(self._make_config)
                jobs: Jobs = await service.Jobs.open(config)
                with logging_about(NOTHING):  # what works from now on is not part of this call
                    await jobs.start(self._group)
                if self.is_draining:
                    jobs.waits.end()
                self._jobs = jobs
            return self._jobs

    async def take_over_ownerless(self) -> None:
        """Take over jobs that a dead process left, from a second after the first response on."""
        await self.has_responded.wait()
        await anyio.sleep(FIRST_CHECK_S)
        while not await self.has_jobs():
            await anyio.sleep(CHECK_INTERVAL_S)

    async def has_jobs(self) -> bool:
        """Whether this home has jobs; they are opened if possible."""
        if not self.settings.database_url and not (self.settings.home / "jobs.sqlite").exists():
            return False
        return await self._can_open()

    async def _can_open(self) -> bool:
        try:
            await self.jobs()
        except LtxError as error:
            logger.error("the jobs could not be opened: %s", error)
            return False
        except Exception:
            logger.exception("the jobs could not be opened")
        return True

    async def hindrance(self) -> str:
        """Why this server should get no calls now; empty if it should."""
        if self.is_draining:
            return "about to end"
        if self._jobs is None:
            if not self._opening.locked():
                self._group.start_soon(self._can_open)
            return "the database is not open yet"
        with anyio.move_on_after(READY_WITHIN_S):
            if await self._jobs.is_reachable():
                return ""
        return "the database does not answer"

    def drain(self) -> None:
        """This server is about to end: it is not ready any more, and every wait ends with the answer it has by now."""
        self.is_draining = True
        self.listening.end()
        if self._jobs is not None:
            self._jobs.waits.end()

    async def close(self) -> None:
        """Close the jobs. A detached worker continues those that are still active, but for a service that shares its
        database: there others take over, and with its container a worker would end too."""
        if self._jobs is None:
            return
        start = partial(anyio.to_thread.run_sync, _start_worker, self.settings.home, self.settings.environment)
        is_shared = bool(self._base_url and self.settings.database_url)
        with anyio.CancelScope(shield=True):
            await self._jobs.stop(None if is_shared else start)

    async def ref(self, found: Job | JobSet, *, fresh: bool = True) -> JobRef:
        """The short form of a job or a set; `fresh`: this call placed it."""
        jobs, now, show_frames = await self.jobs(), datetime.now(UTC), self.settings.show_frames
        links = self._links(jobs)
        if isinstance(found, JobSet):
            contexts = await contexts_of(jobs, found, show_frames=show_frames)
            return to_set_ref(found, links, contexts, now, fresh=fresh)
        job_context = await context_of(jobs, found, show_frames=show_frames)
        return to_ref(found, links, job_context, now, fresh=fresh)

    async def view(self, job: Job) -> JobView:
        """All that is known of a job."""
        jobs = await self.jobs()
        return await view_of(jobs, job, self._links(jobs), show_frames=self.settings.show_frames)

    async def set_view(self, job_set: JobSet) -> SetView:
        """All that is known of a set."""
        jobs = await self.jobs()
        return await set_view_of(jobs, job_set, self._links(jobs), show_frames=self.settings.show_frames)

    def _links(self, jobs: "Jobs") -> Links:
        return links_of(jobs, self._base_url, self.signer.sign if self.signer else None)

    async def status_text(self, job: Job) -> str:
        """What happens to a job now, in a few words; empty when it has ended."""
        return status_text(job, await context_of(await self.jobs(), job), datetime.now(UTC)) if job.live else ""

    def progress_reporter(self, context: Context[Any]) -> Callable[[Job | JobSet], Awaitable[None]]:
        """A function that reports the progress of a job or a set to its waiting caller."""
        steps, before = ProgressSteps(), None

        async def report(found: Job | JobSet) -> None:
            nonlocal before
            jobs = jobs_of(found)
            status = ", ".join(f"{job.state} {job.status_message}" for job in jobs)
            if step := steps.next(_progress(jobs), status, anyio.current_time()):
                if isinstance(found, JobSet):
                    text, before = await self._set_status_text(before, found), found
                else:
                    text = await self.status_text(found) or found.state.value
                await context.report_progress(*step, text)

        return report

    async def _set_status_text(self, before: JobSet | None, job_set: JobSet) -> str:
        """Which takes have just ended, and what happens to the first that has not."""
        live = next((take for take in job_set.takes if take.live), None)
        status = f"take {live.take}: {await self.status_text(live)}" if live else ""
        return "; ".join(filter(None, (ended_text(before, job_set), status))) or job_set.state.value


def _progress(jobs: Sequence[Job]) -> float | None:
    """The percentage of one job, or the mean of the takes of a set."""
    if len(jobs) == 1:
        return jobs[0].progress
    return sum((job.progress or 0) if job.live else PERCENT for job in jobs) / len(jobs)


@dataclass
class ProgressSteps:
    """Progress of one call in integers, each larger than the one before, as the protocol asks: a percentage where the
    provider reports one."""

    step: int = 0
    status: str = ""
    at_s: float = 0.0

    def next(self, progress: float | None, status: str, now_s: float) -> tuple[int, int | None] | None:
        """The step to report and its total, if known; None where there is nothing new to say."""
        step = int(progress or 0)
        if step <= self.step:
            if self.step and progress and status == self.status and now_s - self.at_s < QUIET_S:
                return None
            step = self.step + 1
        self.step, self.status, self.at_s = step, status, now_s
        return step, PERCENT if progress and step <= PERCENT else None


async def open_jobs(context: Context[Any]) -> "tuple[AppContext, Jobs]":
    """The AppContext of a call, and its open jobs."""
    app_context = context.request_context.lifespan_context
    assert isinstance(app_context, AppContext)
    return app_context, await app_context.jobs()


def _import_service() -> Any:
    from ltx_mcp.jobs import service

    return service


def _start_worker(home: Path, environment: Mapping[str, str]) -> None:
    from ltx_mcp.jobs.handover import start_worker

    start_worker(home, environment)
