"""Which frames of the clips are copied into the film as they are stored, and need no encoder.

Only complete groups of pictures are copied, or their beginnings: from a frame that refers to nothing before it, up to
where nothing that was stored is shown later. The frames of all clips that are copied have the same parameter sets.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from av.packet import Packet

from ltx_mcp.media.decode.source_video import SourceVideo
from ltx_mcp.media.join.fitted import FrameSize
from ltx_mcp.media.join.parameter_sets import IDR, ParameterSets, from_record, has_sets, unit_kinds
from ltx_mcp.media.join.timeline import FilmPart
from ltx_mcp.media.probe import open_media, require_video

_MIN_FRAMES = 12  # fewer are not worth two changes of encoder
_UNKNOWN = 2

Interval = tuple[int, int]


@dataclass(frozen=True)
class CopiedRun:
    """Frames of the film from `begins` on that are copied: those stored from place `first` to before `last`."""

    begins: int
    source: SourceVideo
    first: int
    last: int

    @property
    def count(self) -> int:
        """How many frames it has."""
        return self.last - self.first

    def packets(self) -> "Iterator[Packet[Any]]":
        """The stored frames, in the order of the file, each with its number in the film as its time."""
        lowest = self.source.stored[self.first]
        with open_media(self.source.path, "video") as container:
            for place, packet in enumerate(_stored(container, self.source)):
                if place >= self.last:
                    return
                if place >= self.first:
                    packet.pts = self.begins + self.source.stored[place] - lowest
                    yield packet


@dataclass(frozen=True)
class _CodedVideo:
    """How a clip is stored: its parameter sets and where its groups begin."""

    sets: ParameterSets
    starts: tuple[int, ...]


class Copier:
    """Finds what can be copied into a film of this size; `sets` are those of all that it finds, None for nothing."""

    def __init__(self, parts: Sequence[FilmPart], size: FrameSize) -> None:
        self._coded: dict[SourceVideo, _CodedVideo] = {}
        frames: dict[ParameterSets, int] = {}
        for part in parts:
            if part.source not in self._coded and _is_like_film(part, size):
                coded = _read_coded(part.source)
                if coded is not None:
                    self._coded[part.source] = coded
            if part.source in self._coded:
                sets = self._coded[part.source].sets
                frames[sets] = frames.get(sets, 0) + part.frames
        self.sets = max(frames, key=lambda sets: frames[sets]) if frames else None

    @property
    def delay(self) -> int:
        """By how many frames the storing of what is copied may be ahead of what is shown."""
        sources = (source for source, coded in self._coded.items() if coded.sets == self.sets)
        return max((_delay(source) for source in sources), default=0)

    def runs(self, part: FilmPart, intervals: Sequence[Interval]) -> list[CopiedRun]:
        """What can be copied of frames of the part that are shown as they are."""
        coded = self._coded.get(part.source)
        if coded is None or coded.sets != self.sets:
            return []
        ahead = part.shown(0)
        found = [_run(part, coded, first + ahead, last + ahead) for first, last in intervals if first < last]
        return [run for run in found if run is not None and run.count >= _MIN_FRAMES]


def _run(part: FilmPart, coded: _CodedVideo, first: int, last: int) -> CopiedRun | None:
    """What can be copied between two frames of the source."""
    stored = part.source.stored
    begin = next((place for place in coded.starts if stored[place] >= first), None)
    if begin is None:
        return None
    lowest, highest, end = stored[begin], -1, begin
    for place in range(begin, len(stored)):
        if stored[place] < lowest:
            break
        highest = max(highest, stored[place])
        if highest >= last:
            # frames shown before it may still follow, but none of them is needed by those that are whole already
            break
        if highest == lowest + place - begin:
            end = place + 1
    if end == begin:
        return None
    return CopiedRun(part.begins + lowest - part.shown(0), part.source, begin, end)


def _is_like_film(part: FilmPart, size: FrameSize) -> bool:
    source = part.source
    shown = source.shown
    is_plain = not (shown.tone or shown.is_interlaced or shown.rotation.words or shown.is_fine) and shown.stretch == 1
    return (
        is_plain
        and (source.codec, source.pixels, source.container, source.matrix) == ("h264", "yuv420p", "mov", "bt709")
        and all(colour in (1, _UNKNOWN) for colour in source.colours)
        and FrameSize(shown.width, shown.height) == size
        and source.rate == part.rate
        and source.tick * part.rate == 1
        and source.moments == tuple(range(len(source.moments)))
        and len(source.stored) == len(source.moments)
    )


def _read_coded(source: SourceVideo) -> _CodedVideo | None:
    """Reads how a clip is stored; None where its frames cannot stand beside ours."""
    with open_media(source.path, "video") as container:
        sets = from_record(require_video(container).codec_context.extradata or b"")
        if sets is None:
            return None
        starts = []
        for place, packet in enumerate(_stored(container, source)):
            kinds = unit_kinds(bytes(packet)) if packet.is_keyframe else set()
            if has_sets(kinds):
                # they might be others than those of the head
                return None
            if IDR in kinds:
                starts.append(place)
    return _CodedVideo(sets, tuple(starts))


def _stored(container: Any, source: SourceVideo) -> "Iterator[Packet[Any]]":
    packets = (packet for packet in container.demux(require_video(container)) if packet.size)
    for _, packet in zip(source.stored, packets, strict=False):
        yield packet


def _delay(source: SourceVideo) -> int:
    return max(place - shown for place, shown in enumerate(source.stored))
