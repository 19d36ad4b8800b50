"""Odd pictures on their way to a provider: even one that reads no profile, no EXIF and no alpha gets what viewers show.

Another program's rendering (ImageMagick) says for many of them that this is right.
"""

import hashlib
import io
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pillow_heif
import pytest
from PIL import Image

from ltx_mcp.domain.media_info import SEEN, TRAITS, MediaInfo
from ltx_mcp.domain.request import Input
from ltx_mcp.emulator.emulator_state import EmulatorState
from ltx_mcp.media.image import convert_image, open_image
from tests.conftest import missing
from tests.media.odd_pictures import PICTURES, SIZE, SRGB_PROFILE, Odd, apart, colours_of
from tests.providers.bench import Bench, image, opened

pytestmark = pytest.mark.anyio

MAX_APART = 3
AT = {"fal": "image_url", "ltx": "image_uri"}
# ImageMagick 6 has its own idea of these: it knows no cICP, no DCF and no gAMA, turns JPEG alone, and stops at errors.
OTHERWISE = frozenset(
    name
    for name in PICTURES
    if name.startswith(
        ("cICP", "gAMA", "adobe by exif", "no ", "half a", "zeros", "broken", "wrong sum", "with default")
    )
    or (name.startswith("turned") and not name.endswith(".jpg"))
    or name.endswith((".avif", ".heic"))
)


@pytest.fixture(scope="module")
async def bench(emulated: tuple[str, EmulatorState], tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Bench]:
    async with opened(tmp_path_factory.mktemp("odd") / "home", emulated, folders=(Path("/"),)) as made:
        yield made


def got(bench: Bench, provider: str) -> bytes:
    """The picture as it lies at the provider."""
    order = bench.orders(provider)[-1]
    given = str(order.fields[AT[provider]])
    if provider == "ltx":
        wanted = str(bench.world.uploads[given]["file"].sha256)
    else:
        wanted = str(next(each for each in bench.world.uploads.values() if each.get("url") == given)["file"].sha256)
    kept = (path.read_bytes() for path in (bench.home / "inputs").iterdir())
    return next(data for data in kept if hashlib.sha256(data).hexdigest() == wanted)


def told_of(odd: Odd, target: str) -> list[tuple[str, str]]:
    traits = ("turned", *odd.traits) if odd.turned else odd.traits
    if not target:
        return []
    was = ", ".join([odd.format, *(TRAITS[trait][0] for trait in traits)])
    return [(was, ", ".join(dict.fromkeys([target, *(TRAITS[trait][1] for trait in traits)])))]


@pytest.mark.parametrize("provider", AT)
@pytest.mark.parametrize("name", PICTURES)
async def test_a_provider_that_reads_numbers_alone_gets_what_a_viewer_shows(
    bench: Bench, provider: str, name: str, tmp_path: Path
) -> None:
    odd = PICTURES[name]
    (tmp_path / name).write_bytes(odd.make())
    bench.world.wait_s, bench.world.work_s = 0.0, 3600.0
    job = await bench.until(
        await bench.place(image(tmp_path / name, provider=provider, adjust="nearest", prompt=name)), "running"
    )
    data = got(bench, provider)
    pillow_heif.register_heif_opener()
    with Image.open(io.BytesIO(data)) as picture:
        assert picture.size == SIZE
        assert apart(colours_of(picture), odd.colours) <= MAX_APART
    accepts = bench.jobs.catalog.facts(provider).inputs["image"].accepts
    is_plain = odd.format in accepts and not odd.turned and not odd.traits
    told = [(each.asked, each.got) for each in job.all_adjustments]
    assert told == told_of(odd, "" if is_plain else "jpeg")
    assert (data == odd.make()) == is_plain


@pytest.mark.parametrize("name", [name for name, odd in PICTURES.items() if SEEN & set(odd.traits) or "16" in name])
async def test_of_a_preview_that_shows_a_picture_only_what_is_missing_is_told(
    bench: Bench, name: str, tmp_path: Path
) -> None:
    odd = PICTURES[name]
    (tmp_path / name).write_bytes(odd.make())
    job = await bench.place(image(tmp_path / name, provider="local", prompt=name))
    await bench.jobs.cancel(job.id, job.caller)
    missing = [trait for trait in odd.traits if trait in SEEN]
    told = [each.got for each in job.all_adjustments]
    assert told == ([", ".join(TRAITS[trait][1] for trait in missing)] if missing else [])


@pytest.mark.parametrize("name", [name for name in PICTURES if name not in OTHERWISE])
def test_another_program_shows_the_same_picture(name: str, tmp_path: Path) -> None:
    program = shutil.which("convert")
    if program is None:
        missing("ImageMagick is not installed")
    odd = PICTURES[name]
    (tmp_path / name).write_bytes(odd.make())
    (tmp_path / "srgb.icc").write_bytes(SRGB_PROFILE)
    paper = "black" if "on_black" in odd.traits else "white"
    command = [program, f"{name}[0]", "-auto-orient", "-profile", "srgb.icc", "-background", paper, "-alpha", "remove"]
    subprocess.run([*command, "-colorspace", "sRGB", "-depth", "8", "PPM:theirs"], cwd=tmp_path, check=True, timeout=60)
    with Image.open(tmp_path / "theirs") as theirs, open_image(tmp_path / name) as ours:
        assert theirs.size == ours.size
        pairs = zip(theirs.convert("RGB").tobytes(), ours.tobytes(), strict=True)
        assert sum(abs(a - b) for a, b in pairs) / len(ours.tobytes()) < MAX_APART


def test_a_large_picture_is_made_no_larger_than_a_film_can_show(tmp_path: Path) -> None:
    Image.new("L", (4000, 3900), 90).save(tmp_path / "a.png")
    assert convert_image(
        tmp_path / "a.png", tmp_path / "a.jpg", "jpeg", *Input("image", width=4000, height=3900).converted_size
    ) == MediaInfo("jpeg", 3938, 3840)
