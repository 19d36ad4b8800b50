"""Joins clips to a film: an MP4 with H.264 and AAC, every frame and every sample in its place.

Runs in the child process, blocking. Pictures are encoded as they come; the sound is made meanwhile.
"""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from fractions import Fraction
from itertools import chain
from pathlib import Path

import av
from av.container import OutputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from ltx_mcp.media.join.audio_chain import LAYOUT, RATE
from ltx_mcp.media.join.pictures import FilmPictures
from ltx_mcp.media.join.soundtrack import BIT_RATE, Soundtrack, make_soundtrack
from ltx_mcp.media.join.timeline import read_parts
from ltx_mcp.media.messages import JoinNotes, JoinOrder, ReportProgress
from ltx_mcp.media.remux import open_film_out

_CRF = 18
_READ = 0.03
"""The part of the work after which all clips are read once."""
_SOUND = 0.2
"""The part of the rest that the sound is."""
_REPORTED, _STEP_S = 0.002, 0.25
_BT709 = 1


def join(order: JoinOrder, out: Path, report: ReportProgress) -> JoinNotes:
    """Writes the film to `out`; `report` is called with the part done, from 0 to 1.

    CallerError: invalid_request for a section outside its video or captions that cannot be read, input_failed for a
    video that cannot be read.
    """
    parts = read_parts(order)
    rate, frames = parts[0].rate, parts[-1].ends
    pictures = FilmPictures(order, parts)
    progress = _Progress(report)
    progress.clips_read()
    with open_film_out(out) as container, ThreadPoolExecutor(1) as pool:
        sound = pool.submit(make_soundtrack, order, parts, progress.sound_done)
        try:
            writer = _Writer(container, sound)
            for packet in _encoded(_add_video(container, order, rate), pictures.frames(), rate):
                writer.write(packet)
                progress.pictures_done(min(1.0, writer.written / frames))
            while not sound.done():
                wait([sound], _STEP_S)
                progress.pictures_done(1.0)
            writer.finish()
        finally:
            progress.stop()
    report(1.0)
    return JoinNotes(frames, round(float(frames / rate), 3), tuple(pictures.seams), 0.0, sound.result().lufs)


class _Progress:
    """What is done of pictures and sound together; reported by the thread of the pictures alone."""

    def __init__(self, report: ReportProgress) -> None:
        self._report = report
        self._sound, self._reported = 0.0, 0.0
        self._stopped = False

    def clips_read(self) -> None:
        """All clips were read once."""
        self._report(_READ)

    def pictures_done(self, part: float) -> None:
        """This part of the pictures is written."""
        done = _READ + (1 - _READ) * ((1 - _SOUND) * part + _SOUND * self._sound)
        if done >= self._reported + _REPORTED:
            self._reported = done
            self._report(done)

    def sound_done(self, part: float) -> None:
        """This part of the sound is made. Ends the thread that makes it where nobody wants it any more."""
        if self._stopped:
            raise _StoppedError
        self._sound = part

    def stop(self) -> None:
        """Nothing more is wanted."""
        self._stopped = True


class _StoppedError(Exception):
    """The pictures failed, so the sound is not needed."""


def _add_video(container: OutputContainer, order: JoinOrder, rate: Fraction) -> VideoStream:
    stream = container.add_stream("libx264", rate=rate, options=_options(rate))
    stream.width, stream.height, stream.pix_fmt = order.width, order.height, "yuv420p"
    context = stream.codec_context
    context.time_base, context.framerate = 1 / rate, rate
    context.color_primaries = context.color_trc = context.colorspace = _BT709
    context.color_range = 1
    return stream


def _options(rate: Fraction) -> dict[str, str]:
    return {"preset": "veryfast", "crf": str(_CRF), "g": str(max(1, round(2 * rate))), "threads": "4"}


def _encoded(video: VideoStream, frames: Iterator[av.VideoFrame], rate: Fraction) -> "Iterator[Packet[VideoStream]]":
    for number, frame in enumerate(chain(frames, [None])):
        if frame is not None:
            frame.pts, frame.time_base, frame.duration, frame.pict_type = number, 1 / rate, 1, 0
        for packet in video.encode(frame):
            packet.duration = 1
            yield packet


class _Writer:
    """Writes packets of pictures with the sound that goes with them; they wait until that is made."""

    def __init__(self, container: OutputContainer, sound: "Future[Soundtrack]") -> None:
        self._container, self._sound = container, sound
        self._waiting: list[Packet[VideoStream]] = []
        self._audio: Iterator[Packet[av.AudioStream]] | None = None
        self._next: Packet[av.AudioStream] | None = None
        self._stream: av.AudioStream | None = None
        self.written = 0

    def write(self, packet: "Packet[VideoStream]") -> None:
        self.written += 1
        self._waiting.append(packet)
        if self._sound.done():
            self._write_waiting()

    def finish(self) -> None:
        self._sound.result()
        self._write_waiting()
        while self._next is not None:
            self._write_sound()

    def _write_waiting(self) -> None:
        if self._audio is None:
            self._begin_sound()
        for packet in self._waiting:
            assert packet.dts is not None
            due = packet.dts * packet.time_base
            while self._next is not None and (self._next.pts or 0) * self._next.time_base < due:
                self._write_sound()
            self._container.mux(packet)
        self._waiting.clear()

    def _begin_sound(self) -> None:
        packets = self._sound.result().packets
        self._audio = iter(packets)
        self._next = next(self._audio, None)
        if packets:
            self._stream = self._container.add_stream("aac", rate=RATE, layout=LAYOUT)
            self._stream.bit_rate = BIT_RATE

    def _write_sound(self) -> None:
        assert self._next is not None
        assert self._audio is not None
        assert self._stream is not None
        self._next.stream = self._stream
        self._container.mux(self._next)
        self._next = next(self._audio, None)
