"""README.md of a film that is taken away: its files, the prompt, model and price of each shot, and what all cost."""

import re
from collections.abc import Iterator, Sequence
from decimal import Decimal

from ltx_mcp.cli.take_away.contents import Contents, Shot
from ltx_mcp.cli.take_away.timeline import cuts_of
from ltx_mcp.domain.job import ChargeState, Job
from ltx_mcp.domain.join import JoinSettings
from ltx_mcp.domain.price import from_micro, to_text
from ltx_mcp.domain.quoting import plain_line

MEANINGS = {
    "film.mp4": "the film",
    "film.otio": "the same as a timeline, for an editor that opens OpenTimelineIO; it finds the shots beside it",
    "poster.jpg": "its best frame",
    "sheet.jpg": "six frames of the film",
    "captions.srt": "its captions",
    "captions.vtt": "its captions",
}
MARKUP = re.compile(r"([\\`*_{}\[\]<>()#|~&]|^[-+]|(?<=^\d)[.)])")
NOT_LTX = "a preview drawn on this machine, not LTX"


def readme_text(contents: Contents, name: str, files: Sequence[str]) -> str:
    """The page; `files` are the names of all others in the folder."""
    film = contents.film
    join, video = film.offer.join, film.film
    assert video is not None
    made = f"{video.duration:g} s, {video.width}x{video.height}, {video.fps:g} fps, {film.created_at:%Y-%m-%d}"
    blocks = [
        f"# {_plain(name)}",
        f"{made}. {_joined_text(join.settings, len(join.clips)) if join else ''}".strip(),
        "## Files",
        "\n".join(_files(contents, files)),
        "## Shots",
        *_shots(contents),
        "## What it cost",
        *_costs(contents),
    ]
    return "\n\n".join(blocks) + "\n"


def _joined_text(settings: JoinSettings, count: int) -> str:
    seams = f"{settings.transition}s of {settings.transition_s:f} s" if settings.transition_s else "cuts"
    return f"{count} videos, joined with {seams}."


def _files(contents: Contents, files: Sequence[str]) -> Iterator[str]:
    shots = [file for file in files if file.startswith("shots/")]
    for file in files:
        if file == (contents.sound.name if contents.sound else ""):
            yield f"- `{file}`: the sound under all of it"
        elif file not in shots:
            yield f"- `{file}`: {MEANINGS[file]}"
    if shots:
        yield f"- `shots`: {len(shots)} videos as they were before they were joined"


def _shots(contents: Contents) -> Iterator[str]:
    fps, at = contents.film.offer.fps, 0
    for number, cut in enumerate(cuts_of(contents), 1):
        shot, begins = cut.shot, at / fps
        at += cut.frames
        heading = _plain(shot.title) or shot.media.name.rpartition("/")[2]
        used = f"Seconds {shot.start:g} to {shot.end:g} of `{shot.media.name}`"
        goes_on = ", from the last frame of the shot before" if shot.goes_on else ""
        lines = [f"{used}, in the film from {begins:.2f} to {at / fps:.2f}{goes_on}.", _made_by(shot)]
        yield f"### {number}. {heading}"
        yield "\n".join(filter(None, lines))
        if shot.media.job and shot.media.job.prompt:
            yield _quoted(shot.media.job.prompt)


def _made_by(shot: Shot) -> str:
    job = shot.media.job
    if job is None:
        return "A file that was given."
    preview = f"; {NOT_LTX}" if job.offer.is_preview else ""
    return f"{job.operation} by {_plain(job.offer.provider)}, {_plain(job.offer.model)}: {_price(job)}{preview}."


def _costs(contents: Contents) -> Iterator[str]:
    jobs = (*contents.made_from, contents.film)
    rows = ["| Job | What | By | Price |", "|---|---|---|---|"]
    rows += [
        f"| {job.take_name or job.id} | {job.operation} | {_plain(job.offer.provider)}, {_plain(job.offer.model)} "
        f"| {_price(job)} |"
        for job in jobs
    ]
    yield "\n".join(rows)
    total = sum((_paid(job) for job in jobs), Decimal())
    yield f"All of it: {to_text(total)} USD. What was ordered and is not in the film is not counted here."


def _paid(job: Job) -> Decimal:
    if job.bill is ChargeState.RELEASED:
        return Decimal()
    return job.cost_usd if job.charged_micro is None else from_micro(job.charged_micro)


def _price(job: Job) -> str:
    return f"{to_text(_paid(job))} USD"


def _quoted(text: str) -> str:
    return "\n".join(f"> {_plain(line)}".rstrip() for line in text.strip().splitlines())


def _plain(text: str) -> str:
    """Words that Markdown shows as they are."""
    return MARKUP.sub(r"\\\1", plain_line(text))
