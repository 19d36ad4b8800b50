"""The manifests in the repository are what the code says now, and the page beside them names every one."""

import re
from pathlib import Path

import pytest
from PIL import Image

from manifests.icon import draw_icon, same_picture
from manifests.make import FOLDER, ICONS, texts
from tests.manifests.conftest import FACTS

WRITTEN = texts(FACTS)
BY_HAND = {"README.md", "service/README.md"}
FOLDERS_BY_HAND = ("service/compose/", "service/kubernetes/", "service/prometheus/")
"""What lies there has tests of its own."""


@pytest.mark.parametrize("name", WRITTEN)
def test_a_manifest_is_what_the_code_says(name: str) -> None:
    assert (FOLDER / name).read_text(encoding="utf-8") == WRITTEN[name], "run `make manifests`"


@pytest.mark.parametrize("path", ICONS, ids=lambda path: path.parent.name)
def test_the_icon_is_the_one_that_is_drawn(path: Path) -> None:
    with Image.open(path) as icon:
        assert (icon.format, icon.size, icon.mode) == ("PNG", (512, 512), "RGBA")
        assert same_picture(icon, draw_icon())


def test_another_picture_is_not_the_same() -> None:
    icon = draw_icon()
    icon.putpixel((256, 20), (0, 255, 0, 255))
    assert not same_picture(icon, draw_icon())


def test_nothing_else_lies_there() -> None:
    found = {str(path.relative_to(FOLDER)) for path in FOLDER.rglob("*") if path.is_file() and path.suffix != ".pyc"}
    code = {name for name in found if name.endswith(".py")}
    pictures = {str(path.relative_to(FOLDER)) for path in ICONS}
    by_hand = {name for name in found if name.startswith(FOLDERS_BY_HAND)}
    assert found - code - by_hand == {*WRITTEN, *pictures, *BY_HAND}


def test_the_page_names_every_manifest() -> None:
    named = re.findall(r"`([\w./-]+)`", (FOLDER / "README.md").read_text(encoding="utf-8"))
    folders = tuple(name for name in named if name.endswith("/"))
    for name in WRITTEN:
        assert name in named or name.startswith(folders), name
