"""The film as an OpenTimelineIO file (schemas of version 0.15 and older, which every editor reads): its shots as clips
with what is left of them on both sides, so that a cut can be moved.

Written without that library, which has no package for every Python that we run on.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from ltx_mcp.cli.take_away.contents import Contents, Media, Shot
from ltx_mcp.domain.join import FilmSection, JoinSettings, place_sections
from ltx_mcp.domain.price import to_wire

US = "ltx-mcp"


@dataclass(frozen=True)
class CutShot:
    """A shot on the timeline: its first frame in its media and how many are shown, in frames of the film. `before` are
    the frames of the transition that leads to it, on both sides of the cut."""

    shot: Shot
    start: int
    frames: int
    before: tuple[int, int] = (0, 0)


def cuts_of(contents: Contents) -> list[CutShot]:
    """The shots where they lie in the film."""
    join = contents.film.offer.join
    sections = [FilmSection(shot.start, shot.end, shot.goes_on) for shot in contents.shots]
    placed = place_sections(sections, join.settings if join else JoinSettings(), contents.film.offer.fps)
    return [
        CutShot(shot, where.first, where.frames, where.before)
        for shot, where in zip(contents.shots, placed, strict=True)
    ]


def timeline_text(contents: Contents, name: str) -> str:
    """The file's text; its media are named relative to it."""
    cuts, fps = cuts_of(contents), contents.film.offer.fps
    kind = contents.film.offer.join.settings.transition if contents.film.offer.join else "cut"
    tracks = [_track("Shots", "Video", _children(cuts, fps, kind))]
    if any(cut.shot.media.has_audio for cut in cuts):
        tracks.append(_track("Sound of the shots", "Audio", _children(cuts, fps, kind, is_sound=True)))
    if contents.sound is not None:
        tracks.append(_track("Sound under all", "Audio", [_under_all(contents.sound, contents, cuts, fps)]))
    return json.dumps(
        {
            "OTIO_SCHEMA": "Timeline.1",
            "name": name,
            "global_start_time": None,
            "metadata": {US: {"job_id": contents.film.id}},
            "tracks": _item("Stack.1", "tracks", children=tracks),
        },
        ensure_ascii=False,
        indent=1,
    )


def _children(cuts: Sequence[CutShot], fps: int, kind: str, *, is_sound: bool = False) -> list[dict[str, Any]]:
    children: list[dict[str, Any]] = []
    for cut in cuts:
        if any(cut.before):
            children.append(_transition(cut, fps, kind))
        children.append(_silence(cut, fps) if is_sound and not cut.shot.media.has_audio else _clip(cut, fps))
    return children


def _clip(cut: CutShot, fps: int) -> dict[str, Any]:
    media, title = cut.shot.media, cut.shot.title
    return _item(
        "Clip.1",
        title or media.name.rpartition("/")[2].rpartition(".")[0],
        source_range=_range(cut.start, cut.frames, fps),
        media_reference=_reference(media),
        metadata={US: _about(media)} if media.job else {},
    )


def _silence(cut: CutShot, fps: int) -> dict[str, Any]:
    return _item("Gap.1", "", source_range=_range(0, cut.frames, fps))


def _under_all(sound: Media, contents: Contents, cuts: Sequence[CutShot], fps: int) -> dict[str, Any]:
    join = contents.film.offer.join
    level = join.settings.sound_level if join else None
    frames = min(sum(cut.frames for cut in cuts), int(sound.duration * fps))
    return _item(
        "Clip.1",
        "sound",
        source_range=_range(0, frames, fps),
        media_reference=_reference(sound),
        metadata={US: {"level": float(level)}} if level is not None else {},
    )


def _about(media: Media) -> dict[str, Any]:
    assert media.job is not None
    job = media.job
    return {
        "job_id": job.id,
        "operation": job.operation,
        "prompt": job.prompt,
        "provider": job.offer.provider,
        "model": job.offer.model,
        "cost_usd": to_wire(job.cost_usd),
    }


def _transition(cut: CutShot, fps: int, kind: str) -> dict[str, Any]:
    early, late = cut.before
    is_blend = kind == "crossfade"
    return {
        "OTIO_SCHEMA": "Transition.1",
        "name": "Crossfade" if is_blend else "Fade through black",
        "transition_type": "SMPTE_Dissolve" if is_blend else "Custom_Transition",
        "in_offset": _time(early, fps),
        "out_offset": _time(late, fps),
        "metadata": {},
    }


def _reference(media: Media) -> dict[str, Any]:
    rate = media.fps or 1000.0
    return {
        "OTIO_SCHEMA": "ExternalReference.1",
        "name": "",
        "target_url": quote(media.name),
        "available_range": _range(0, round(media.duration * rate), rate),
        "metadata": {},
    }


def _track(name: str, kind: str, children: list[dict[str, Any]]) -> dict[str, Any]:
    return _item("Track.1", name, kind=kind, children=children)


def _item(schema: str, name: str, **fields: Any) -> dict[str, Any]:
    given: dict[str, Any] = {"source_range": None, "metadata": {}, "effects": [], "markers": [], "enabled": True}
    return {"OTIO_SCHEMA": schema, "name": name} | given | fields


def _range(start: int, frames: int, rate: float) -> dict[str, Any]:
    return {"OTIO_SCHEMA": "TimeRange.1", "start_time": _time(start, rate), "duration": _time(frames, rate)}


def _time(frames: int, rate: float) -> dict[str, Any]:
    return {"OTIO_SCHEMA": "RationalTime.1", "value": float(frames), "rate": float(rate)}
