"""Draws the `local` provider's preview: a real, playable MP4 that says plainly that it is not LTX's work.

Runs in the child process, blocking. Images are drawn small and enlarged (compositor.py); the audio is a soft pad,
or the caller's own, and then the image moves with it.
"""

import hashlib
import random
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import astuple
from fractions import Fraction
from pathlib import Path

from av.container import OutputContainer
from av.video.stream import VideoStream

from ltx_mcp.media.decode.audio_reader import first_audio_s, measure_loudness, open_audio
from ltx_mcp.media.messages import RenderNotes, RenderOrder, ReportProgress
from ltx_mcp.media.preview.backdrop import make_backdrop
from ltx_mcp.media.preview.camera import make_camera
from ltx_mcp.media.preview.caption import make_caption, make_title
from ltx_mcp.media.preview.compositor import Screen, draw
from ltx_mcp.media.preview.scenes import AudioReactiveScene, ImageScene, Scene, enlarged, open_filled
from ltx_mcp.media.remux import open_film_out
from ltx_mcp.media.tracks import RATE, EncodedTrack, Pad, Silence, Track, make_track

# Long side of the images before they are enlarged: a drawn scene is soft, a photograph needs more.
_SCENE_EDGE = 960
_STILL_EDGE = 1280
_BT709 = 1  # AVCOL_SPC_BT709, and the same number for primaries and transfer
_NARROW = 1  # AVCOL_RANGE_MPEG
_PAD_BIT_RATE = 96_000
# One thread makes the same bytes every time, and drawing is the slower half anyway.
_X264 = {"preset": "ultrafast", "crf": "28", "threads": "1"}


def render(order: RenderOrder, out: Path, report: ReportProgress) -> RenderNotes:
    """Writes the preview to `out`, whatever its name ends in; `report` is called with the part done, from 0 to 1.

    The same order makes the same bytes on one machine. CallerError (input_failed) when an image or audio is of no use.
    """
    screen = Screen(order.width, order.height, Fraction(1, order.fps))
    scene = _make_scene(order, screen)
    caption = (make_title if order.image is None else make_caption)(order.prompt, order.width, order.height)
    with open_film_out(out) as container, ExitStack() as stack:
        video = _add_video(container, order)
        track = _make_track(order, container, stack)
        every = max(1, order.fps // 4)
        for number, frame in enumerate(draw(scene, screen, caption, _moments(order))):
            container.mux(video.encode(frame))
            if (number + 1) % order.fps == 0:
                track.follow((number + 1) // order.fps)
            if number % every == 0:
                report(number / order.frames)
        container.mux(video.encode())
        track.finish()
    report(1.0)
    return RenderNotes(caption.missing)


def seeded(*words: object) -> random.Random:
    """A random generator that depends on these words alone."""
    digest = hashlib.sha256(repr(words).encode("utf-8", "backslashreplace")).digest()
    return random.Random(int.from_bytes(digest, "big"))


def drawing_rng(order: RenderOrder) -> random.Random:
    """What decides how an order is drawn. Paths do not count: images and audio can be seen and heard."""
    words = (*astuple(order)[:-4], order.image is not None, order.end_image is not None)
    return seeded(*words) if order.seed is None else seeded(*words, order.seed)


def _make_scene(order: RenderOrder, screen: Screen) -> Scene:
    rng = drawing_rng(order)
    size = screen.inner_size(_STILL_EDGE if order.image else _SCENE_EDGE)
    start = open_filled(order.image, "image", enlarged(size)) if order.image else make_backdrop(enlarged(size), rng)
    end = open_filled(order.end_image, "end_image", enlarged(size)) if order.end_image else None
    scene = ImageScene(start, end, size, make_camera(order.camera_motion, rng))
    if order.sound is None:
        return scene
    return AudioReactiveScene(scene, measure_loudness(order.sound, order.fps, order.frames), order.fps)


def _moments(order: RenderOrder) -> Iterator[tuple[int, float, float]]:
    for number in range(order.frames):
        yield number, number / max(1, order.frames - 1), number / order.fps


def _add_video(container: OutputContainer, order: RenderOrder) -> VideoStream:
    stream = container.add_stream("libx264", rate=order.fps, options=_X264 | {"g": str(order.fps)})
    stream.width, stream.height, stream.pix_fmt = order.width, order.height, "yuv420p"
    context = stream.codec_context
    context.color_primaries = context.color_trc = context.colorspace = _BT709
    context.color_range = _NARROW
    return stream


def _make_track(order: RenderOrder, container: OutputContainer, stack: ExitStack) -> Track:
    seconds = Fraction(order.frames, order.fps)
    if order.sound is not None:
        origin = first_audio_s(order.sound)
        source, stream = stack.enter_context(open_audio(order.sound, "audio"))
        return make_track(container, source, stream, origin, seconds)
    if order.audio:
        return EncodedTrack(container, Pad(seconds, RATE, "stereo", drawing_rng(order)), seconds, _PAD_BIT_RATE)
    return Silence()
