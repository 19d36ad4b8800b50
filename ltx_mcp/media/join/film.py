"""Joins clips to a film: an MP4 with H.264 and AAC, every frame and every sample in its place.

Runs in the child process, blocking. Pictures are encoded as they come; the sound is made meanwhile.
"""

from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

from ltx_mcp.domain.captions import parse
from ltx_mcp.media.join.copying import Copier
from ltx_mcp.media.join.encoder import FilmEncoder
from ltx_mcp.media.join.fitted import FrameSize
from ltx_mcp.media.join.pictures import FilmPictures
from ltx_mcp.media.join.soundtrack import make_soundtrack
from ltx_mcp.media.join.texts import FilmTexts, make_texts, without_overlaps
from ltx_mcp.media.join.timeline import read_parts
from ltx_mcp.media.join.writer import FilmWriter
from ltx_mcp.media.messages import JoinNotes, JoinOrder, ReportProgress
from ltx_mcp.media.remux import open_film_out

_READ = 0.03
"""The part of the work after which all clips are read once."""
_SOUND = 0.2
"""The part of the rest that the sound is."""
_REPORTED, _STEP_S = 0.002, 0.25


def join(order: JoinOrder, out: Path, report: ReportProgress) -> JoinNotes:
    """Writes the film to `out`; `report` is called with the part done, from 0 to 1.

    CallerError: invalid_request for a section outside its video or captions that cannot be read, input_failed for a
    video that cannot be read.
    """
    cues = without_overlaps(parse(order.captions)) if order.captions else []
    parts, size = read_parts(order), FrameSize(order.width, order.height)
    rate, frames = parts[0].rate, parts[-1].ends
    texts = FilmTexts(make_texts(parts, cues if order.burn_captions else []), order.width, order.height)
    copier = Copier(parts, size)
    pictures = FilmPictures(order, parts, copier, texts)
    progress = _Progress(report)
    progress.clips_read()
    with open_film_out(out) as container, ThreadPoolExecutor(1) as pool:
        sound = pool.submit(make_soundtrack, order, parts, progress.sound_done)
        try:
            encoder = FilmEncoder(container, size, rate, copier.sets, copier.delay)
            writer = FilmWriter(container, sound, cues, frames / rate)
            for packet in encoder.packets(pictures.items()):
                writer.write(packet)
                progress.pictures_done(min(1.0, writer.written / frames))
            while not sound.done():
                wait([sound], _STEP_S)
                progress.pictures_done(1.0)
            writer.finish()
        finally:
            progress.stop()
    report(1.0)
    return JoinNotes(
        frames,
        round(float(frames / rate), 3),
        tuple(pictures.seams),
        round(float(encoder.copied_frames / rate), 3),
        sound.result().lufs,
        texts.missing_glyphs,
    )


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
