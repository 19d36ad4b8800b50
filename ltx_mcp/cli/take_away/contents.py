"""What is taken away of a film: its shots, what was laid over them, and every job that it was made from."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ltx_mcp.domain.errors import CallerError, ErrorCode
from ltx_mcp.domain.job import Job, State, input_of
from ltx_mcp.domain.join import Clip
from ltx_mcp.domain.quoting import plain_line
from ltx_mcp.domain.request import Input, find_input
from ltx_mcp.jobs.callers import LOCAL

if TYPE_CHECKING:
    from ltx_mcp.jobs.files import FileStore
    from ltx_mcp.jobs.service import Jobs

FILM, SHOTS = "film.mp4", "shots"
MAX_NAME_CHARS = 40


@dataclass(frozen=True)
class Media:
    """A file that is taken along: where it lies, what it is called in the folder, and the job that made it; None where
    a person gave the file."""

    path: Path
    name: str
    job: Job | None
    duration: float
    fps: float
    has_audio: bool


@dataclass(frozen=True)
class Shot:
    """A part of the film: the seconds from `start` to `end` of its media."""

    media: Media
    start: float
    end: float
    goes_on: bool
    title: str


@dataclass(frozen=True)
class Contents:
    """All that the folder is made from. `made_from` are the jobs below the film, the oldest first."""

    film: Job
    path: Path
    sheet: Path | None
    poster: Path | None
    shots: tuple[Shot, ...]
    sound: Media | None
    made_from: tuple[Job, ...]


async def read_contents(jobs: "Jobs", job: Job) -> Contents:
    """Everything of this film. Raises CallerError where a part of it is not on this machine."""
    files = jobs.keeping.context.files
    if job.state is not State.SUCCEEDED:
        hint = "ltx-mcp jobs --watch follows it." if job.live else f"ltx-mcp jobs show {job.id} says why."
        raise CallerError(ErrorCode.INVALID_REQUEST, f"{job.id} is {job.state}: there is no film to take away.", hint)
    shots = await _joined(jobs, files, job) if job.offer.join else (await _alone(files, job),)
    return Contents(
        job,
        await _kept(files, job),
        await files.bring(files.sheet(job.id)),
        await files.bring(files.poster(job.id)),
        shots,
        await _sound(jobs, files, job) if job.offer.join else None,
        await _ancestors(jobs, job),
    )


async def _alone(files: "FileStore", job: Job) -> Shot:
    """A film that was not joined is its own only shot."""
    media = _media_of(await _kept(files, job), FILM, job, input_of(job, "video"))
    return Shot(media, 0.0, media.duration, False, "")


async def _joined(jobs: "Jobs", files: "FileStore", job: Job) -> tuple[Shot, ...]:
    """A video of which several sections are used is taken along once."""
    assert job.offer.join is not None
    shots: list[Shot] = []
    known: dict[Path, Media] = {}
    for number, clip in enumerate(job.offer.join.clips, 1):
        given = find_input(job.inputs, f"video{number}")
        assert given is not None
        source = await jobs.get(given.job_id, LOCAL) if given.job_id else None
        path = await (_kept(files, source) if source else _given(files, given, f"video {number}"))
        if path not in known:
            name = f"{SHOTS}/{number:02}-{_slug(clip, source)}{path.suffix}"
            read = input_of(source, given.role) if source else given
            known[path] = _media_of(path, name, source, read)
        shots.append(_shot(known[path], clip))
    return tuple(shots)


def _shot(media: Media, clip: Clip) -> Shot:
    end = media.duration if clip.end is None else min(clip.end, media.duration)
    return Shot(media, clip.start, end, bool(clip.continues), clip.title)


async def _sound(jobs: "Jobs", files: "FileStore", job: Job) -> Media | None:
    given = find_input(job.inputs, "audio")
    if given is None:
        return None
    source = await jobs.get(given.job_id, LOCAL) if given.job_id else None
    path = await (_kept(files, source) if source else _given(files, given, "the sound"))
    return _media_of(path, f"sound{path.suffix}", source, input_of(source, "audio") if source else given)


def _media_of(path: Path, name: str, job: Job | None, read: Input) -> Media:
    return Media(path, name, job, read.duration, read.fps, read.has_audio)


async def _ancestors(jobs: "Jobs", job: Job) -> tuple[Job, ...]:
    found: dict[str, Job] = {}
    left = list(job.sources)
    while left:
        if (name := left.pop()) not in found:
            found[name] = await jobs.get(name, LOCAL)
            left += found[name].sources
    return tuple(sorted(found.values(), key=lambda each: each.created_at))


async def _kept(files: "FileStore", job: Job) -> Path:
    path = await files.bring(files.video(job.id)) if job.state is State.SUCCEEDED else None
    if path is not None:
        return path
    raise CallerError(
        ErrorCode.INPUT_FAILED,
        f"The film of {job.take_name or job.id} is not on this machine.",
        f"ltx-mcp jobs fetch {job.id} brings it while its address lives.",
    )


async def _given(files: "FileStore", given: Input, what: str) -> Path:
    path = await files.bring(files.input(given))
    if path is not None:
        return path
    raise CallerError(ErrorCode.INPUT_FAILED, f"The file that {what} was made from is not kept here any more.")


def _slug(clip: Clip, job: Job | None) -> str:
    """A few words that tell the shots apart, as they may stand in the name of a file on any system."""
    words: Sequence[str] = re.findall(r"\w+", plain_line(clip.title or (job.prompt if job else "")).lower())
    name = "-".join(words)[: MAX_NAME_CHARS + 1]
    return (name if len(name) <= MAX_NAME_CHARS else name.rpartition("-")[0] or name[:MAX_NAME_CHARS]) or "shot"
