"""In which folders a path argument may lie."""

import os
from pathlib import Path

import pytest

from ltx_mcp.media.inputs import input_folders


@pytest.fixture
def home(tmp_path: Path) -> Path:
    made = tmp_path / "home" / "me"
    for name in ("Downloads", "Pictures", "Documents"):
        (made / name).mkdir(parents=True)
    return made


def test_the_setting_lists_folders_absolute_from_home_or_from_the_working_directory(home: Path) -> None:
    setting = os.pathsep.join([str(home / "a"), " ~/b ", "c", "~", "", "c"])
    cwd = home / "Documents"
    assert input_folders(setting, cwd, home) == (home / "a", home / "b", cwd / "c", home)


@pytest.mark.parametrize("setting", [None, "", " ", os.pathsep])
def test_without_a_setting_it_is_the_working_directory(home: Path, setting: str | None) -> None:
    assert input_folders(setting, home / "Documents", home) == (home / "Documents",)


def test_in_the_root_the_home_folder_or_above_it_only_the_media_folders_are_open(home: Path) -> None:
    for cwd in (Path(home.anchor), home, home.parent):
        assert input_folders(None, cwd, home) == (home / "Pictures", home / "Downloads")
