"""What is found out about a picture that somebody gives, and which ones are refused, by what name."""

import sys
from pathlib import Path

import pytest
from PIL import Image

from ltx_mcp.domain.errors import CallerError, ErrorCode
from ltx_mcp.media.facts import PictureFacts
from ltx_mcp.media.picture import look_at_picture


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp", "avif"])
def test_an_accepted_picture_is_named_and_measured(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "picture.bin"
    Image.effect_noise((120, 80), 50).convert("RGB").save(path, kind)
    assert look_at_picture(path) == PictureFacts(kind, 120, 80)


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp", "avif"])
def test_a_picture_is_measured_as_it_is_seen(kind: str, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (120, 80)).save(tmp_path / "a", kind, exif=exif)
    assert look_at_picture(tmp_path / "a") == PictureFacts(kind, 80, 120, turned=True)


def test_a_jpeg_of_a_phone_that_holds_a_second_picture_is_a_jpeg(tmp_path: Path) -> None:
    one, other = Image.new("RGB", (120, 80), "red"), Image.new("RGB", (60, 40), "blue")
    one.save(tmp_path / "a.jpg", "MPO", save_all=True, append_images=[other])
    assert look_at_picture(tmp_path / "a.jpg") == PictureFacts("jpeg", 120, 80)


def test_heif_is_read_where_its_package_is(tmp_path: Path) -> None:
    heif = pytest.importorskip("pillow_heif")
    heif.from_pillow(Image.new("RGB", (128, 64), "red")).save(tmp_path / "a.heic")
    assert look_at_picture(tmp_path / "a.heic") == PictureFacts("heif", 128, 64)


def test_without_its_package_a_heif_picture_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    (tmp_path / "a.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(200))
    with pytest.raises(CallerError, match="pip install pillow-heif") as caught:
        look_at_picture(tmp_path / "a.heic")
    assert "HEIF are" not in caught.value.message


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp", "avif"])
def test_a_picture_cut_short_is_refused_with_the_accepted_formats(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "picture"
    Image.effect_noise((200, 200), 90).convert("RGB").save(path, kind)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    with pytest.raises(CallerError, match="PNG, JPEG, WebP, AVIF") as caught:
        look_at_picture(path)
    assert caught.value.code is ErrorCode.INPUT_FAILED


def test_a_picture_that_is_not_there_is_said_not_to_be(tmp_path: Path) -> None:
    with pytest.raises(CallerError, match="cannot be read"):
        look_at_picture(tmp_path / "none.png")
