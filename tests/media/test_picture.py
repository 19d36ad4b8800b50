"""What is found out about a picture that somebody gives, and which ones are refused, by what name."""

import random
import re
import sys
import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from ltx_mcp.domain.errors import CallerError, ErrorCode
from ltx_mcp.domain.media_info import MediaInfo
from ltx_mcp.media.decode.colours import MAX_PROFILE
from ltx_mcp.media.image import probe_image
from tests.media.odd_pictures import chunk, encoded, jpeg, png, shown


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp", "avif"])
def test_an_accepted_picture_is_named_and_measured(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "picture.bin"
    Image.effect_noise((120, 80), 50).convert("RGB").save(path, kind)
    assert probe_image(path) == MediaInfo(kind, 120, 80)


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp", "avif"])
def test_a_picture_is_measured_as_it_is_seen(kind: str, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (120, 80)).save(tmp_path / "a", kind, exif=exif)
    assert probe_image(tmp_path / "a") == MediaInfo(kind, 80, 120, exif_rotated=True)


def test_a_jpeg_of_a_phone_that_holds_a_second_picture_is_a_jpeg(tmp_path: Path) -> None:
    one, other = Image.new("RGB", (120, 80), "red"), Image.new("RGB", (60, 40), "blue")
    one.save(tmp_path / "a.jpg", "MPO", save_all=True, append_images=[other])
    assert probe_image(tmp_path / "a.jpg") == MediaInfo("jpeg", 120, 80)


def test_heif_is_read_where_its_package_is(tmp_path: Path) -> None:
    heif = pytest.importorskip("pillow_heif")
    heif.from_pillow(Image.new("RGB", (128, 64), "red")).save(tmp_path / "a.heic")
    assert probe_image(tmp_path / "a.heic") == MediaInfo("heif", 128, 64)


def test_without_its_package_a_heif_picture_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    (tmp_path / "a.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(200))
    with pytest.raises(CallerError, match="pip install pillow-heif") as caught:
        probe_image(tmp_path / "a.heic")
    assert "HEIF are" not in caught.value.message


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp", "avif"])
def test_a_picture_cut_short_is_refused_with_the_accepted_formats(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "picture"
    Image.effect_noise((200, 200), 90).convert("RGB").save(path, kind)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    with pytest.raises(CallerError, match="PNG, JPEG, WebP, AVIF") as caught:
        probe_image(path)
    assert caught.value.code is ErrorCode.INPUT_FAILED


def test_a_picture_that_is_not_there_is_said_not_to_be(tmp_path: Path) -> None:
    with pytest.raises(CallerError, match="cannot be read"):
        probe_image(tmp_path / "none.png")


# -- what is refused, and by what name


NOISE = Image.frombytes("RGB", (120, 90), random.Random(1).randbytes(120 * 90 * 3))


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_rows": 1}], ids=str)
def test_a_jpeg_cut_in_its_middle_is_called_so_wherever_that_is(options: dict[str, Any], tmp_path: Path) -> None:
    whole, path = jpeg(NOISE, **options), tmp_path / "a.jpg"
    start = whole.index(b"\xff\xda") + 14
    restarts = [found.start() for found in re.finditer(rb"\xff[\xd0-\xd7]", whole)]
    for end in [*range(start, len(whole) - 40, 397), *range(len(whole) - 40, len(whole) - 3, 5), *restarts]:
        path.write_bytes(whole[:end])
        with pytest.raises(CallerError, match=r"is cut short: .*: PNG, JPEG, WebP, AVIF, GIF, HEIC are accepted"):
            probe_image(path)


def test_a_progressive_jpeg_that_lacks_its_last_scan_is_cut(tmp_path: Path) -> None:
    whole = jpeg(NOISE, progressive=True)
    (tmp_path / "a.jpg").write_bytes(whole[: whole.rindex(b"\xff\xda")])
    with pytest.raises(CallerError, match="is cut short"):
        probe_image(tmp_path / "a.jpg")


@pytest.mark.parametrize("size", [(1, 1), (1, 4000), (4000, 1), (7, 60), (70, 7), (4000, 399)])
def test_a_picture_that_no_film_can_show_is_refused_by_its_size(size: tuple[int, int], tmp_path: Path) -> None:
    Image.new("RGB", size, "red").save(tmp_path / "a.png")
    told = f"is {size[0]} x {size[1]} pixels: at least 8 on each edge are needed, and at most 10 times as many on one"
    with pytest.raises(CallerError, match=told):
        probe_image(tmp_path / "a.png")


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "GIF", "AVIF"])
@pytest.mark.parametrize("alpha", [0, 5])
def test_a_wholly_transparent_picture_is_refused_whatever_hides_in_it(kind: str, alpha: int, tmp_path: Path) -> None:
    image = shown(mode="RGBA")
    image.putalpha(0 if kind == "GIF" else alpha)
    image.save(tmp_path / "a", kind)
    with pytest.raises(CallerError, match="is wholly transparent, so nothing of it can be seen: PNG") as caught:
        probe_image(tmp_path / "a")
    assert "without transparency" in caught.value.hint


SVG = b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg" width="640" height="360"/>'
STRANGERS = {
    "SVG": SVG,
    "PDF": encoded(shown(), "PDF"),
    "TIFF": encoded(shown(), "TIFF"),
    "BMP": encoded(shown(), "BMP"),
    "ICO": encoded(shown(), "ICO"),
    "JPEG 2000": encoded(shown(), "JPEG2000"),
    "DDS": encoded(shown(), "DDS"),
    "PPM": encoded(shown(), "PPM"),
    "PostScript": encoded(shown(), "EPS"),
    "PSD": b"8BPS\0\1" + bytes(200),
    "JPEG XL": b"\xff\x0a\xfa\x7f" + bytes(200),
    "RAW": b"\0\0\0\x18ftypcrx \0\0\0\1" + bytes(200),
    "video (MP4": b"\0\0\0\x18ftypmp42\0\0\0\0" + bytes(200),
    "sound (WAV)": b"RIFF\x24\0\0\0WAVEfmt " + bytes(200),
    "web page": b"<!DOCTYPE html><html><body>Sign in</body></html>",
    "an empty file": b"",
}


@pytest.mark.parametrize("name", STRANGERS)
def test_a_format_that_is_not_taken_is_called_by_its_name(name: str, tmp_path: Path) -> None:
    (tmp_path / "picture.png").write_bytes(STRANGERS[name])
    told = rf"The picture is .*{re.escape(name)}.*: PNG, JPEG, WebP, AVIF, GIF, HEIC are accepted\."
    with pytest.raises(CallerError, match=told) as caught:
        probe_image(tmp_path / "picture.png")
    assert caught.value.hint == "Save or export it as one of these."
    assert caught.value.code is ErrorCode.INPUT_FAILED


def test_a_profile_that_unpacks_to_more_than_any_has_is_left_aside(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png(chunk(b"iCCP", b"name\0\0" + zlib.compress(bytes(1 << 26)))))
    tracemalloc.start()
    try:
        assert probe_image(tmp_path / "a.png").traits == ("bad_metadata",)
        assert tracemalloc.get_traced_memory()[1] < 3 * MAX_PROFILE
    finally:
        tracemalloc.stop()
