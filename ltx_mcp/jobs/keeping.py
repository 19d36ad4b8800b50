"""What can be done with a kept video: show it to a model, remove it from this machine, or fetch it again.

The row with its cost stays when the video is removed: a budget counts it.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import select

from ltx_mcp.domain.errors import CallerError, ErrorCode, LtxError
from ltx_mcp.domain.job import ACTIVE_STATES, Job, State
from ltx_mcp.jobs.steps.context import StepContext
from ltx_mcp.jobs.store.database import Database
from ltx_mcp.jobs.store.rows import record
from ltx_mcp.jobs.store.schema import job_inputs, jobs
from ltx_mcp.media.messages import SHEET_CELLS, SheetRow

if TYPE_CHECKING:
    from ltx_mcp.jobs.bucket.objects import Method

logger = logging.getLogger(__name__)

LONG_SIDE = 1024


@dataclass(frozen=True)
class ShownImage:
    """An image of a video, for a model to look at."""

    data: bytes
    mime_type: str


@dataclass(frozen=True)
class Keeping:
    """The videos of one home."""

    database: Database
    context: StepContext
    now: Callable[[], datetime]

    async def sheet(self, job: Job) -> ShownImage | None:
        """The contact sheet, which was made when the video was saved."""
        path = await self._sheet(job)
        if path is None:
            return None
        return ShownImage(await self.database.run_in_thread(path.read_bytes), "image/jpeg")

    async def set_sheet(self, takes: Sequence[Job]) -> ShownImage | None:
        """The contact sheets of these takes as one picture, a row for each; None where none has one."""
        rows = [await self._row(take) for take in takes]
        if not any(row.sheet for row in rows):
            return None
        async with self.context.files.folder() as folder:
            path = folder / "set.jpg"
            try:
                await self.context.media.make_set_sheet(rows, path)
            except LtxError:
                logger.exception("no picture of %s", takes[0].set_id)
                return None
            return ShownImage(await self.database.run_in_thread(path.read_bytes), "image/jpeg")

    async def _sheet(self, job: Job) -> Path | None:
        """Its contact sheet, on this machine; None where it or the video is gone."""
        return await self.context.files.bring(self.context.files.sheet(job.id)) if await self.is_there(job) else None

    async def _row(self, take: Job) -> SheetRow:
        sheet, video = await self._sheet(take), take.film
        if video is not None and sheet is not None:
            last_s = max(0, video.frames - 1) / video.fps if video.fps else 0.0
            moments = tuple(last_s * step / (SHEET_CELLS - 1) for step in range(SHEET_CELLS))
            return SheetRow(take.take, "", str(sheet), video.width, video.height, moments)
        if take.state is State.SUCCEEDED:
            return SheetRow(take.take, "succeeded: its film is not on this machine")
        return SheetRow(take.take, f"{take.state}: {take.error.code}" if take.error else take.state.value)

    async def frame(self, job: Job, seconds: float) -> ShownImage:
        """One frame, at most LONG_SIDE pixels long. Raises CallerError if there is no video or it is shorter."""
        video = await self.bring(job)
        if video is None:
            raise CallerError(
                ErrorCode.INVALID_REQUEST,
                f"{job.id} is {job.state}; it has no film to take a frame from.",
                "check_job says when it is done.",
            )
        async with self.context.files.folder() as folder:
            path = folder / "frame.jpg"
            await self.context.media.take_frame(video, seconds, path, "jpeg", LONG_SIDE)
            return ShownImage(await self.database.run_in_thread(path.read_bytes), "image/jpeg")

    async def bring(self, job: Job) -> Path | None:
        """The video on this machine, brought here first where it lies in a bucket; None where there is none."""
        is_made = job.state is State.SUCCEEDED
        return await self.context.files.bring(self.context.files.video(job.id)) if is_made else None

    async def is_there(self, job: Job) -> bool:
        """Whether it has a video that is kept."""
        return job.state is State.SUCCEEDED and await self.context.files.has(self.context.files.video(job.id))

    def is_kept(self, job: Job) -> bool:
        """The same, as far as can be told at once."""
        return self.context.files.is_kept(job)

    async def place(self, job: Job, method: "Method") -> Path | str | None:
        """Where whoever may have the video gets it: a file of this machine, or an address for this method."""
        return await self.context.files.place(job, method)

    async def remove(self, job: Job) -> None:
        """Remove a video that no live job needs. Raises CallerError."""
        if job.live:
            raise CallerError(
                ErrorCode.INVALID_REQUEST,
                f"{job.id} is under way, and what it makes may be paid.",
                f"cancel_job {job.id} ends it first.",
            )
        if not await self.context.files.has(self.context.files.video(job.id)):
            raise CallerError(ErrorCode.INVALID_REQUEST, f"{job.id} has no film on this machine.")
        if needing := await self.database.run_in_thread(self._needing, job.id):
            raise CallerError(
                ErrorCode.INVALID_REQUEST,
                f"The film of {job.id} is needed by {', '.join(needing)}, which is under way.",
                "Try again when that has ended.",
            )
        await self.database.run_in_thread(self.context.files.remove_video, job.id)
        await self.database.run_in_thread(self._record, job, "film_removed")

    async def fetch(self, job: Job) -> Path:
        """The video of a job that succeeded, downloaded again if it is gone. Raises LtxError."""
        if video := await self.bring(job):
            return video
        self._check(job)
        async with self.context.files.folder() as folder:
            part = folder / "film.part"
            await self.context.fetch_video(job, part)
            measured = await self.context.media.measure_film(part)
            await self.context.media.make_sheet(part, self.context.files.sheet(job.id))
            await self.context.files.save_video(job, part, measured)
        await self.database.run_in_thread(self._record, job, "film_fetched")
        return self.context.files.video(job.id)

    def may_be_fetched(self, job: Job) -> bool:
        """Whether its address may still work."""
        expires = job.result_url_expires_at
        return bool(job.result_url or self.context.downloader(job)) and (expires is None or expires > self.now())

    def _check(self, job: Job) -> None:
        if job.state is not State.SUCCEEDED:
            hint = (
                "It is fetched by itself once it is made." if job.live else "ltx-mcp jobs show says what became of it."
            )
            raise CallerError(ErrorCode.INVALID_REQUEST, f"{job.id} is {job.state}: it has no film to fetch.", hint)
        if self.may_be_fetched(job):
            return
        if not job.result_url:
            raise CallerError(
                ErrorCode.EXPIRED, f"The film of {job.id} was made on this machine, and is gone.", "Order it again."
            )
        raise CallerError(
            ErrorCode.EXPIRED,
            f"The address of the film of {job.id} ended on {job.result_url_expires_at:%Y-%m-%d %H:%M} UTC.",
            f"Look for it on {job.offer.provider}'s dashboard.",
        )

    def _needing(self, job_id: str) -> list[str]:
        """The live jobs that are made from this one."""
        uses = select(jobs.c.id).join(job_inputs, job_inputs.c.job_id == jobs.c.id)
        query = uses.where(job_inputs.c.name == job_id, jobs.c.state.in_(ACTIVE_STATES)).order_by(jobs.c.created_at)
        with self.database.read() as connection:
            return list(connection.execute(query).scalars())

    def _record(self, job: Job, what: str) -> None:
        with self.database.write() as connection:
            record(connection, job.id, self.now(), what, {})
