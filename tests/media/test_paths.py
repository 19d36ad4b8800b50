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


ALIKE = "Screenshot 2026-11-28 at 9.41.07\u202fAM e\u0301te\u0301.png"
AS_WRITTEN = "Screenshot 2026-11-28 at 9.41.07 AM \u00e9t\u00e9.png"


@pytest.mark.parametrize("is_typed", [False, True])
@pytest.mark.parametrize("folder", ["{me}/Pictures/my\u00a0trip", "Pictures/my trip", "my trip"])
def test_a_name_is_found_that_differs_in_kinds_of_blanks_and_composition(me: Path, folder: str, is_typed: bool) -> None:
    trip = me / "Pictures" / "my\u00a0trip"
    trip.mkdir()
    (trip / ALIKE).write_text("taken", encoding="utf-8")
    paths = Paths((me / "Pictures",), me / "Pictures" if is_typed and folder == "my trip" else me, is_typed)
    place = paths.find(f"{folder.format(me=me)}/{AS_WRITTEN}", "image")
    assert place is not None
    assert (place.path, place.was_looked_for) == (trip / ALIKE, True)
    (trip / AS_WRITTEN).write_text("the one so called", encoding="utf-8")
    assert found(paths, f"{folder.format(me=me)}/{AS_WRITTEN}") == "the one so called"


@pytest.mark.parametrize("is_typed", [False, True])
def test_several_names_alike_are_refused_with_the_names(me: Path, is_typed: bool) -> None:
    for blank in ("\u202f", "\u00a0"):
        (me / "Pictures" / f"a{blank}b.png").write_text("one of two", encoding="utf-8")
    with pytest.raises(CallerError) as refused:
        Paths((me / "Pictures",), me / "Pictures", is_typed).find("a b.png", "image")
    assert refused.value.message.count(str(me / "Pictures")) == 2


@posix
def test_a_name_alike_opens_no_way_out_of_the_folders(me: Path) -> None:
    (me / "Pictures" / "my\u00a0key").symlink_to(me / ".ssh" / "key")
    (me / "Pictures" / ".my\u00a0key").write_text("hidden", encoding="utf-8")
    paths = Paths((me / "Pictures",), me / "Pictures")
    assert paths.find(".my key", "image") is None
    place = paths.find("my key", "image")
    assert place is not None
    with pytest.raises(UnreadableError, match="does not exist"), place.opened():
        pass


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
