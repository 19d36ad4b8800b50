"""The media of a request: pictures are read now, because a path may vanish; other jobs may still be under way."""

from dataclasses import dataclass
from pathlib import Path

from ltx_mcp.domain.errors import CallerError, ErrorCode
from ltx_mcp.domain.job import Job, State
from ltx_mcp.domain.media import JobMoment, Picture, read_reference
from ltx_mcp.domain.request import Input, PaidArguments, media_arguments
from ltx_mcp.jobs.store import Store
from ltx_mcp.media.inputs import InputReader


@dataclass(frozen=True)
class Given:
    """A medium of a request: what the row keeps, the bytes that were read, and what makes it unusable now."""

    input: Input
    path: Path | None = None
    problem: CallerError | None = None

    def check(self) -> None:
        """Raises CallerError when it cannot be used."""
        if self.problem is not None:
            raise self.problem


async def read_media(
    arguments: PaidArguments, caller: str, folder: Path, reader: InputReader, store: Store
) -> list[Given]:
    """The media of a request, in order: bytes are read into `folder`, jobs are looked up. Raises CallerError."""
    given = []
    for role, text in media_arguments(arguments).items():
        reference = read_reference(text, role)
        if isinstance(reference, JobMoment):
            given.append(await _read_job(role, reference, caller, store))
        else:
            picture = await reader.read_picture(reference, role, folder)
            given.append(Given(_to_input(role, picture), picture.path))
    return given


async def _read_job(role: str, reference: JobMoment, caller: str, store: Store) -> Given:
    source = await store.do(store.get, reference.job_id, caller)
    if source is None:
        raise CallerError(
            ErrorCode.JOB_NOT_FOUND,
            f"{role}: there is no job {reference.job_id}.",
            "list_jobs shows the jobs there are.",
        )
    moment = reference.moment if isinstance(reference.moment, str) else repr(reference.moment)
    size = source.film or source.offer
    given = Input(role=role, job_id=source.id, moment=moment, width=size.width, height=size.height)
    return Given(given, None, _source_problem(role, source, reference))


def _to_input(role: str, picture: Picture) -> Input:
    return Input(
        role=role,
        sha256=picture.sha256,
        format=picture.format,
        size_bytes=picture.size_bytes,
        width=picture.width,
        height=picture.height,
        turned=picture.turned,
    )


def _source_problem(role: str, source: Job, reference: JobMoment) -> CallerError | None:
    if not source.live and source.state is not State.SUCCEEDED:
        return CallerError(
            ErrorCode.INPUT_FAILED,
            f"{role}: {source.id} is {source.state}, so it has no film to take a frame from.",
            "Use a job that succeeded or is still under way.",
        )
    length = source.film.duration if source.film else float(source.offer.duration)
    if not isinstance(reference.moment, str) and reference.moment > length:
        return CallerError(
            ErrorCode.INVALID_REQUEST,
            f"{role}: #{reference.moment:g} is beyond the end of {source.id}; allowed: 0 to {length:g}, #first, #last.",
        )
    return None
