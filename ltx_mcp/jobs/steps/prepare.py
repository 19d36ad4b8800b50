"""Queued: everything before the order that can be repeated. Videos of other jobs are read, media converted and
uploaded."""

import base64
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from ltx_mcp.domain.catalog import InputSpec
from ltx_mcp.domain.errors import CallerError, ErrorCode, JobError, LtxError, ProviderError
from ltx_mcp.domain.job import NOT_SENT, Job, State
from ltx_mcp.domain.join import name_video
from ltx_mcp.domain.joined_format import check_clips
from ltx_mcp.domain.measured import check_section, check_sent
from ltx_mcp.domain.media_formats import conversion
from ltx_mcp.domain.media_info import MediaInfo
from ltx_mcp.domain.media_reference import mime_type
from ltx_mcp.domain.offer import NotOfferedError, row_of
from ltx_mcp.domain.request import Input, argument_of
from ltx_mcp.jobs.files import CONVERTED, digest_of
from ltx_mcp.jobs.steps.context import StepContext, WorkInProgress
from ltx_mcp.jobs.store.errors import BucketUnavailableError
from ltx_mcp.jobs.store.transitions import removed_video
from ltx_mcp.media.inputs import to_input
from ltx_mcp.providers.base import SupportsUpload

logger = logging.getLogger(__name__)

MAX_ATTEMPTS = 10
UPLOAD_TRIES = 3
AWAY_S = 10.0
NOT_ORDERED = "Nothing was ordered, and nothing is held."
SEND_PLAIN, ORDER_AGAIN = (
    "Give it as a plain MP4 or M4A, which is sent as it is.",
    "Order it again: now its length is known.",
)
WORTH_A_RETRY = frozenset({ErrorCode.UNAVAILABLE, ErrorCode.RATE_LIMITED, ErrorCode.BAD_REPLY})


class PrepareStep:
    """Ends in `submitting`; `work.uris` then has the inputs of the order."""

    def __init__(self, context: StepContext) -> None:
        self._context = context
        self._store = context.store

    async def step(self, job: Job, work: WorkInProgress) -> Job:
        """Prepare one job. Raises LtxError when it cannot be ordered at all. While the bucket is away, it waits."""
        try:
            return await self._prepare(job, work)
        except BucketUnavailableError as error:
            logger.warning("%s: %s", job.id, error, extra={"trouble": str(error.code)})
            return await self._context.wait(job, f"{NOT_SENT}{error.message}", AWAY_S)

    async def _prepare(self, job: Job, work: WorkInProgress) -> Job:
        if job.cancel_requested:
            return await self._context.stopped(job)
        if job.attempts >= MAX_ATTEMPTS:
            raise LtxError(ErrorCode.INTERNAL_ERROR, f"Every process that worked on it ended: {job.attempts} attempts.")
        await self._check_room(job)
        job, is_complete = await self._take_sources(job)
        if not is_complete:
            return await self._store.run_in_thread(self._store.wait_for_sources, job, self._context.now())
        try:
            self._context.check_way(job.offer.provider, job.account)
            uris = {given.role: await self._uri(job, given) for given in job.inputs}
        except ProviderError as error:  # nothing is ordered yet, so every failure here is a definite rejection
            return await self._context.fail_over(job, JobError.of(error), self._context.now())
        if job.inputs:  # converting and uploading them took time and space
            await self._check_room(job)
        now = self._context.now()
        moved = await self._context.transition(
            job, State.SUBMITTING, submitted_by=job.lease_owner, ordered_at=now, progress=None, status_message=""
        )
        work.uris = uris  # only now: where the success of the transition did not reach us, nothing may be sent
        return moved

    async def _take_sources(self, job: Job) -> tuple[Job, bool]:
        """Take what is missing from the jobs that have ended, and say whether that is all. One without a video fails
        this job, whether or not others still run."""
        missing = [given for given in job.inputs if given.job_id and not given.sha256]
        sources = {each.job_id: await self._source(job, each) for each in missing}
        for given in missing:
            source = sources[given.job_id]
            if source is not None and source.live:
                continue
            before = next((each for each in job.inputs if each.sha256 and _is_same_video(each, given)), None)
            taken = given.measured(replace(before, role=given.role)) if before else None
            taken = taken or await self._take_from(job, given, source)
            with _as_input_failed(job, "Order it again with a section that lies within the film."):
                check_section(job.offer, taken)
            inputs = tuple(taken if each == given else each for each in job.inputs)
            job = await self._store.run_in_thread(self._store.update, job, inputs=inputs)
        is_complete = all(given.sha256 for given in job.inputs)
        if is_complete and job.offer.join:
            with _as_input_failed(job, "Join them with a shorter transition, or without that part."):
                check_clips(job.inputs, job.offer.join.settings)
        return job, is_complete

    async def _source(self, job: Job, given: Input) -> Job | None:
        return await self._store.run_in_thread(self._store.get, given.job_id, job.caller)

    async def _check_room(self, job: Job) -> None:
        """Fail before anything is paid when the disk has no room for the video."""
        await self._store.run_in_thread(self._context.files.check_room, job.offer)

    async def _take_from(self, job: Job, given: Input, source: Job | None) -> Input:
        """What is taken from another job's video (a frame, the video or its audio), kept like any other input."""
        if source is None or source.state is not State.SUCCEEDED:
            state = source.state if source else "gone"
            raise CallerError(
                ErrorCode.INPUT_FAILED,
                f"{argument_of(given.role)}: {given.job_id} is {state}, so it has no film to be made from.",
                "Order that shot again, then this one.",
            )
        files = self._context.files
        video = await files.bring(files.video(source.id))
        if video is None:
            raise removed_video(argument_of(given.role), source.id)
        if given.kind == "video":
            return await self._keep(given, video, await self._context.media.probe_video(video))
        path = files.staging_dir() / f"{job.id}.{job.fencing_token}.{given.role}.part"
        try:
            return await self._keep(given, path, await self._extract(given, video, path))
        finally:
            path.unlink(missing_ok=True)

    async def _extract(self, given: Input, video: Path, path: Path) -> MediaInfo:
        """Write a frame or the audio of a video to `path`."""
        media = self._context.media
        if given.kind == "audio":
            return await media.convert_media(video, path, "audio")
        frame = await media.take_frame(video, _position(given.frame_position), path, "png", None)
        return MediaInfo("png", frame.width, frame.height)

    async def _keep(self, given: Input, path: Path, info: MediaInfo) -> Input:
        """Keep the file as an input, with its measured values in place of the expected ones."""
        sha256, size_bytes = await self._store.run_in_thread(digest_of, path), path.stat().st_size
        read = to_input(info, given.role, sha256, size_bytes)
        kept = given.measured(read)
        await self._context.files.save_input(kept, path)
        return kept

    # -- what the order points at -------------------------------------------------------------------------------

    async def _uri(self, job: Job, given: Input) -> str:
        """The input in the provider's preferred way: an uploaded URL, a data URI, or a path for the adapter."""
        rule = self._context.spec(job).inputs[given.kind]
        given = await self._converted(job, given, rule)
        self._check_sent(job, given)
        if rule.ways[0] == "upload":
            return await self._upload(job, given)
        path = await self._brought(given)
        match rule.ways[0]:
            case "data":
                content = base64.b64encode(await self._store.run_in_thread(path.read_bytes)).decode()
                return f"data:{mime_type(given.format)};base64,{content}"
        return str(path)

    async def _brought(self, given: Input) -> Path:
        """The bytes of an input, on this machine."""
        path = self._context.files.input(given)
        return await self._context.files.bring(path) or path

    def _check_sent(self, job: Job, given: Input) -> None:
        """Check a file that was made here or by another job: its measures are known only now."""
        if given.kind == "image":
            return
        with _as_input_failed(job, f"{NOT_ORDERED} {ORDER_AGAIN if given.job_id else SEND_PLAIN}"):
            check_sent(job.offer, given, row_of(job.offer, self._context.spec(job)))

    async def _converted(self, job: Job, given: Input, rule: InputSpec) -> Input:
        """The input in the planned format; one from another job in a format that this provider takes."""
        target = job.offer.conversions.get(given.role, "")
        if not target and given.job_id:
            target = conversion(given, rule)
        if not target:
            return given
        format, _, codec = target.partition("/")
        converted = replace(given, sha256=f"{given.sha256}{CONVERTED}", format=format, codec=codec)
        path = self._context.files.input(converted)
        info: MediaInfo | None = None
        if await self._context.files.bring(path) is None:
            part = path.with_name(f"{path.stem}.{job.id}.{job.fencing_token}.part")
            info = await self._convert(given, part, target)
            part.replace(path)
        if given.kind != "image":
            info = info or await self._context.media.probe_video(path, given.kind)
            measured = to_input(info, given.role, converted.sha256, info.size_bytes)
            converted = given.measured(measured)
        size_bytes = path.stat().st_size
        if rule.max_bytes and size_bytes > rule.max_bytes:
            raise CallerError(
                ErrorCode.INPUT_FAILED,
                f"{given.role} has {size_bytes:,} bytes even as {target}; "
                f"{job.offer.provider} takes {rule.max_bytes:,}.",
                "Give a smaller one.",
            )
        return replace(converted, size_bytes=size_bytes)

    async def _convert(self, given: Input, part: Path, target: str) -> MediaInfo | None:
        """Convert to `part`; returns the measures of a video or audio file."""
        source, media = await self._brought(given), self._context.media
        if given.kind != "image":
            return await media.convert_media(source, part, given.kind)
        await media.convert_image(source, part, target, given.converted_size)
        return None

    async def _upload(self, job: Job, given: Input) -> str:
        """The URL of the input at the provider: uploaded now, unless it is there already."""
        adapter, uploads = self._context.adapter(job), self._context.uploads
        assert isinstance(adapter, SupportsUpload)
        key = (job.offer.provider, adapter.account, given)
        if uri := await uploads.run_in_thread(uploads.find, *key, self._context.now()):
            return uri
        path = await self._brought(given)
        for left in reversed(range(UPLOAD_TRIES)):
            try:
                sent = await adapter.upload(path, mime_type(given.format))
                break
            except ProviderError as error:
                if not left or error.code not in WORTH_A_RETRY:
                    raise
                logger.info("%s: %s", job.id, error)
                rest_s = min(error.retry_after_s or UPLOAD_TRIES - left, 30)
                await self._context.wait(job, f"{NOT_SENT}{given.role}: {error.message}", rest_s)
        await uploads.run_in_thread(uploads.keep, *key, sent.uri, sent.expires_at, self._context.now())
        return sent.uri


def _is_same_video(one: Input, other: Input) -> bool:
    return one.kind == other.kind == "video" and one.job_id == other.job_id


@contextmanager
def _as_input_failed(job: Job, hint: str) -> Iterator[None]:
    """What an input does not allow ends the job."""
    try:
        yield
    except NotOfferedError as reason:
        videos = [given.job_id or f"number {place}" for place, given in enumerate(job.inputs, 1)]
        raise CallerError(ErrorCode.INPUT_FAILED, name_video(str(reason), videos), hint) from reason


def _position(text: str) -> Any:
    return text if text in ("first", "last") else float(text)
