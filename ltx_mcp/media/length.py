"""How long a film or a sound is, by all that says so: what its heads say, and what its packets add up to.

A head may lie, and nobody knows by which figure a provider counts: the longest is what is priced and held against
limits. What an encoder puts around a sound and a container rounds makes no honest file longer: see the figures below.
"""

from collections import Counter as TicksCounter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition, Stream
from av.video.stream import VideoStream

from ltx_mcp.media.truncation import has_frame_count, is_fragmented, movie_seconds, read_wav, wav_seconds

TOLD_S = 0.25
"""A head that is further than this below what counts is told."""
_ROUNDED_S, _ROUNDED_AVI_S = 0.03, 0.08
_SHIFTED_FRAMES = 2  # so much later than its sound a picture may begin that is stored in another order
_MAX_STEP_S = 0.2  # a stream of few long packets does not loosen the measure
_PADDING_PACKETS = 2  # what encoders of AAC and MP3 put around a sound, besides the packet that any sound may be off by
_LATE_S = 0.5  # a picture may wait for its reordered frames; what begins later is counted from 0
_MAX_S = 1e6  # what says more is nonsense, and priced by no number that a database holds
_ROUNDED_RATE = 0.001
_NEARLY_ALL, _STEADY = 0.9, 0.07  # whole milliseconds are up to so far off
_MOV = ("mp4", "mov", "m4a")
_KINDS = {"video": "picture", "audio": "sound"}
OPTIONS = {
    "format_whitelist": "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,wav,mp3,aac,ogg,flac",
    "protocol_whitelist": "file",
}
"""Only files are opened, and only as these: a playlist that names other files is none of them."""


@dataclass
class Tally:
    """What the packets of one stream, whose clock counts in `tick` seconds, add up to; `heard_s` are the seconds that
    were decoded of a sound."""

    tick: float
    count: int = 0
    start: float | None = None
    last: float = 0.0
    end: float = 0.0
    total: float = 0.0
    heard_s: float = 0.0
    hidden: float = 0.0
    """Seconds before its first moment that are in the file, and not to be shown or heard."""
    before: float = 0.0
    """Seconds of what came before the clock last went back to its beginning."""
    steps: TicksCounter[int] = field(default_factory=TicksCounter)
    """How often each step between one packet and the next was taken, in ticks of its clock."""
    _stored_at: int | None = None

    def add(self, packet: "Packet[Stream]") -> None:
        """Count one packet, unless it is not to be shown or heard."""
        shown = packet.pts if packet.pts is not None else packet.dts
        if packet.is_discard and shown is not None:
            self.hidden = max(self.hidden, -shown * self.tick)
        if not packet.size or packet.is_discard:
            return
        tick, span = self.tick, packet.duration or 0
        self.count += 1
        self.total += span * tick
        if packet.dts is not None:
            self._keep_clock(packet.dts)
        if shown is not None:
            start = shown * tick
            self.start = start if self.start is None else min(self.start, start)
            self.last = max(self.last, start)
            self.end = max(self.end, (shown + span) * tick)

    def _keep_clock(self, stored_at: int) -> None:
        """Files that were put one after the other each begin again: what was counted until then stays counted."""
        if self._stored_at is not None:
            self.steps[stored_at - self._stored_at] += 1
            if (stored_at - self._stored_at) * self.tick < -_LATE_S:
                self.before, self.start, self.last, self.end = self.span, None, 0.0, 0.0
        self._stored_at = stored_at

    @property
    def span(self) -> float:
        """From its first moment to its end."""
        return self.before + max(0.0, self.end - (self.start or 0.0))

    @property
    def seconds(self) -> float:
        """The longest that it can be counted as."""
        is_late = not self.before and (self.start or 0.0) > _LATE_S
        return max(self.end if is_late else self.span, self.total, self.heard_s)

    @property
    def rate(self) -> float:
        """How many packets a second there are: by the step that nearly all of them take, else on average."""
        usual = max(self.steps, key=self.steps.__getitem__, default=0)
        steady = {step: count for step, count in self.steps.items() if abs(step - usual) <= usual * _STEADY}
        count, ticks = sum(steady.values()), sum(step * count for step, count in steady.items())
        if ticks and count >= _NEARLY_ALL * sum(self.steps.values()):
            return count / (ticks * self.tick)
        return self.count / self.span if self.span else 0.0

    @property
    def step(self) -> float:
        """How long one of its packets is."""
        return min(_MAX_STEP_S, self.span / self.count) if self.count else 0.0


@dataclass(frozen=True)
class Length:
    """How long a medium is taken to be; `doubt` is what says that it is much shorter, in words."""

    seconds: float
    doubt: str = ""


@dataclass(frozen=True)
class _Claim:
    """One figure, the words that say whose it is, and how far an honest file may be above its plain length by it."""

    seconds: float
    words: str
    slack: float


class Counter:
    """The tallies of all streams that can be seen or heard, whether they are used or not."""

    def __init__(self, container: InputContainer) -> None:
        self.streams = tuple(_moving(container))
        self._tallies = {stream.index: Tally(float(stream.time_base or 0)) for stream in self.streams}

    def add(self, packet: "Packet[Stream]") -> None:
        """Count one packet of any stream."""
        self._tallies[packet.stream_index].add(packet)

    def __getitem__(self, stream: Stream) -> Tally:
        """What was counted of a stream."""
        return self._tallies[stream.index]


def _moving(container: InputContainer) -> Iterator[Stream]:
    for stream in (*container.streams.video, *container.streams.audio):
        if not stream.disposition & Disposition.attached_pic:
            yield stream


def said_seconds(stream: Stream) -> float:
    """How long a stream is by its own head; 0 where that does not say."""
    return float(stream.duration * stream.time_base) if stream.duration and stream.time_base else 0.0


def film_length(
    container: InputContainer, path: str | Path, name: str, counter: Counter, picture: VideoStream
) -> Length:
    """How long a film is, with all that is seen and heard of it."""
    seen, whole_s, said_s = counter[picture], _container_seconds(container, path, name), said_seconds(picture)
    main = [_Claim(max(seen.span, seen.total), "of picture", 0.0), _Claim(said_s or whole_s, "by its header", 0.0)]
    # a head by which the last frame is not shown at all is wrong
    is_right = is_told(path, name) and said_s > seen.last - (seen.start or 0.0)
    plain_s = said_s if is_right else seen.span or whole_s
    return _settled(plain_s, main, _claims(path, name, counter, counter.streams, whole_s))


def sound_length(
    container: InputContainer, path: str | Path, name: str, counter: Counter, sound: AudioStream, plain_s: float
) -> Length:
    """How long a sound is; `plain_s` is its length where nothing contradicts it. What a film has besides does not
    count: its sound is all that is used of it."""
    is_alone = all(stream.type == "audio" for stream in counter.streams)
    whole_s = _container_seconds(container, path, name) if is_alone else 0.0
    said_s = (said_seconds(sound) if is_told(path, name) else 0.0) or whole_s
    heard_s = max(counter[sound].heard_s, counter[sound].seconds)
    main = [_Claim(heard_s, "of sound", 0.0), _Claim(said_s, "by its header", 0.0)]
    return _settled(plain_s, main, _claims(path, name, counter, (sound,), whole_s))


def average_rate(picture: VideoStream, seen: Tally) -> float:
    """The frames a second as they were counted; the file's own figure where that is the same but for a rounding."""
    said = float(picture.average_rate or 0)
    return round(said if abs(said - seen.rate) <= seen.rate * _ROUNDED_RATE else seen.rate, 3)


def _claims(
    path: str | Path, name: str, counter: Counter, streams: Sequence[Stream], whole_s: float
) -> Iterator[_Claim]:
    """All figures there are for these streams."""
    steps = {kind: max((counter[each].step for each in streams if each.type == kind), default=0.0) for kind in _KINDS}
    slack = (_ROUNDED_AVI_S if name == "avi" else _ROUNDED_S) + _SHIFTED_FRAMES * steps["video"] + steps["audio"]
    unedited = _unedited_seconds(path) if name in _MOV else {}
    yield _Claim(whole_s, "by its container", slack)
    if name == "wav":
        yield _Claim(wav_seconds(path), "by its size", slack)
    for stream in streams:
        tally, is_sound = counter[stream], stream.type == "audio"
        padded = slack + (_PADDING_PACKETS * tally.step if is_sound else 0.0)
        said_s = said_seconds(stream) if is_told(path, name) else 0.0
        yield _Claim(said_s, "by its header", slack)
        counted = (
            _Claim(tally.heard_s, "of sound", slack),
            _Claim(tally.seconds, f"of {_KINDS[stream.type]}", padded),
            _Claim(unedited.get(stream.index, 0.0) - tally.hidden, "without its edit list", padded),
        )
        # what an encoder put around a sound makes it no longer than its own head says, however long the picture is
        yield from (claim for claim in counted if claim.seconds > said_s + claim.slack)


def _settled(plain_s: float, main: Sequence[_Claim], claims: Iterable[_Claim]) -> Length:
    """The longest figure that is more than a rounding above the plain length; else that."""
    seconds = max([plain_s, *(claim.seconds for claim in claims if claim.seconds > plain_s + claim.slack)])
    seconds = min(seconds, _MAX_S)
    least = min((each for each in main if each.seconds), key=lambda each: round(each.seconds, 2), default=None)
    is_doubtful = least is not None and least.seconds < seconds - TOLD_S
    doubt = f"{round(least.seconds, 2):g} s {least.words}" if least and is_doubtful else ""
    return Length(round(seconds, 3), doubt)


def is_told(path: str | Path, name: str) -> bool:
    """Whether the length of a stream stands in the file; else it is made up from its size, or its fragments."""
    if name in _MOV:
        return not is_fragmented(path)
    if name == "wav":
        return not read_wav(path).is_streamed
    return name != "aac" and (name != "mp3" or has_frame_count(path))


def _container_seconds(container: InputContainer, path: str | Path, name: str) -> float:
    said_s = (container.duration or 0) / av.time_base if is_told(path, name) else 0.0
    whole_s = max(said_s, movie_seconds(path)) if name in _MOV else said_s
    silent = (said_seconds(stream) for stream in container.streams if stream.type not in _KINDS)
    # chapters, subtitles and measurements may go on longer than there is anything to see or hear
    return 0.0 if whole_s <= max(silent, default=0.0) + _ROUNDED_S else whole_s


def _unedited_seconds(path: str | Path) -> dict[int, float]:
    """By stream, what an MP4 holds shown by its edit list or not: by its head, and by the list of its packets."""
    with av.open(f"file:{path}", options=OPTIONS | {"ignore_editlist": "1"}) as container:
        return {stream.index: max(said_seconds(stream), _listed_seconds(stream)) for stream in _moving(container)}


def _listed_seconds(stream: Stream) -> float:
    entries, count = stream.index_entries, len(stream.index_entries)
    if count < 2 or not stream.time_base:
        return 0.0
    ticks = entries[count - 1].timestamp - entries[0].timestamp
    return float(ticks * stream.time_base) * count / (count - 1)
