"""How long a caller waits until a large picture has been looked at, and what memory the process takes that does it."""

import io
import json
import resource
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pillow_heif
from PIL import Image, ImageCms

from bench.table import Row, Table, mib, seconds
from ltx_mcp.domain.errors import CallerError
from ltx_mcp.media.client import MediaClient

WIDE_8K = (7680, 4320)
HUGE = (11_500, 8600)
ROUNDS = 3
BUDGET_S = 10.0


def measure() -> Table:
    """Each picture in a process of its own, in a child that is already there; then what it is converted to."""
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        for name, make in _pictures().items():
            path = Path(folder) / "picture"
            path.write_bytes(make())
            found = [_apart(path) for _ in range(ROUNDS)]
            told = name if found[0]["taken"] else f"{name} (refused)"
            rows.append(Row(told, [each["look_s"] for each in found], seconds, BUDGET_S))
            rows.append(Row("  its processor time", [each["cpu_s"] for each in found], seconds))
            rows.append(Row("  its memory", [each["memory_bytes"] for each in found], mib))
    return Table(
        "looking_pictures: a large picture, from call to facts; processes with their start",
        rows,
        [f"{ROUNDS} looks at each."],
    )


def _pictures() -> dict[str, Callable[[], bytes]]:
    photo = _photo(WIDE_8K)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    see_through = photo.convert("RGBA")
    see_through.putalpha(Image.linear_gradient("L").resize(photo.size))
    text = zlib.compress(bytes(1 << 28))
    return {
        "8K JPEG": lambda: _encoded(photo, "JPEG", quality=90),
        "8K JPEG with a profile": lambda: _encoded(photo, "JPEG", quality=90, icc_profile=profile),
        "8K JPEG, progressive": lambda: _encoded(photo, "JPEG", quality=90, progressive=True),
        "8K JPEG without an end": lambda: _encoded(photo, "JPEG", quality=90)[:-2],
        "8K JPEG cut in its middle": lambda: _encoded(photo, "JPEG", quality=90)[:4_000_000],
        "8K PNG": lambda: _encoded(photo, "PNG", compress_level=1),
        "8K PNG, transparent": lambda: _encoded(see_through, "PNG", compress_level=1),
        "8K PNG with 256 MB of text": lambda: _with_text(_encoded(photo, "PNG", compress_level=1), text),
        "8K WebP": lambda: _encoded(photo, "WEBP", quality=80, method=0),
        "8K GIF": lambda: _encoded(photo.quantize(64), "GIF"),
        "4K HEIC": lambda: _heic(photo.resize((3840, 2160))),
        "99 megapixels, JPEG": lambda: _encoded(_photo(HUGE), "JPEG", quality=80),
    }


def _photo(size: tuple[int, int]) -> Image.Image:
    """Something soft with grain in it."""
    grain = Image.effect_noise((size[0] // 8, size[1] // 8), 60).resize(size, Image.Resampling.BILINEAR)
    return Image.merge("RGB", (grain, grain.transpose(Image.Transpose.FLIP_LEFT_RIGHT), Image.new("L", size, 120)))


def _encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def _with_text(png: bytes, packed: bytes) -> bytes:
    body = b"zTXta\0\0" + packed
    chunk = (len(body) - 4).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")
    place = png.index(b"IDAT") - 4
    return png[:place] + chunk + png[place:]


def _heic(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    pillow_heif.from_pillow(image).save(buffer, quality=80)
    return buffer.getvalue()


def _apart(path: Path) -> dict[str, Any]:
    asked = [sys.executable, "-m", "bench.looking_pictures", str(path)]
    found: dict[str, Any] = json.loads(subprocess.run(asked, capture_output=True, check=True).stdout)
    return found


async def _look(path: Path) -> dict[str, Any]:
    media = MediaClient()
    try:
        await media.confinement()
        began, taken = time.monotonic(), True
        try:
            await media.probe_image(path)
        except CallerError:
            taken = False
        look_s = time.monotonic() - began
    finally:
        await media.close()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = used.ru_utime + used.ru_stime
    return {"look_s": look_s, "cpu_s": cpu_s, "memory_bytes": used.ru_maxrss * 1024, "taken": taken}


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(anyio.run(_look, Path(sys.argv[1]))))
    else:
        print(measure().text())
