"""The video that an order without files leads to: colour bars that say what they are, and a tone, of the right size,
length and rate. One second of the picture is encoded and then repeated, so that a video costs next to nothing.
"""

import math
from array import array
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import av
    from av.container import OutputContainer

LINES = ("An emulated film:", "nothing was ordered from anybody,", "and this is not LTX")
BARS = ("#c0c0c0", "#c0c000", "#00c0c0", "#00c000", "#c000c0", "#c00000", "#0000c0")
X264 = {"preset": "ultrafast", "tune": "zerolatency", "crf": "30", "threads": "1"}
RATE = 48_000
BLOCK = 1024
"""Samples that are encoded at a time; the tone swings eight times in them."""
LOUDNESS = 1500


def draw(out: Path, size: tuple[int, int], fps: int, seconds: float, has_sound: bool) -> None:
    """Write the video as an MP4."""
    from ltx_mcp.media.remux import open_film_out

    frames = round(fps * seconds)
    with open_film_out(out) as container:
        picture: Any = container.add_stream("libx264", rate=fps, options=X264 | {"g": str(fps)})
        picture.width, picture.height, picture.pix_fmt = *size, "yuv420p"
        sound: Any = container.add_stream("aac", rate=RATE, layout="mono") if has_sound else None
        _write_video(container, picture, fps, frames)
        if sound is not None:
            _write_audio(container, sound, round(RATE * frames / fps))


def _write_video(container: "OutputContainer", stream: Any, fps: int, frames: int) -> None:
    import av

    bars = _bars(stream.width, stream.height)
    second = []
    for bars.pts in range(min(fps, frames)):
        second += stream.encode(bars)
    second += stream.encode(None)
    for number in range(frames):
        encoded = second[number % fps]
        packet = av.Packet(bytes(encoded))
        packet.stream, packet.is_keyframe, packet.time_base = stream, encoded.is_keyframe, Fraction(1, fps)
        packet.pts, packet.dts, packet.duration = number, number, 1
        container.mux(packet)


def _bars(width: int, height: int) -> "av.VideoFrame":
    import av
    from PIL import Image, ImageDraw, ImageFont

    picture = Image.new("RGB", (width, height), "#101018")
    pen = ImageDraw.Draw(picture)
    for place, colour in enumerate(BARS):
        pen.rectangle((place * width // len(BARS), 0, width, height * 3 // 4), colour)
    pen.rectangle((0, height * 3 // 4, width, height), "#101018")
    font = ImageFont.load_default(max(8, min(width, height) // 20))
    pen.multiline_text((width // 2, height * 7 // 8), "\n".join(LINES), "white", font, "mm", align="center")
    frame = av.VideoFrame.from_image(picture)  # type: ignore[no-untyped-call]
    return frame.reformat(format="yuv420p")  # type: ignore[no-any-return]


def _write_audio(container: "OutputContainer", stream: Any, samples: int) -> None:
    import av

    wave = array("h", (round(LOUDNESS * math.sin(step * 16 * math.pi / BLOCK)) for step in range(BLOCK)))
    for start in range(0, samples, BLOCK):
        count = min(BLOCK, samples - start)
        block = av.AudioFrame("s16", "mono", count)
        block.planes[0].update(wave[:count].tobytes())
        block.sample_rate, block.pts = RATE, start
        container.mux(stream.encode(block))
    container.mux(stream.encode(None))
