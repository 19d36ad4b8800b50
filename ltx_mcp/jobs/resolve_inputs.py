"""Resolves the media of a request: files are read now, because a path may vanish; other jobs may still be running."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

import anyio
import anyio.to_thread

from ltx_mcp.domain.argument_types import MAX_WAIT_S
from ltx_mcp.domain.arguments import EstimateCost, OrderArguments
from ltx_mcp.domain.errors import CallerError, ErrorCode, LtxError
from ltx_mcp.domain.job import Job, State, continues, input_of
from ltx_mcp.domain.job_set import JobSet, one_take_needed
from ltx_mcp.domain.joined_format import check_cut
from ltx_mcp.domain.media_reference import (
    WHOLE,
    DataUri,
    JobFrameRef,
    LocalPath,
    Reference,
    Section,
    WebUrl,
    job_of_video,
    read_reference,
    split_section,
)
from ltx_mcp.domain.offer import Adjustment, NotOfferedError, Offer
from ltx_mcp.domain.quoting import shorten
from ltx_mcp.domain.request import Input, argument_of, kind_of, media_arguments
from ltx_mcp.jobs.files import FileStore
from ltx_mcp.jobs.store.store import Store
from ltx_mcp.jobs.store.transitions import removed_video
from ltx_mcp.media.inputs import InputReader

MAX_PATH = 4096
READ_S = MAX_WAIT_S - 5.0
MAX_AT_ONCE = 4
"""How many media of one call are read at the same time."""


@dataclass(frozen=True)
class ResolvedInput:
    """One media file of a request: what the row keeps, the file that was read, and why it cannot be used now. `found`
    says which file a relative path resolved to, `source` is the job it is from."""

    input: Input
    path: Path | None = None
    problem: CallerError | None = None
    found: Adjustment | None = None
    source: Job | None = None

    def check(self) -> None:
        """Raises CallerError when it cannot be used."""
        if self.problem is not None:
            raise self.problem


@dataclass
class ReadMedia:
    """What was resolved so far by role, and what could not be; `scopes` are those of the work on each, in order."""

    scopes: dict[str, anyio.CancelScope]
    found: dict[str, ResolvedInput] = field(default_factory=dict)
    failures: dict[str, LtxError] = field(default_factory=dict)


_USE = {"image": "take a frame from", "video": "work on", "audio": "take the sound of"}


@dataclass(frozen=True)
class InputResolver:
    """Resolves the media of one call: files are read into `folder`, jobs are those of `caller`."""

    reader: InputReader
    store: Store
    files: FileStore
    caller: str
    folder: Path

    async def resolve(self, arguments: OrderArguments | EstimateCost) -> list[ResolvedInput]:
        """The media of a request, in order. Raises CallerError."""
        cuts = {role: _split(role, text) for role, text in media_arguments(arguments).items()}
        # a video of which several sections are joined is read once
        firsts: dict[tuple[str, str], str] = {}
        for role, (text, _) in cuts.items():
            firsts.setdefault((argument_of(role), text), role)
        read = ReadMedia({role: anyio.CancelScope() for role in firsts.values()})
        with anyio.move_on_after(READ_S):
            async with anyio.create_task_group() as group:
                limiter = anyio.CapacityLimiter(MAX_AT_ONCE)
                for (_, text), role in firsts.items():
                    group.start_soon(self._resolve, role, text, read, limiter)
        for role in firsts.values():
            if role not in read.found:
                raise read.failures.get(role) or _too_late(role)
        given = [
            _as_part(read.found[firsts[argument_of(role), text]], role, section)
            for role, (text, section) in cuts.items()
        ]
        return with_continued(given)

    async def _resolve(self, role: str, text: str, read: ReadMedia, limiter: anyio.CapacityLimiter) -> None:
        """Resolve one of them. A failure ends the work on those after it: the first in order is what is reported."""
        with read.scopes[role]:
            try:
                async with limiter:
                    read.found[role] = await self._resolved(role, text)
            except LtxError as error:
                read.failures[role] = error
                for later in list(read.scopes.values())[list(read.scopes).index(role) + 1 :]:
                    later.cancel()

    async def _resolved(self, role: str, text: str) -> ResolvedInput:
        reference = await self._as_job(read_reference(text, role))
        if isinstance(reference, JobFrameRef):
            return await self._read_job(role, reference)
        return await self._read(role, text, reference)

    async def _as_job(self, reference: Reference) -> Reference:
        """A path or URL of a job's video, as `check_job` returned it, becomes that job."""
        if isinstance(reference, LocalPath):
            job_id = job_of_video(reference.path) if self.reader.takes_paths else ""
            video = self.files.video(job_id)
            is_ours = bool(job_id) and await self.store.run_in_thread(_is_same_place, reference.path, video)
        elif isinstance(reference, WebUrl):
            job_id = job_of_video(reference.url.partition("?")[0].partition("#")[0])
            is_ours = bool(job_id) and await self.store.run_in_thread(self.store.get, job_id, self.caller) is not None
        else:
            return reference
        return JobFrameRef(job_id, names_no_frame=True) if is_ours else reference

    async def _read(self, role: str, text: str, reference: WebUrl | DataUri | LocalPath) -> ResolvedInput:
        kind = kind_of(role)
        if kind != "image":
            file = await self.reader.read_medium(reference, role, self.folder, kind)
        else:
            file = await self.reader.read_picture(reference, role, self.folder)
        name = argument_of(role)
        found = Adjustment(name, shorten(text.strip()), shorten(file.found, MAX_PATH), "server") if file.found else None
        return ResolvedInput(file.input, file.path, found=found)

    async def _read_job(self, role: str, reference: JobFrameRef) -> ResolvedInput:
        source = await self._source(role, reference)
        position = reference.frame_position
        moment = position if isinstance(position, str) else repr(position)
        given = input_of(source, role, moment if kind_of(role) == "image" else "")
        is_removed = source.state is State.SUCCEEDED and not await self.files.has(self.files.video(source.id))
        problem = removed_video(role, source.id) if is_removed else _source_problem(role, source, reference)
        return ResolvedInput(given, None, problem, source=source)

    async def _source(self, role: str, reference: JobFrameRef) -> Job:
        """The job itself, or the take that is named within its set."""
        source = await self.store.run_in_thread(self.store.find, reference.job_id, self.caller)
        if source is None:
            raise CallerError(
                ErrorCode.JOB_NOT_FOUND,
                f"{role}: there is no job {reference.job_id}.",
                "list_jobs shows the jobs there are.",
            )
        if isinstance(source, JobSet):
            raise one_take_needed(source, role)
        return source


def _is_same_place(path: str, video: Path) -> bool:
    try:
        return Path(path).expanduser().resolve() == video.resolve()
    except (OSError, RuntimeError, ValueError):
        return False


def with_found(offers: Sequence[Offer], given: Sequence[ResolvedInput]) -> tuple[Offer, ...]:
    """The offers, with adjustments that say which files relative paths resolved to."""
    found = tuple(each.found for each in given if each.found is not None)
    return tuple(replace(offer, adjustments=(*found, *offer.adjustments)) if found else offer for offer in offers)


def _split(role: str, text: str) -> tuple[str, Section]:
    return (text, WHOLE) if argument_of(role) == role else split_section(text, role)


def _as_part(given: ResolvedInput, role: str, section: Section) -> ResolvedInput:
    """In this role, and only this section of a video, which must lie within it where its length is known."""
    if given.input.role != role:
        given = replace(given, input=replace(given.input, role=role), found=None)
    if section == WHOLE:
        return given
    cut, problem = replace(given.input, start=section.start, end=section.end), given.problem
    try:
        if given.source is None or given.source.film is not None:
            check_cut(cut)
    except NotOfferedError as reason:
        problem = problem or CallerError(ErrorCode.INVALID_REQUEST, str(reason))
    return replace(given, input=cut, problem=problem)


def with_continued(given: list[ResolvedInput]) -> list[ResolvedInput]:
    """Each video that is joined with those before it says whether it goes on from the last frame of the one before."""
    return [*given[:1], *(_goes_on(each, before) for before, each in pairwise(given))]


def _goes_on(given: ResolvedInput, before: ResolvedInput) -> ResolvedInput:
    used, earlier = given.input, before.input
    if argument_of(used.role) == used.role or given.source is None or before.source is None:
        return given
    if not continues(given.source, before.source):
        return given
    is_whole = earlier.end is None or earlier.end >= earlier.duration
    return replace(given, input=replace(used, continues=is_whole and not used.start))


def _too_late(role: str) -> CallerError:
    return CallerError(
        ErrorCode.RATE_LIMITED,
        f"{role}: all media of a call must be read within {READ_S:g} s, and that time is over.",
        "Nothing was ordered. Send the same call again in a minute, or smaller files.",
    )


def _source_problem(role: str, source: Job, reference: JobFrameRef) -> CallerError | None:
    if not source.live and source.state is not State.SUCCEEDED:
        return CallerError(
            ErrorCode.INPUT_FAILED,
            f"{role}: {source.id} is {source.state}, so it has no film to {_USE[kind_of(role)]}.",
            "Use a job that succeeded or is still under way.",
        )
    if kind_of(role) != "image" and not reference.names_no_frame:
        return CallerError(
            ErrorCode.INVALID_REQUEST, f"{role}: {source.id} is taken whole; leave out what follows the job id."
        )
    if role == "audio" and source.film and not source.film.has_audio:
        return CallerError(ErrorCode.INPUT_FAILED, f"audio: the film of {source.id} has no sound.")
    length = source.film.duration if source.film else float(source.offer.length)
    if not isinstance(reference.frame_position, str) and reference.frame_position > length:
        return CallerError(
            ErrorCode.INVALID_REQUEST,
            f"{role}: #{reference.frame_position:g} is beyond the end of {source.id}; "
            f"allowed: 0 to {length:g}, #first, #last.",
        )
    return None
