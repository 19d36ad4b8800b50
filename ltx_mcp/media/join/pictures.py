"""The frames of a film, one after the other: each clip's own, with what is done at the seams and written over them.

Where frames are shown as they are, those that can be copied are left out, and a run of copied ones stands for them.
"""

from collections.abc import Iterator
from itertools import pairwise

import av

from ltx_mcp.media.join.colour_match import RELEASE_S, ColourMatch, match_colours
from ltx_mcp.media.join.copying import CopiedRun, Copier, Interval
from ltx_mcp.media.join.encoder import NumberedFrame
from ltx_mcp.media.join.fitted import FrameSize, fitted_frames
from ltx_mcp.media.join.planes import blended, dimmed
from ltx_mcp.media.join.texts import FilmTexts
from ltx_mcp.media.join.timeline import FilmPart
from ltx_mcp.media.messages import JoinOrder, JoinSeam


class FilmPictures:
    """All frames of the film; `seams` says what was done, once they are read."""

    def __init__(self, order: JoinOrder, parts: list[FilmPart], copier: Copier, texts: FilmTexts) -> None:
        self._order, self._parts, self._copier, self._texts = order, parts, copier, texts
        self._size = FrameSize(order.width, order.height)
        self._dark = round(order.transition_s / 2 * parts[0].rate) if order.transition == "fade" else 0
        self.seams: list[JoinSeam] = []

    def items(self) -> "Iterator[NumberedFrame | CopiedRun]":
        """The frames in order, each with its number."""
        before: _PartPictures | None = None
        for part, following in pairwise([*self._parts, None]):
            assert part is not None
            own = _PartPictures(part, self._size, self._dark_at(part), self._dark_at(following))
            if before is not None:
                self._meet(before, own)
            for item in self._shared(before, own):
                yield item[0], self._texts.over(*item)
            yield from self._alone(own, part.frames - (following.overlap if following else 0))
            before = own

    def _meet(self, before: "_PartPictures", own: "_PartPictures") -> None:
        if own.part.skipped:
            own.match(before.frame(before.part.frames - 1))
        kind = "continued" if own.part.continues else self._order.transition
        at = round(float(own.part.begins / own.part.rate), 3)
        self.seams.append(JoinSeam(kind, at, own.part.skipped, own.is_matched))

    def _dark_at(self, part: FilmPart | None) -> int:
        """How many frames are darkened on either side of where a part begins."""
        return self._dark if part is not None and part is not self._parts[0] and not part.continues else 0

    def _shared(self, before: "_PartPictures | None", own: "_PartPictures") -> Iterator[NumberedFrame]:
        overlap = own.part.overlap
        for number in range(overlap):
            assert before is not None
            earlier = before.frame(before.part.frames - overlap + number)
            yield own.part.begins + number, blended(earlier, own.frame(number), (number + 1) / (overlap + 1))

    def _alone(self, own: "_PartPictures", until: int) -> "Iterator[NumberedFrame | CopiedRun]":
        begins, number = own.part.begins, own.part.overlap
        plain = own.plain(until)
        free = [(a - begins, b - begins) for a, b in self._texts.free_between(plain[0] + begins, plain[1] + begins)]
        runs = {run.begins - begins: run for run in self._copier.runs(own.part, free)}
        while number < until:
            if number in runs:
                yield runs[number]
                number += runs[number].count
            else:
                yield begins + number, self._texts.over(begins + number, own.frame(number))
                number += 1


class _PartPictures:
    """The frames of one part, as they are without its neighbours' frames; `dark` frames of either end are darkened."""

    def __init__(self, part: FilmPart, size: FrameSize, dark_first: int, dark_last: int) -> None:
        self.part, self._size = part, size
        self._dark = min(dark_first, part.frames // 2), min(dark_last, part.frames // 2)
        self._released = min(round(RELEASE_S * part.rate), part.frames)
        self._match: ColourMatch | None = None
        self._frames: Iterator[av.VideoFrame] = iter(())
        self._next: int | None = None
        self._last: NumberedFrame | None = None

    @property
    def is_matched(self) -> bool:
        """Whether its colours are brought to those of the part before."""
        return self._match is not None

    def match(self, before: av.VideoFrame) -> None:
        """Compares its skipped frame with the last one of the part before, which shows the same."""
        found = match_colours(before, self._raw(-self.part.skipped))
        self._match = found if found.is_seen else None

    def plain(self, until: int) -> Interval:
        """The frames before frame `until` that nothing is done with."""
        first = max(self.part.overlap, self._dark[0], self._released if self._match else 0)
        return first, max(first, min(until, self.part.frames - self._dark[1]))

    def frame(self, number: int) -> av.VideoFrame:
        """One frame; they are best asked for in order."""
        if self._last is not None and self._last[0] == number:
            return self._last[1]
        frame = self._raw(number)
        if self._match is not None and number < self._released:
            frame = self._match.applied(frame, 1 - number / self._released)
        light = self._light(number)
        frame = frame if light >= 1 else dimmed(frame, light)
        self._last = number, frame
        return frame

    def _raw(self, number: int) -> av.VideoFrame:
        if self._next != number:
            self._frames, self._next = fitted_frames(self.part, self._size, number), number
        self._next += 1
        return next(self._frames)

    def _light(self, number: int) -> float:
        first, last = self._dark
        light = min(1.0, (number + 0.5) / first) if first else 1.0
        return min(light, (self.part.frames - number - 0.5) / last) if last else light
