"""Which file a path means: to an agent, whose working directory may be anywhere, and to a person at a terminal."""

import os
from pathlib import Path

import pytest

from ltx_mcp.domain.errors import CallerError
from ltx_mcp.media.paths import Paths, UnreadableError

posix = pytest.mark.skipif(os.name == "nt", reason="links of POSIX")


@pytest.fixture
def me(tmp_path: Path) -> Path:
    """A home folder, with a picture of the same name in two places and a third that only lies in one."""
    home = tmp_path.resolve() / "me"
    for name in ("boat.png", "Pictures/boat.png", "Pictures/pier.png", "Pictures/trip/sea.png", ".ssh/key"):
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(name, encoding="utf-8")
    return home


def found(paths: Paths, path: str) -> str:
    place = paths.find(path, "image")
    assert place is not None, f"{path} may not be read"
    with place.opened() as file:
        return file.read().decode()


# -- agents -------------------------------------------------------------------------------------------------------


def test_an_agents_path_is_looked_for_from_where_the_server_stands_and_then_in_the_folders(me: Path) -> None:
    at_home = Paths((me / "Pictures",), me)
    for path in ("Pictures/pier.png", "./Pictures/pier.png", "pier.png", "Pictures/trip/../pier.png"):
        assert found(at_home, path) == "Pictures/pier.png"
    assert found(Paths((me / "Pictures",), me / "Pictures" / "trip"), "../pier.png") == "Pictures/pier.png"


@pytest.mark.parametrize("path", ["boat.png", "./boat.png"])
def test_the_one_it_stands_beside_is_not_exchanged_for_another(me: Path, path: str) -> None:
    with pytest.raises(CallerError) as refused:
        Paths((me / "Pictures",), me).find(path, "image")
    assert f"{me / 'boat.png'} (may not be read)" in refused.value.message
    assert f"{me / 'Pictures' / 'boat.png'}" in refused.value.message


def test_the_working_directory_gives_no_right_to_read(me: Path) -> None:
    paths = Paths((me / "Pictures",), me)
    (me / "notes.png").write_bytes(b"")
    place = paths.find("notes.png", "image")
    assert place is not None
    with pytest.raises(UnreadableError, match="does not exist"), place.opened():
        pass
    for path in (".ssh/key", "./.ssh/key", str(me / ".ssh" / "key"), str(me / "boat.png"), "../me/boat.png"):
        assert paths.find(path, "image") is None


@posix
def test_one_file_reached_by_two_ways_is_one_file(me: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(me / "Pictures")
    (me / "pier.png").hardlink_to(me / "Pictures" / "pier.png")
    folders = (me / "Pictures", tmp_path / "link")
    assert found(Paths(folders, me), "pier.png") == "Pictures/pier.png"
    assert found(Paths(folders, tmp_path / "link"), "boat.png") == "Pictures/boat.png"


def test_a_path_in_full_is_taken_as_it_is_wherever_one_stands(me: Path) -> None:
    place = Paths((me / "Pictures",), me).find(str(me / "Pictures" / "boat.png"), "image")
    assert place is not None
    assert not place.was_looked_for


# -- a person -----------------------------------------------------------------------------------------------------


def test_what_a_person_types_means_what_the_shell_means(me: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(me))
    monkeypatch.setenv("USERPROFILE", str(me))
    at_home = Paths((me / "Pictures",), me, is_typed=True)
    for path in ("boat.png", "./boat.png", "Pictures/../boat.png", str(me / "boat.png"), "~/boat.png"):
        assert found(at_home, path) == "boat.png"
    elsewhere = Paths((), me / "Pictures", is_typed=True)
    assert found(elsewhere, "boat.png") == "Pictures/boat.png"
    assert found(elsewhere, "../.ssh/key") == ".ssh/key"
    with pytest.raises(UnreadableError, match="does not exist"):
        found(at_home, "pier.png")
    with pytest.raises(UnreadableError, match="is a folder"):
        found(at_home, "Pictures")


def test_a_tilde_of_nobody_is_a_name_like_any_other(me: Path) -> None:
    (me / "~nobody-here.png").write_text("odd", encoding="utf-8")
    assert found(Paths((), me, is_typed=True), "~nobody-here.png") == "odd"


def test_without_a_working_directory_a_relative_path_is_refused_and_a_full_one_read(me: Path) -> None:
    nowhere = Paths((), None, is_typed=True)
    assert found(nowhere, str(me / "boat.png")) == "boat.png"
    with pytest.raises(UnreadableError, match="working directory is gone"):
        nowhere.find("boat.png", "image")
