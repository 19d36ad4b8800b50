"""The frames of a film, one after the other: each clip's own, with what is done at the seams and written over them."""

from collections.abc import Iterator
from itertools import islice, pairwise

import av

from ltx_mcp.media.join.colour_match import RELEASE_S, match_colours
from ltx_mcp.media.join.fitted import FrameSize, fitted_frames
from ltx_mcp.media.join.planes import blended, dimmed
from ltx_mcp.media.join.timeline import FilmPart
from ltx_mcp.media.messages import JoinOrder, JoinSeam


class FilmPictures:
    """All frames of the film; `seams` says what was done, once they are read."""

    def __init__(self, order: JoinOrder, parts: list[FilmPart]) -> None:
        self._order, self._parts = order, parts
        self._size = FrameSize(order.width, order.height)
        self._dark = round(order.transition_s / 2 * parts[0].rate) if order.transition == "fade" else 0
        self.seams: list[JoinSeam] = []

    def frames(self) -> Iterator[av.VideoFrame]:
        """The frames in order, not yet numbered."""
        rest: Iterator[av.VideoFrame] = iter(())
        shown: av.VideoFrame | None = None
        for part, following in pairwise([*self._parts, None]):
            assert part is not None
            own = self._own_frames(part, shown)
            for number, frame in enumerate(islice(own, part.overlap), 1):
                yield blended(next(rest), frame, number / (part.overlap + 1))
            kept = part.frames - part.overlap - (following.overlap if following else 0)
            for shown in islice(own, kept):
                yield shown
            rest = own

    def _own_frames(self, part: FilmPart, before: av.VideoFrame | None) -> Iterator[av.VideoFrame]:
        """The frames of a part as they are without its neighbours; `before` is the last frame seen."""
        frames = fitted_frames(part, self._size)
        doubled = next(frames) if part.skipped else None
        match = match_colours(before, doubled) if doubled is not None and before is not None else None
        match = match if match is not None and match.is_seen else None
        if before is not None:
            self.seams.append(self._seam(part, match is not None))
        released = min(round(RELEASE_S * part.rate), part.frames)
        for number, frame in enumerate(frames):
            if match is not None and number < released:
                frame = match.applied(frame, 1 - number / released)
            yield self._faded(part, number, frame)

    def _seam(self, part: FilmPart, is_matched: bool) -> JoinSeam:
        kind = "continued" if part.continues else self._order.transition
        return JoinSeam(kind, round(float(part.begins / part.rate), 3), part.skipped, is_matched)

    def _faded(self, part: FilmPart, number: int, frame: av.VideoFrame) -> av.VideoFrame:
        """Darker beside a seam at which the film goes dark."""
        place = self._parts.index(part)
        following = self._parts[place + 1] if place + 1 < len(self._parts) else None
        dark = min(self._dark, part.frames // 2)
        light = 1.0
        if dark and place and not part.continues:
            light = min(light, (number + 0.5) / dark)
        if dark and following is not None and not following.continues:
            light = min(light, (part.frames - number - 0.5) / dark)
        return frame if light >= 1 else dimmed(frame, light)
