"""Joins clips to a film: an MP4 with H.264 and AAC, every frame and every sample in its place.

Runs in the child process, blocking. Pictures are encoded as they come; the sound is made meanwhile.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from fractions import Fraction
from itertools import chain
from pathlib import Path

import av
from av.container import OutputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from ltx_mcp.domain.captions import parse
from ltx_mcp.media.join.pictures import FilmPictures
from ltx_mcp.media.join.soundtrack import make_soundtrack
from ltx_mcp.media.join.texts import FilmTexts, make_texts, without_overlaps
from ltx_mcp.media.join.timeline import read_parts
from ltx_mcp.media.join.writer import FilmWriter
from ltx_mcp.media.messages import JoinNotes, JoinOrder, ReportProgress
from ltx_mcp.media.remux import open_film_out

_CRF = 17
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
    cues = without_overlaps(parse(order.captions)) if order.captions else []
    parts = read_parts(order)
    rate, frames = parts[0].rate, parts[-1].ends
    pictures = FilmPictures(order, parts)
    texts = FilmTexts(make_texts(parts, cues if order.burn_captions else []), order.width, order.height)
    progress = _Progress(report)
    progress.clips_read()
    with open_film_out(out) as container, ThreadPoolExecutor(1) as pool:
        sound = pool.submit(make_soundtrack, order, parts, progress.sound_done)
        try:
            writer = FilmWriter(container, sound, cues, frames / rate)
            written = (texts.over(number, frame) for number, frame in enumerate(pictures.frames()))
            for packet in _encoded(_add_video(container, order, rate), written, rate):
                writer.write(packet)
                progress.pictures_done(min(1.0, writer.written / frames))
            while not sound.done():
                wait([sound], _STEP_S)
                progress.pictures_done(1.0)
            writer.finish()
        finally:
            progress.stop()
    report(1.0)
    duration = round(float(frames / rate), 3)
    return JoinNotes(frames, duration, tuple(pictures.seams), 0.0, sound.result().lufs, texts.missing_glyphs)


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
    # two B-frames without a search for where: a third faster than the preset alone, and smaller
    return {
        "preset": "superfast",
        "crf": str(_CRF),
        "g": str(max(1, round(2 * rate))),
        "threads": "4",
        "x264-params": "bframes=2:b-adapt=0:weightb=0",
    }


def _encoded(video: VideoStream, frames: Iterator[av.VideoFrame], rate: Fraction) -> "Iterator[Packet[VideoStream]]":
    for number, frame in enumerate(chain(frames, [None])):
        if frame is not None:
            frame.pts, frame.time_base, frame.duration, frame.pict_type = number, 1 / rate, 1, 0
        for packet in video.encode(frame):
            packet.duration = 1
            yield packet
