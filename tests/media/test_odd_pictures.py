"""Pictures as phones, cameras and other programs write them: what is found out, and what everyone gets of them."""

import random
from pathlib import Path

import pytest
from PIL import Image

from ltx_mcp.domain.media_info import TRAITS, MediaInfo
from ltx_mcp.media.image import convert_image, open_image, probe_image
from ltx_mcp.media.preview.camera import make_camera
from ltx_mcp.media.preview.scenes import ImageScene, enlarged, open_filled
from tests.media.odd_pictures import PICTURES, SIZE, apart, colours_of, shown

MAX_APART = 3


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_read_as_a_viewer_shows_it(name: str, tmp_path: Path) -> None:
    odd, path = PICTURES[name], tmp_path / "picture"
    path.write_bytes(odd.make())
    assert probe_image(path) == MediaInfo(odd.format, *SIZE, odd.turned, odd.traits)
    assert set(odd.traits) <= set(TRAITS)
    assert apart(colours_of(open_image(path)), odd.colours) <= MAX_APART
    small = open_image(path, edge=32)
    assert min(small.size) >= 32
    assert apart(colours_of(small), odd.colours) <= MAX_APART
    for target in ("jpeg", "png"):
        convert_image(path, tmp_path / target, target, *SIZE)
        with Image.open(tmp_path / target) as made:
            assert (made.size, made.mode) == (SIZE, "RGB")
            assert not {"exif", "icc_profile"} & set(made.info)
            assert apart(colours_of(made), odd.colours) <= MAX_APART


@pytest.mark.parametrize("name", PICTURES)
def test_the_preview_shows_it_so(name: str, tmp_path: Path) -> None:
    odd = PICTURES[name]
    (tmp_path / "odd").write_bytes(odd.make())
    shown(odd.colours).save(tmp_path / "right", "PNG")
    one, other = (_first_frame(tmp_path / which) for which in ("odd", "right"))
    pairs = zip(one.tobytes(), other.tobytes(), strict=True)
    assert sum(abs(a - b) for a, b in pairs) / len(one.tobytes()) < MAX_APART


def _first_frame(path: Path) -> Image.Image:
    size = (160, 90)
    picture = open_filled(str(path), "image", enlarged(size))
    return ImageScene(picture, None, size, make_camera("none", random.Random(1))).draw(0.0, 0.0)


def test_the_table_has_what_others_made_and_every_trait() -> None:
    assert {path.name for path in (Path(__file__).parent / "pictures").iterdir()} <= set(PICTURES)
    assert {trait for odd in PICTURES.values() for trait in odd.traits} == set(TRAITS) - {"turned"}
