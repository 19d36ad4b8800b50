"""Saving: the video is made and paid; it is downloaded, measured and kept, however many attempts that takes."""

import logging
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from ltx_mcp.domain.catalog import ProviderSpec
from ltx_mcp.domain.errors import ErrorCode, JobError, LtxError, ProviderError
from ltx_mcp.domain.job import NOT_FETCHED, NOT_KEPT, CancelOutcome, ChargeState, Job, JobChanges, State
from ltx_mcp.domain.joined_format import joined_s
from ltx_mcp.domain.measured import billed_duration, shortest_of
from ltx_mcp.domain.media_info import VideoInfo
from ltx_mcp.domain.offer import Adjustment, row_of
from ltx_mcp.domain.price import to_micro
from ltx_mcp.domain.request import FROM_VIDEO
from ltx_mcp.jobs.steps.context import StepContext, WorkInProgress
from ltx_mcp.jobs.store.errors import BucketUnavailableError, is_disk_failure
from ltx_mcp.jobs.store.rows import LostClaimError
from ltx_mcp.net.flow import MIN_BYTES_S, WINDOW_S
from ltx_mcp.providers.base import SupportsPoll

logger = logging.getLogger(__name__)

PATIENCE_S = 24 * 3600.0
TRIES_WHEN_LATE = 10
"""Even the video of an old order is tried this often: this machine may have slept meanwhile."""
FIRST_WAIT_S, MAX_WAIT_S = 1.0, 60.0
STEADY_BYTES = int(MIN_BYTES_S * WINDOW_S)
"""An attempt that downloaded at least this much made progress."""
MAX_GONE = 3
MAX_NO_VIDEO = 4
"""A URL that is gone or leads to something else may only not be ready everywhere yet."""
EXACT_S, NEAR_S = 0.1, 0.25
"""A difference in length up to this is not reported; a video made from another carries the other's rounding."""


@dataclass
class _Trouble:
    """The failures of one download so far; `have_bytes` was there when the last attempt ended."""

    tries: int = 0
    gone: int = 0
    no_video: int = 0
    have_bytes: int = 0


class SaveStep:
    """Ends in `succeeded`; a video that can no longer be downloaded ends in an error and stays paid."""

    def __init__(self, context: StepContext) -> None:
        self._context = context
        self._store = context.store

    async def step(self, job: Job, work: WorkInProgress) -> Job:
        """Keep one video. A full disk is reported, and the download tried again."""
        part = self._context.files.part(job)
        try:
            return await self._keep(job, part)
        except LostClaimError:
            if _is_remote(job):
                part.unlink(missing_ok=True)
            raise
        except LtxError as error:
            if is_disk_failure(error) and _is_remote(job):
                report: JobChanges = {"error": JobError.of(error), "status_message": f"{NOT_KEPT}{error.message}"}
                with suppress(LtxError):  # the same disk may have no space for this either
                    await self._context.update(job, **report)
            raise

    async def _keep(self, job: Job, part: Path) -> Job:
        files, media = self._context.files, self._context.media
        video = await self._saved_before(job)
        if video is not None:
            files.drop_parts(job)
        else:
            job, video = await self._fetch(job, part)
            job = await self._context.reloaded(job)  # if we were taken for dead, another process's video must stay
            try:
                await media.make_sheet(part, files.sheet(job.id))
                if job.offer.join:
                    await media.make_poster(part, files.poster(job.id))
            except LtxError as error:
                logger.warning("%s: no picture: %s", job.id, error)  # the video is worth more than its pictures
            job, video = await self._save(await self._context.reloaded(job), part, video)
        changes: JobChanges = {
            "film": video,
            "adjustments": job.adjustments + differences(job, video),
            "progress": 100.0,
            "status_message": "",
            "error": None,
            "bill": ChargeState.BOOKED,
        }
        if job.cancel_requested:
            changes["cancel"] = job.cancel or CancelOutcome.NOT_POSSIBLE
        changes |= _priced(job, video, self._context.spec(job))
        return await self._context.transition(job, State.SUCCEEDED, **changes)

    async def _saved_before(self, job: Job) -> VideoInfo | None:
        """The video that another lease owner has kept already. While the bucket cannot say it, the video is downloaded:
        its address may not live as long."""
        try:
            return await self._context.files.saved(job)
        except BucketUnavailableError as error:
            logger.info("%s: %s", job.id, error)
            return None

    async def _save(self, job: Job, part: Path, video: VideoInfo) -> tuple[Job, VideoInfo]:
        """Keep the video. While the bucket is away, it waits on this disk, however long that takes."""
        tries = 0
        while True:
            try:
                return job, await self._context.files.save_video(job, part, video)
            except BucketUnavailableError as error:
                logger.warning("%s: %s", job.id, error, extra={"trouble": str(error.code)})
                wait_s = min(MAX_WAIT_S, FIRST_WAIT_S * 2 ** min(tries, 10))
                job = await self._context.wait(job, f"{NOT_KEPT}{error.message}", wait_s, error=JobError.of(error))
                tries += 1

    async def _fetch(self, job: Job, part: Path) -> tuple[Job, VideoInfo]:
        """Download the complete video to `part` and measure it."""
        trouble = _Trouble()
        while True:
            try:
                is_fetched = await self._context.fetch_video(job, part)
                if not is_fetched and not _is_remote(job) and not part.exists():
                    self._context.files.adopt_part(job)  # complete, in the part of a worker that died
                return job, await self._context.media.measure_film(part)
            except OSError as error:
                raise self._context.files.failed(error) from error
            except LtxError as error:
                if error.code is ErrorCode.STORAGE_FAILED or not _is_remote(job):
                    raise
                before, trouble.have_bytes = trouble.have_bytes, _size_of(part)
                if error.code is ErrorCode.UNAVAILABLE and before == trouble.have_bytes > 0:
                    with suppress(LtxError):  # cut twice at the same byte: it may be complete, its stated length wrong
                        return job, await self._context.media.measure_film(part)
                went_on = trouble.have_bytes - before >= STEADY_BYTES
                job = await self._retry(job, part, error, trouble, went_on=went_on)

    async def _retry(self, job: Job, part: Path, error: LtxError, trouble: _Trouble, *, went_on: bool) -> Job:
        """After a failed attempt: wait for the next one, or raise `error` when no more are left. An attempt that
        `went_on` made progress and is continued soon, however old the order is."""
        trouble.tries += 1
        trouble.gone += error.code is ErrorCode.EXPIRED
        if error.code in (ErrorCode.BAD_REPLY, ErrorCode.INTERNAL_ERROR):
            trouble.no_video += 1
            if trouble.no_video < MAX_NO_VIDEO:
                part.unlink(missing_ok=True)
        late = self._context.age_s(job) > PATIENCE_S and trouble.tries >= TRIES_WHEN_LATE
        spent = late and not went_on
        if spent or trouble.gone >= MAX_GONE or trouble.no_video >= MAX_NO_VIDEO:
            raise error
        logger.info("%s: %s", job.id, error)
        changes: JobChanges = {"error": JobError.of(error)} if error.code is ErrorCode.BAD_REPLY else {}
        wait_s = FIRST_WAIT_S if went_on else min(MAX_WAIT_S, FIRST_WAIT_S * 2 ** min(trouble.tries - 1, 10))
        asked_s = error.retry_after_s if isinstance(error, ProviderError) else None
        wait_s = max(wait_s, min(asked_s or 0, MAX_WAIT_S))
        job = await self._context.wait(job, f"{NOT_FETCHED}{error.message}", wait_s, **changes)
        moved = error.code is ErrorCode.EXPIRED or (
            job.result_url and not self._context.is_address(job, job.result_url)
        )
        return await self._refresh_address(job) if moved else job

    async def _refresh_address(self, job: Job) -> Job:
        """Ask whether the video has another URL by now."""
        adapter = self._context.adapter(job)
        if not isinstance(adapter, SupportsPoll) or job.provider_ref is None:
            return job
        try:
            seen = await adapter.poll(job.provider_ref)
            url = seen.result_url and self._context.video_address(job, seen.result_url)
        except ProviderError as error:
            logger.info("%s: %s", job.id, error)
            return job
        if seen.status != "done" or not url:
            return job
        expires_at = self._context.expiry(job, seen)
        return await self._context.update(job, result_url=url, result_url_expires_at=expires_at)


def _size_of(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _is_remote(job: Job) -> bool:
    """Whether the video can be downloaded again."""
    return job.provider_ref is not None or bool(job.result_url)


def _priced(job: Job, video: VideoInfo, spec: ProviderSpec) -> JobChanges:
    """The price for the measured length, where the longest one was held: the provider chose the length of this video,
    or of the one it was made from. Never less than for the shortest length that can be ordered."""
    offer = job.offer
    row = row_of(offer, spec)
    if row is None:  # nobody knows how short it might have been
        return {}
    source = next((given for given in job.inputs if given.job_id and given.kind != "image"), None)
    if offer.auto_duration:
        billed = Decimal(str(video.duration))
    elif source is not None:
        billed = billed_duration(offer, Decimal(str(source.duration)))
    else:
        return {}
    seconds = max(billed, shortest_of(offer, row))
    if seconds >= offer.billed:
        return {}
    return {"cost_micro": to_micro(offer.cost_of(seconds)), "held_micro": to_micro(offer.at_most_of(seconds))}


def differences(job: Job, video: VideoInfo) -> tuple[Adjustment, ...]:
    """How the measured video differs from the order."""
    offer = job.offer
    length, tolerance_s = _expected_s(job)
    other_length = abs(video.duration - length) > tolerance_s
    # the rate of a given video need not be a whole number
    other_rate = job.operation not in FROM_VIDEO or abs(video.fps - offer.fps) > 1
    pairs = (
        ("duration", f"{length:g}", f"{video.duration:g}", other_length and not offer.auto_duration),
        ("resolution", f"{offer.width}x{offer.height}", f"{video.width}x{video.height}", True),
        ("fps", str(offer.fps), f"{video.fps:g}", other_rate),
        ("generate_audio", _yes(offer.generate_audio), _yes(video.has_audio), True),
    )
    return tuple(
        Adjustment(name, asked, got, "film") for name, asked, got, matters in pairs if matters and asked != got
    )


def _expected_s(job: Job) -> tuple[float, float]:
    """Seconds that the video should have, and how far it may be from that. Where it is not known whether a video goes
    on from the one before, a frame of each may have been left out."""
    offer = job.offer
    if offer.join is None:
        return float(offer.length), NEAR_S if job.operation in FROM_VIDEO else EXACT_S
    unknown = sum(clip.continues is None for clip in offer.join.clips)
    return float(joined_s(job.inputs, offer.join.settings, offer.fps)), EXACT_S + unknown / offer.fps


def _yes(value: bool) -> str:
    return "true" if value else "false"
