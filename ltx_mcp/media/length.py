"""How long a video or an audio file is: by its headers, and by what its packets add up to.

A header may be wrong, and nobody knows by which figure a provider counts: the longest is priced and compared with
limits. An encoder's padding and a container's rounding make no correct file longer: see the figures below.
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

MIN_DOUBT_S = 0.25
"""A header that is further than this below what counts is reported as doubtful."""
_ROUNDED_S, _ROUNDED_AVI_S = 0.03, 0.08
_SHIFTED_FRAMES = 2  # so much later than its audio may a video with reordered frames begin
_MAX_STEP_S = 0.2  # a stream of few long packets does not loosen the measure
_PADDING_PACKETS = 2  # of AAC and MP3 encoders, besides the packet by which any audio may differ
_LATE_S = 0.5  # reordered frames delay a video; what begins later is counted from 0
_MAX_S = 1e6  # more is nonsense, and its price would not fit into the database
_ROUNDED_RATE = 0.001
_NEARLY_ALL, _STEADY = 0.9, 0.07  # milliseconds are off by up to this
_MOV = ("mp4", "mov", "m4a")
_KINDS = {"video": "picture", "audio": "sound"}
OPTIONS = {
    "format_whitelist": "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,wav,mp3,aac,ogg,flac",
    "protocol_whitelist": "file",
}
"""Only files are opened, and only as these: a playlist that names other files is none of them."""


@dataclass
class Tally:
    """What the packets of one stream, whose clock counts in `tick` seconds, add up to; `decoded_s` are the seconds of
    audio that were decoded."""

    tick: float
    count: int = 0
    start: float | None = None
    last: float = 0.0
    end: float = 0.0
    total: float = 0.0
    decoded_s: float = 0.0
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
        return max(self.end if is_late else self.span, self.total, self.decoded_s)

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
    """The length that counts for a media file; `doubt` says in words which figure is much shorter."""

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
        self.streams = tuple(_playable_streams(container))
        self._tallies = {stream.index: Tally(float(stream.time_base or 0)) for stream in self.streams}

    def add(self, packet: "Packet[Stream]") -> None:
        """Count one packet of any stream."""
        self._tallies[packet.stream_index].add(packet)

    def __getitem__(self, stream: Stream) -> Tally:
        """What was counted of a stream."""
        return self._tallies[stream.index]


def _playable_streams(container: InputContainer) -> Iterator[Stream]:
    for stream in (*container.streams.video, *container.streams.audio):
        if not stream.disposition & Disposition.attached_pic:
            yield stream


def stated_seconds(stream: Stream) -> float:
    """How long a stream is by its own header; 0 where that does not say."""
    return float(stream.duration * stream.time_base) if stream.duration and stream.time_base else 0.0


def video_length(
    container: InputContainer, path: str | Path, name: str, counter: Counter, video: VideoStream
) -> Length:
    """How long a video is, with all that is seen and heard of it."""
    seen, container_s, stated_s = counter[video], _container_duration_s(container, path, name), stated_seconds(video)
    main = [
        _Claim(max(seen.span, seen.total), "of picture", 0.0),
        _Claim(stated_s or container_s, "by its header", 0.0),
    ]
    # a header by which the last frame is not shown at all is wrong
    is_right = has_stated_length(path, name) and stated_s > seen.last - (seen.start or 0.0)
    plain_s = stated_s if is_right else seen.span or container_s
    return _settled(plain_s, main, _claims(path, name, counter, counter.streams, container_s))


def audio_length(
    container: InputContainer, path: str | Path, name: str, counter: Counter, audio: AudioStream, plain_s: float
) -> Length:
    """How long an audio is; `plain_s` is its length where nothing contradicts it. Other streams do not count: only the
    audio of a video is used."""
    is_alone = all(stream.type == "audio" for stream in counter.streams)
    container_s = _container_duration_s(container, path, name) if is_alone else 0.0
    stated_s = (stated_seconds(audio) if has_stated_length(path, name) else 0.0) or container_s
    decoded_s = max(counter[audio].decoded_s, counter[audio].seconds)
    main = [_Claim(decoded_s, "of sound", 0.0), _Claim(stated_s, "by its header", 0.0)]
    return _settled(plain_s, main, _claims(path, name, counter, (audio,), container_s))


def average_rate(video: VideoStream, seen: Tally) -> float:
    """The frames a second as they were counted; the file's own figure where that is the same but for a rounding."""
    stated = float(video.average_rate or 0)
    return round(stated if abs(stated - seen.rate) <= seen.rate * _ROUNDED_RATE else seen.rate, 3)


def _claims(
    path: str | Path, name: str, counter: Counter, streams: Sequence[Stream], container_s: float
) -> Iterator[_Claim]:
    """All figures there are for these streams."""
    steps = {kind: max((counter[each].step for each in streams if each.type == kind), default=0.0) for kind in _KINDS}
    slack = (_ROUNDED_AVI_S if name == "avi" else _ROUNDED_S) + _SHIFTED_FRAMES * steps["video"] + steps["audio"]
    unedited = _unedited_seconds(path) if name in _MOV else {}
    yield _Claim(container_s, "by its container", slack)
    if name == "wav":
        yield _Claim(wav_seconds(path), "by its size", slack)
    for stream in streams:
        tally, is_audio = counter[stream], stream.type == "audio"
        padded = slack + (_PADDING_PACKETS * tally.step if is_audio else 0.0)
        stated_s = stated_seconds(stream) if has_stated_length(path, name) else 0.0
        yield _Claim(stated_s, "by its header", slack)
        counted = (
            _Claim(tally.decoded_s, "of sound", slack),
            _Claim(tally.seconds, f"of {_KINDS[stream.type]}", padded),
            _Claim(unedited.get(stream.index, 0.0) - tally.hidden, "without its edit list", padded),
        )
        # padding makes an audio no longer than its own header says, however long the video is
        yield from (claim for claim in counted if claim.seconds > stated_s + claim.slack)


def _settled(plain_s: float, main: Sequence[_Claim], claims: Iterable[_Claim]) -> Length:
    """The longest figure that is more than a rounding above the plain length; else that."""
    seconds = max([plain_s, *(claim.seconds for claim in claims if claim.seconds > plain_s + claim.slack)])
    seconds = min(seconds, _MAX_S)
    least = min((each for each in main if each.seconds), key=lambda each: round(each.seconds, 2), default=None)
    is_doubtful = least is not None and least.seconds < seconds - MIN_DOUBT_S
    doubt = f"{round(least.seconds, 2):g} s {least.words}" if least and is_doubtful else ""
    return Length(round(seconds, 3), doubt)


def has_stated_length(path: str | Path, name: str) -> bool:
    """Whether the file states the length of a stream; else it is derived from its size, or from its fragments."""
    if name in _MOV:
        return not is_fragmented(path)
    if name == "wav":
        return not read_wav(path).is_streamed
    return name != "aac" and (name != "mp3" or has_frame_count(path))


def _container_duration_s(container: InputContainer, path: str | Path, name: str) -> float:
    stated_s = (container.duration or 0) / av.time_base if has_stated_length(path, name) else 0.0
    container_s = max(stated_s, movie_seconds(path)) if name in _MOV else stated_s
    silent = (stated_seconds(stream) for stream in container.streams if stream.type not in _KINDS)
    # chapters, subtitles and telemetry may be longer than video and audio
    return 0.0 if container_s <= max(silent, default=0.0) + _ROUNDED_S else container_s


def _unedited_seconds(path: str | Path) -> dict[int, float]:
    """By stream, what an MP4 holds shown by its edit list or not: by its head, and by the list of its packets."""
    with av.open(f"file:{path}", options=OPTIONS | {"ignore_editlist": "1"}) as container:
        return {
            stream.index: max(stated_seconds(stream), _listed_seconds(stream))
            for stream in _playable_streams(container)
        }


def _listed_seconds(stream: Stream) -> float:
    entries, count = stream.index_entries, len(stream.index_entries)
    if count < 2 or not stream.time_base:
        return 0.0
    ticks = entries[count - 1].timestamp - entries[0].timestamp
    return float(ticks * stream.time_base) * count / (count - 1)
