"""Reads frames of a video exactly: the one that is shown at a moment, however far apart its key frames lie.

Only files are opened, only as video containers: a playlist that names other files is not a video here.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import chain, islice
from pathlib import Path

import av
from av.container import InputContainer
from av.video.stream import VideoStream
from PIL import Image

from ltx_mcp.domain.errors import ErrorCode, LtxError
from ltx_mcp.media.decode.shown import KIND_FRAMES, Shown, shown_as
from ltx_mcp.media.decode.tone import Tone

_OPTIONS = {"format_whitelist": "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm", "protocol_whitelist": "file"}
_FAR_S = 1e6  # beyond any end, whatever the head says of it
_HALF_MS = 0.0005  # moments are reported in milliseconds, and must lead back to their frame


@contextmanager
def open_video(path: str | Path) -> Iterator["FrameReader"]:
    """The video in a file. LtxError (bad_reply) when it is not a video or cannot be decoded."""
    try:
        with _opened(path) as container:
            stream = container.streams.best("video")
            if not isinstance(stream, VideoStream):
                raise not_a_video("there is no picture in it")
            yield FrameReader(container, stream)
    except av.FFmpegError as error:
        raise not_a_video("it is damaged, cut short or of another kind") from error


def _opened(path: str | Path) -> InputContainer:
    try:
        return av.open(f"file:{path}", options=_OPTIONS)
    except (FileNotFoundError, PermissionError) as error:
        raise LtxError(ErrorCode.STORAGE_FAILED, f"The film cannot be read: {error.strerror}.") from error


def use_threads(stream: VideoStream) -> None:
    """Decodes in four threads: each holds frames of its own, and more of them save little."""
    stream.thread_type, stream.thread_count = "AUTO", 4


class FrameReader:
    """One open video, read forward; it jumps only where a key frame saves decoding."""

    def __init__(self, container: InputContainer, stream: VideoStream) -> None:
        self.container, self.stream = container, stream
        use_threads(stream)
        self._frames: Iterator[av.VideoFrame] = container.decode(stream)
        self._shown: av.VideoFrame | None = None
        begun = list(islice(iter(self._take, None), KIND_FRAMES))
        if not begun:
            raise not_a_video("not one frame of it can be decoded")
        self.first, self.shown = begun[0], shown_as(begun, stream)
        self._frames = chain(begun, self._frames)
        self._next = self._take()
        self._start = self.first.pts or 0

    def image(self, frame: av.VideoFrame, edge: int | None = None) -> Image.Image:
        """One of its frames as an image, as players show it, its long side at most `edge` pixels."""
        return _upright(frame, edge, self.shown)

    def seconds(self, frame: av.VideoFrame) -> float:
        """When the frame is first shown, from the video's start, to the millisecond."""
        return round(float(((frame.pts or 0) - self._start) * self._tick), 3)

    def at(self, seconds: float) -> av.VideoFrame:
        """The frame on the screen at a moment; the last one after the end. Moments may come in any order."""
        target = self._start + int((seconds + _HALF_MS) / self._tick)
        self._jump(target)
        while self._next is not None and _pts(self._next) <= target:
            self._advance()
        shown = self._shown or self._next
        if shown is None:
            raise not_a_video("a frame of it cannot be decoded")
        return shown

    def last(self) -> av.VideoFrame:
        """The last frame that can be decoded."""
        with suppress(av.FFmpegError):
            self._seek(self._start + int(_FAR_S / self._tick))
        if self._next is None:
            # The file breaks off before its last key frame.
            self._seek(self._start)
        while self._next is not None:
            self._advance()
        if self._shown is None:
            raise not_a_video("a frame of it cannot be decoded")
        return self._shown

    @property
    def _tick(self) -> float:
        return float(self.stream.time_base or 0) or 1 / 90_000

    def length(self) -> float:
        """Seconds of video, by the stream or, where it does not say, by the file; up to its last frame in any case."""
        ticks = self.stream.duration
        stated = ticks * self._tick if ticks else (self.container.duration or 0) / av.time_base
        return max(stated, self.seconds(self.last()))

    def _jump(self, target: int) -> None:
        """Goes to a key frame at or before the target, unless decoding on from here is shorter."""
        here, key = self._shown or self._next, self._key_before(target)
        if here is not None and _pts(here) <= target and (key is None or key <= _pts(here)):
            return
        self._seek(target)
        if self._next is None or _pts(self._next) > target:
            # The index pointed past the target, or past where the file breaks off: this is slower, but exact.
            self._seek(self._start)

    def _seek(self, pts: int) -> None:
        self.container.seek(pts, stream=self.stream, backward=True)
        self._frames = self.container.decode(self.stream)
        self._shown, self._next = None, self._take()

    def _key_before(self, target: int) -> int | None:
        entries = self.stream.index_entries
        place = entries.search_timestamp(target, backward=True)
        return entries[place].timestamp if place >= 0 else None

    def _advance(self) -> None:
        self._shown, self._next = self._next, self._take()

    def _take(self) -> av.VideoFrame | None:
        while True:
            try:
                frame = next(self._frames)
            except (StopIteration, av.error.InvalidDataError):
                # A broken tail ends the video at its last complete frame.
                return None
            if frame.pts is not None:
                return frame


def _upright(frame: av.VideoFrame, edge: int | None, shown: Shown) -> Image.Image:
    frame = Tone(frame)(frame) if shown.tone else frame
    wide = float(frame.width * shown.stretch)
    scale = min(1.0, edge / max(wide, frame.height)) if edge else 1.0
    size = {"width": max(1, round(wide * scale)), "height": max(1, round(frame.height * scale))}
    how = "AREA" if scale < 1 else "BICUBIC"
    image: Image.Image = frame.to_image(**size, interpolation=how)  # type: ignore[no-untyped-call]
    return shown.rotation.image(image)


def _pts(frame: av.VideoFrame) -> int:
    return frame.pts or 0


def not_a_video(why: str) -> LtxError:
    return LtxError(ErrorCode.BAD_REPLY, f"The file is not a playable film: {why}.", "MP4, MOV, WebM and MKV are read.")
