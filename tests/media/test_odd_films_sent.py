"""What providers and the preview get of odd films, beside what ffmpeg decodes of the same files."""

import io
import os
import subprocess
from pathlib import Path
from shutil import which

import av
import pytest
from PIL import Image, ImageChops, ImageStat

from ltx_mcp.media.convert import convert_media
from ltx_mcp.media.messages import EditOrder
from ltx_mcp.media.preview.edit import edit
from ltx_mcp.media.probe import probe_media
from tests.media.odd.films import FILMS, Odd
from tests.media.test_odd_films import named, off, three_places

pytestmark = pytest.mark.skipif(not (which("ffmpeg") or os.environ.get("CI")), reason="ffmpeg is not installed")

RIGHT = [film for film in FILMS if not film.refused]
TONED = ("HDR", "wide colours")
MAX_OFF = 3.0
ASKEW = ("nearly right.mp4",)
"""ffmpeg turns those by the very angle, and cuts off corners."""


def is_toned(film: Odd) -> bool:
    return any(word in film.traits for word in TONED)


def decoded(path: Path) -> Image.Image:
    """The first frame, as ffmpeg shows it."""
    command = ["ffmpeg", "-v", "error", "-i", str(path), "-map", "0:v:0", "-frames:v", "1", "-f", "image2pipe"]
    process = subprocess.run([*command, "-c:v", "png", "-pix_fmt", "rgb24", "-"], capture_output=True, check=True)
    return Image.open(io.BytesIO(process.stdout)).convert("RGB")


def apart(one: Image.Image, other: Image.Image) -> float:
    """The mean difference of two pictures, scaled to the same small size."""
    pair = [each.resize((80, 48), Image.Resampling.BOX) for each in (one, other)]
    return max(ImageStat.Stat(ImageChops.difference(*pair)).mean)


def check_seen(out: Path, source: Path, film: Odd) -> None:
    """The frames that were made look as the source does; which of them decodes like ours is not what is asked here."""
    with av.open(str(out)) as made:
        stream = made.streams.video[0]
        context = stream.codec_context
        first = next(made.decode(stream))
        assert first.format.name == ("yuvj420p" if film.name.startswith("full range") else "yuv420p")
        if is_toned(film):
            assert (context.color_primaries, context.color_trc, context.colorspace) == (1, 1, 1)
    shown = decoded(out)
    assert abs(shown.width - film.size[0]) <= 1
    assert abs(shown.height - film.size[1]) <= 1
    assert off(three_places(shown), film.colours) <= film.near + 3
    if not is_toned(film) and film.name not in ASKEW:
        own = decoded(source)
        is_odd = any(0 < one - other <= 1 for one, other in zip(own.size, shown.size, strict=True))
        assert apart(shown, own.crop((0, 0, *shown.size)) if is_odd else own) < MAX_OFF


@pytest.mark.parametrize("film", RIGHT, ids=named)
def test_what_a_provider_gets_of_an_odd_film_is_what_ffmpeg_shows(film: Odd, tmp_path: Path) -> None:
    path, out = tmp_path / film.name, tmp_path / "out.mp4"
    film.make(path)
    facts = convert_media(path, out, "video")
    assert (facts.traits, facts.format, facts.video_codec) == ((), "mp4", "h264")
    # a picture that begins late begins at once
    late_s = 0.5 if film.name == "late.mp4" else 0.0
    assert facts.duration == pytest.approx(probe_media(path, "video").duration - late_s, abs=0.05)
    check_seen(out, path, film)


@pytest.mark.parametrize("film", [film for film in RIGHT if film.traits or "pieces" in film.name], ids=named)
def test_what_the_preview_keeps_of_an_odd_film_is_what_ffmpeg_shows(film: Odd, tmp_path: Path) -> None:
    path, out = tmp_path / film.name, tmp_path / "out.mp4"
    film.make(path)
    edit(EditOrder("extend", str(path), "a hill", 2.0, "end"), out, lambda part: None)
    check_seen(out, path, film)
