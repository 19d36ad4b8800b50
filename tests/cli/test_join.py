"""Videos joined at a terminal, and the film taken away."""

import json
import shutil
from fractions import Fraction
from pathlib import Path

import pytest

from tests.cli.conftest import Command, command_in
from tests.media.films import Recipe, make

CAPTIONS = "1\n00:00:00,500 --> 00:00:01,500\nThe pond\n"


class Joined:
    """A film joined by one command from two files, with a sound, captions and a title."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.ltx = folder, command_in(folder)
        make(folder / "one.mp4", Recipe())
        make(folder / "two.mp4", Recipe(colours=2))
        make(folder / "song.mp3", Recipe(video=None, audio="mp3", seconds=4))
        (folder / "pond.srt").write_text(CAPTIONS, encoding="utf-8-sig")
        laid = ["--audio", "song.mp3", "--audio-level", "0.2", "--captions", "pond.srt", "--title", "The pond"]
        self.order = ["join", "one.mp4", "two.mp4@0.5-1.5", "--crossfade", "0.4", *laid]
        self.ended = self.ltx(*self.order, "-o", "film.mp4")
        self.job_id = self.ended.stderr.split()[0]


@pytest.fixture(scope="module")
def joined(tmp_path_factory: pytest.TempPathFactory) -> Joined:
    return Joined(tmp_path_factory.mktemp("joined"))


def test_videos_become_one_film_and_its_path_stands_alone_on_stdout(joined: Joined) -> None:
    assert joined.ended.returncode == 0, joined.ended.stderr
    assert joined.ended.stdout == f"{joined.folder / 'film.mp4'}\n"
    first = joined.ended.stderr.splitlines()[0]
    assert first == f"{joined.job_id} joining: 2 videos, 2.6 s, 320x180, 25 fps, free of charge."
    assert "not LTX" not in joined.ended.stderr
    view = json.loads(joined.ltx("jobs", "show", "@last", "--json").stdout)
    assert (view["operation"], view["cost_usd"], view["duration"]) == ("join", 0, 2.6)
    shown = joined.ltx("jobs", "show", "@last").stdout
    assert "joined on this machine, free of charge\n" in shown
    assert "Asked for: 2 videos with crossfades of 0.4 s, a sound under all at 0.2, captions." in shown


def test_the_same_command_again_gives_the_same_film_without_a_question(joined: Joined) -> None:
    again = joined.ltx(*joined.order, "--json")
    assert (again.returncode, json.loads(again.stdout)["job_id"]) == (0, joined.job_id)


def test_a_film_is_taken_away_with_all_that_it_was_made_from(joined: Joined, tmp_path: Path) -> None:
    taken = joined.ltx("film", joined.job_id[:12], "--to", str(tmp_path / "pond"), "--json")
    assert taken.returncode == 0, taken.stderr
    shots = ["shots/01-the-pond.mp4", "shots/02-shot.mp4"]
    told = json.loads(taken.stdout)
    pictures = ["poster.jpg", "sheet.jpg"]
    assert told["files"] == ["README.md", "captions.srt", "film.mp4", "film.otio", *pictures, *shots, "sound.mp3"]
    folder = tmp_path / "pond"
    assert sorted(str(each.relative_to(folder)) for each in folder.rglob("*") if each.is_file()) == told["files"]
    for name, original in (*zip(shots, ("one.mp4", "two.mp4"), strict=True), ("film.mp4", "film.mp4")):
        assert (folder / name).read_bytes() == (joined.folder / original).read_bytes()
    assert (folder / "captions.srt").read_text("utf-8") == CAPTIONS
    again = joined.ltx("film", joined.job_id, "--to", str(folder))
    assert (again.returncode, again.stdout) == (2, "")
    assert f"{folder} is there already" in again.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["one.mp4"], "Give two VIDEOs or more."),
        (["one.mp4", "two.mp4", "--fade", "1", "--crossfade", "1"], "--crossfade does not go with --fade."),
        (["one.mp4", "two.mp4", "--fade", "9"], "'--fade': 9.0 is not in the range"),
        (["one.mp4", "two.mp4", "--captions", "nope.srt"], "--captions: nope.srt cannot be read: No such file"),
        (["one.mp4", "two.mp4", "--captions", "one.mp4"], "--captions: one.mp4 is not text in UTF-8."),
        (["one.mp4", "two.mp4@1-9"], "two.mp4@1-9 lasts 2 s; @1-9 does not lie within it"),
        (["one.mp4", "nope.mp4"], "nope.mp4 does not exist"),
        (["one.mp4", "two.mp4", "--burn-captions"], "--burn-captions should come with captions"),
        (["one.mp4", "@last"], "@last: there is no job yet"),
        (["one.mp4", "two.mp4", "--title", "a", "--title", "b", "--title", "c"], "--title should be one for each"),
    ],
)
def test_what_cannot_be_joined_is_refused_as_it_was_typed(
    joined: Joined, tmp_path: Path, arguments: list[str], said: str
) -> None:
    for name in ("one.mp4", "two.mp4"):
        shutil.copy(joined.folder / name, tmp_path)
    ended = command_in(tmp_path)("join", *arguments)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert said in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_jobs_are_joined_by_the_beginnings_of_their_names(joined: Joined, ltx: Command, tmp_path: Path) -> None:
    clip = make(tmp_path / "clip.mp4", Recipe(rate=Fraction(24)))
    first = json.loads(ltx("reframe", str(clip), "-a", "1:1", "-r", "720p", "-p", "local", "--json").stdout)
    film = ltx("join", "@last@0-1", f"{first['job_id'][:12]}@1-", "-r", "720p", "-a", "1:1", "--fps", "24", "--json")
    view = json.loads(film.stdout)
    assert (film.returncode, view["sources"]) == (0, [first["job_id"]])
    assert (view["width"], view["height"], view["fps"], view["is_preview"]) == (720, 720, 24, True)
    one = ltx("film", first["job_id"], "--to", str(tmp_path / "one"))
    assert one.stdout == f"{tmp_path / 'one'}\n"
    assert not (tmp_path / "one" / "shots").exists()
    assert "a preview drawn on this machine, not LTX" in (tmp_path / "one" / "README.md").read_text("utf-8")
