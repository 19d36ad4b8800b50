"""Draws the `local` provider's preview: a real, playable MP4 that says plainly that it is not LTX's work.

Runs in the child process, blocking. Pictures are drawn small and enlarged (press.py); what there is to hear is a soft
pad, or the caller's own sound, to which the picture then moves.
"""

import hashlib
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import astuple
from fractions import Fraction
from pathlib import Path

import av
from av.container import OutputContainer

from ltx_mcp.media.decode.audio_reader import AudioReader, first_heard, measure_loudness, open_sound
from ltx_mcp.media.messages import RenderNotes, RenderOrder
from ltx_mcp.media.preview.backdrop import make_backdrop
from ltx_mcp.media.preview.camera import make_camera
from ltx_mcp.media.preview.caption import make_caption, make_mark, make_title
from ltx_mcp.media.preview.compositor import Compositor, Screen, draw_ahead
from ltx_mcp.media.preview.scenes import AudioReactiveScene, ImageScene, Scene, enlarged, open_filled
from ltx_mcp.media.tracks import RATE, CopiedTrack, EncodedTrack, Pad, Silence, Track, can_copy

__all__ = ["RenderNotes", "RenderOrder", "render"]

# Long side of the pictures before they are enlarged: a drawn scene is soft, a photograph needs more.
_SCENE_EDGE = 960
_STILL_EDGE = 1280
_BT709 = 1  # AVCOL_SPC_BT709, and the same number for primaries and transfer
_NARROW = 1  # AVCOL_RANGE_MPEG
_PAD_BIT_RATE = 96_000
# One thread makes the same bytes every time, and drawing is the slower half anyway.
_X264 = {"preset": "ultrafast", "crf": "28", "threads": "1"}


def render(order: RenderOrder, out: Path, tell: Callable[[float], None]) -> RenderNotes:
    """Writes the preview to `out`, whatever its name ends in; `tell` hears the part done, from 0 to 1.

    The same order makes the same bytes on one machine. CallerError (input_failed) when a picture or sound is of no use.
    """
    screen = Screen(order.width, order.height, Fraction(1, order.fps))
    scene = _make_scene(order, screen)
    write = make_title if order.image is None else make_caption
    caption = write(order.prompt, order.width, order.height)
    overlays = [make_mark(order.width, order.height), *([caption.overlay] if caption.overlay else [])]
    with (
        av.open(str(out), "w", format="mp4", options={"movflags": "+faststart"}) as container,
        _opened_film(container, order) as film,
    ):
        press: Compositor | None = None
        every = max(1, order.fps // 4)
        for number, picture in enumerate(draw_ahead(scene, _moments(order))):
            press = press or Compositor(screen, picture.size, overlays)
            film.add(press.print(picture, number))
            if number % every == 0:
                tell(number / order.frames)
        film.finish()
    tell(1.0)
    return RenderNotes(caption.missing)


def seeded(*words: object) -> random.Random:
    """Chance that depends on these words alone."""
    digest = hashlib.sha256(repr(words).encode("utf-8", "backslashreplace")).digest()
    return random.Random(int.from_bytes(digest, "big"))


def _chance(order: RenderOrder) -> random.Random:
    """Paths do not count: pictures and sounds show themselves."""
    return seeded(*astuple(order)[:-3], order.image is not None, order.end_image is not None)


def _make_scene(order: RenderOrder, screen: Screen) -> Scene:
    rng = _chance(order)
    size = screen.inner_size(_STILL_EDGE if order.image else _SCENE_EDGE)
    start = open_filled(order.image, "image", enlarged(size)) if order.image else make_backdrop(enlarged(size), rng)
    end = open_filled(order.end_image, "end_image", enlarged(size)) if order.end_image else None
    scene = ImageScene(start, end, size, make_camera(order.camera_motion, rng))
    if order.sound is None:
        return scene
    return AudioReactiveScene(scene, measure_loudness(order.sound, order.fps, order.frames), order.fps)


def _moments(order: RenderOrder) -> Iterator[tuple[float, float]]:
    for number in range(order.frames):
        yield number / max(1, order.frames - 1), number / order.fps


@contextmanager
def _opened_film(container: OutputContainer, order: RenderOrder) -> Iterator["_Film"]:
    seconds = Fraction(order.frames, order.fps)
    if order.sound is not None:
        origin = first_heard(order.sound)
        with open_sound(order.sound, "audio") as (source, stream):
            film = _Film(container, order)
            if can_copy(source, stream):
                film.sound = CopiedTrack(container, source, stream, origin, seconds)
            else:
                film.sound = EncodedTrack(container, AudioReader(source, stream, origin), seconds)
            yield film
        return
    film = _Film(container, order)
    if order.audio:
        pad = Pad(seconds, RATE, "stereo", _chance(order))
        film.sound = EncodedTrack(container, pad, seconds, _PAD_BIT_RATE)
    yield film


class _Film:
    """The encoders of one MP4, fed frame by frame; sound follows the picture second by second."""

    def __init__(self, container: OutputContainer, order: RenderOrder) -> None:
        self._container, self._fps = container, order.fps
        self._stream = container.add_stream("libx264", rate=order.fps, options=_X264 | {"g": str(order.fps)})
        self._stream.width, self._stream.height, self._stream.pix_fmt = order.width, order.height, "yuv420p"
        context = self._stream.codec_context
        context.color_primaries = context.color_trc = context.colorspace = _BT709
        context.color_range = _NARROW
        self.sound: Track = Silence()

    def add(self, frame: av.VideoFrame) -> None:
        """Encodes the next frame, and the sound that is due."""
        number = (frame.pts or 0) + 1
        self._container.mux(self._stream.encode(frame))
        if number % self._fps == 0:
            self.sound.follow(number // self._fps)

    def finish(self) -> None:
        """Empties the encoders."""
        self._container.mux(self._stream.encode())
        self.sound.finish()
