"""A film that is joined here from several videos: how its parts meet, which section of each is used, and what is laid
over them; also where each part lies in the film. Pure.
"""

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from ltx_mcp.domain.argument_types import Transition


@dataclass(frozen=True)
class JoinSettings:
    """What is asked for besides the videos. `transition_s` is 0 for a cut; `sound_level`, from 0 to 1, is that of the
    sound laid under all; `captions` is the text of an SRT or WebVTT file; `titles` are in the order of the videos."""

    transition: Transition = "cut"
    transition_s: Decimal = Decimal()
    sound_level: Decimal | None = None
    captions: str = ""
    burn_captions: bool = False
    titles: tuple[str, ...] = ()

    @property
    def overlap_s(self) -> Decimal:
        """How long two videos are shown together where they meet."""
        return self.transition_s if self.transition == "crossfade" else Decimal()

    @property
    def canonical(self) -> dict[str, str]:
        """By argument, what is not at its default; captions by their digest."""
        values = {
            "transition": self.transition,
            "transition_seconds": format(self.transition_s, "f") if self.transition_s else "",
            "audio_level": "" if self.sound_level is None else format(self.sound_level, "f"),
            "captions": f"sha256:{hashlib.sha256(self.captions.encode()).hexdigest()}" if self.captions else "",
            "burn_captions": "True" if self.burn_captions else "",
            "titles": json.dumps(self.titles, ensure_ascii=False) if any(self.titles) else "",
        }
        return {name: value for name, value in values.items() if value}


@dataclass(frozen=True)
class Clip:
    """One part: seconds of its video, to the end where `end` is None. `continues`: it was made from the last frame of
    the part before; None: not known."""

    start: float = 0.0
    end: float | None = None
    continues: bool | None = None
    title: str = ""


@dataclass(frozen=True)
class JoinPlan:
    """How a film is joined: its parts in the order of the inputs `video1`, `video2`, …; `is_preview`: one of them is a
    preview."""

    settings: JoinSettings
    clips: tuple[Clip, ...]
    is_preview: bool = False


_NUMBER = re.compile(r"video([1-9][0-9]?)\b")


def name_video(sentence: str, videos: Sequence[str]) -> str:
    """A sentence about `video2`, naming that one as its caller knows it."""
    found = _NUMBER.match(sentence)
    if found is None or int(found[1]) > len(videos):
        return sentence
    return f"videos: {videos[int(found[1]) - 1]}{sentence[found.end() :]}"


@dataclass(frozen=True)
class FilmSection:
    """Seconds of a video that are shown; `goes_on`: from the last frame of the one before."""

    start_s: float
    end_s: float
    goes_on: bool


@dataclass(frozen=True)
class PlacedSection:
    """Its first frame in its video and in the film, and how many are shown, all at the film's rate. In the middle of a
    crossfade the later one begins; `before` are the frames of the transition on both sides of its beginning."""

    first: int
    at: int
    frames: int
    before: tuple[int, int] = (0, 0)


def place_sections(sections: Sequence[FilmSection], settings: JoinSettings, fps: int) -> list[PlacedSection]:
    """All of them in order: without a frame that would be seen twice, and without what two share in a crossfade."""
    placed: list[PlacedSection] = []
    for section in sections:
        goes_on = section.goes_on and bool(placed)
        first, frames = round(section.start_s * fps) + goes_on, round((section.end_s - section.start_s) * fps) - goes_on
        early, late = (0, 0) if goes_on or not placed else _sides(settings, fps)
        if settings.transition == "crossfade" and placed:
            placed[-1] = replace(placed[-1], frames=placed[-1].frames - late)
            first, frames = first + early, frames - early
        at = placed[-1].at + placed[-1].frames if placed else 0
        placed.append(PlacedSection(first, at, frames, (early, late)))
    return placed


def _sides(settings: JoinSettings, fps: int) -> tuple[int, int]:
    """Frames of a transition before and after the cut."""
    seconds = float(settings.transition_s)
    if settings.transition == "crossfade":
        shared = round(seconds * fps)
        return shared // 2, shared - shared // 2
    dark = round(seconds / 2 * fps)
    return dark, dark
