"""The two tiers: the table of slow tests is true, and a change is tried with those that cover it."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.kept import ROOT, drawn_by, keep
from tests.tiers import EMPTY_TREE, Choice, Slow, Table, choose, find_base, find_changed, is_left_out, read_table

TABLE = read_table()
Git = Callable[..., str]


def test_the_table_names_files_and_folders_that_exist() -> None:
    for each in TABLE.files:
        assert (ROOT / each.path).is_file(), each.path
        assert Path(each.path).name.startswith("test_"), each.path
        for covered in each.covers:
            assert (ROOT / covered).exists(), f"{each.path}: {covered}"
    assert all((ROOT / path).exists() for path in TABLE.covered_by_all)


def test_every_slow_file_fits_the_budget_and_is_run_for_some_change() -> None:
    for each in TABLE.files:
        assert 0 < each.cpu_s <= TABLE.budget_cpu_s, each.path
        assert each.covers, each.path


def paths(files: tuple[Slow, ...]) -> list[str]:
    return [each.path for each in files]


def chosen(*changed: str) -> Choice:
    """Of four slow files and a budget of 100 s."""
    files = (
        Slow("tests/a/test_small.py", 10, ("ltx_mcp/a",)),
        Slow("tests/a/test_large.py", 60, ("ltx_mcp/a", "ltx_mcp/b/one.py")),
        Slow("tests/b/test_wide.py", 50, ("ltx_mcp/a", "ltx_mcp/b")),
        Slow("tests/c/test_last.py", 40, ("ltx_mcp/c",)),
    )
    return choose(changed, Table(files, 100, ("pyproject.toml",)))


def test_a_change_is_tried_with_what_covers_it_the_weightiest_first_until_the_budget_is_spent() -> None:
    choice = chosen("ltx_mcp/a/x.py")
    assert paths(choice.chosen) == ["tests/a/test_large.py", "tests/a/test_small.py"]
    assert paths(choice.left) == ["tests/b/test_wide.py"]


def test_what_covers_more_of_a_change_comes_before_what_takes_longer() -> None:
    choice = chosen("ltx_mcp/a/x.py", "ltx_mcp/b/two.py")
    assert paths(choice.chosen) == ["tests/b/test_wide.py", "tests/a/test_small.py"]


def test_a_slow_file_that_was_changed_comes_first() -> None:
    choice = chosen("ltx_mcp/a/x.py", "ltx_mcp/a/y.py", "tests/c/test_last.py")
    assert paths(choice.chosen)[0] == "tests/c/test_last.py"


def test_a_helper_is_covered_by_the_slow_files_beside_it_and_a_fast_test_by_none() -> None:
    assert paths(chosen("tests/c/conftest.py").chosen) == ["tests/c/test_last.py"]
    assert chosen("tests/c/test_fast.py") == Choice((), ())


def test_a_file_is_covered_by_its_own_path_and_not_by_what_only_begins_like_it() -> None:
    assert paths(chosen("ltx_mcp/b/one.py").chosen) == ["tests/a/test_large.py"]
    assert chosen("ltx_mcp/about.py") == Choice((), ())


def test_what_everything_stands_on_is_covered_by_all() -> None:
    choice = chosen("pyproject.toml")
    assert len(choice.chosen) + len(choice.left) == 4


@pytest.fixture
def git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Git:
    """Git in a repository of this test."""
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)

    def run(*words: str, **more: str) -> str:
        who = ("-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "core.hooksPath=")
        told = {**os.environ, **more}
        return subprocess.check_output(["git", *who, *words], cwd=tmp_path, env=told, encoding="utf-8").strip()

    run("init", "--quiet")
    return run


def now() -> str:
    """As git reads it."""
    return f"{int(time.time())} +0000"


def commit(git: Git, folder: Path, name: str, when: str) -> str:
    """Write a file, and commit it at this time."""
    (folder / name).write_text(name, encoding="utf-8")
    git("add", ".")
    git("commit", "--quiet", "-m", name, GIT_COMMITTER_DATE=when, GIT_AUTHOR_DATE=when)
    return git("rev-parse", "HEAD")


def test_a_change_is_measured_from_the_newest_commit_of_twelve_hours_ago(git: Git, tmp_path: Path) -> None:
    commit(git, tmp_path, "old.py", "2020-01-01T00:00:00Z")
    settled = commit(git, tmp_path, "settled.py", "2020-01-02T00:00:00Z")
    commit(git, tmp_path, "größe.py", now())
    (tmp_path / "new.py").touch()
    git("rm", "--quiet", "old.py")
    assert find_base(tmp_path) == settled
    assert find_changed(tmp_path, settled) == {"größe.py", "new.py", "old.py"}


def test_a_base_can_be_named_and_must_exist(git: Git, tmp_path: Path) -> None:
    first = commit(git, tmp_path, "a.py", "2020-01-01T00:00:00Z")
    commit(git, tmp_path, "b.py", "2020-01-02T00:00:00Z")
    assert find_base(tmp_path, "HEAD~1") == first
    assert find_changed(tmp_path, first) == {"b.py"}
    with pytest.raises(ValueError, match="no such commit"):
        find_base(tmp_path, "elsewhere")


def test_in_a_young_repository_everything_has_changed(git: Git, tmp_path: Path) -> None:
    commit(git, tmp_path, "a.py", now())
    assert find_base(tmp_path) == EMPTY_TREE
    assert find_changed(tmp_path, EMPTY_TREE) == {"a.py"}


def test_where_nothing_is_chosen_nothing_is_printed() -> None:
    command = [sys.executable, "-m", "tests.tiers"]
    asked = [*command, "--needs", "tests/test_tiers.py"]
    assert subprocess.check_output(asked, cwd=ROOT, encoding="utf-8") == ""
    printed = subprocess.check_output([*command, "--needs"], cwd=ROOT, encoding="utf-8")
    assert printed.splitlines() == [
        "chromium",
        "ffmpeg",
        "fish",
        "haproxy",
        "imagemagick",
        "npm",
        "pgbouncer",
        "prometheus",
        "wget",
        "zsh",
    ]


def test_slow_files_are_left_out_unless_they_are_named(tmp_path: Path) -> None:
    slow = TABLE.files[0].path
    name, folder = Path(slow).name, tmp_path / Path(slow).parent
    assert is_left_out(tmp_path / slow, tmp_path, tmp_path, ["tests"])
    assert not is_left_out(tmp_path / slow, tmp_path, tmp_path, [slow])
    assert not is_left_out(tmp_path / slow, tmp_path, folder, [f"{name}::test_it"])
    assert not is_left_out(tmp_path / slow, tmp_path, tmp_path, [str(tmp_path / slow)])
    assert not is_left_out(folder / "test_fast.py", tmp_path, tmp_path, ["tests"])
    assert not is_left_out(Path("/elsewhere") / slow, tmp_path, tmp_path, ["/elsewhere"])


def test_this_run_leaves_them_out_unless_it_has_all(pytestconfig: pytest.Config) -> None:
    path = ROOT / TABLE.files[0].path
    named = any(path == Path(argument.partition("::")[0]).absolute() for argument in pytestconfig.args)
    ignored = pytestconfig.hook.pytest_ignore_collect(collection_path=path, config=pytestconfig)
    assert bool(ignored) is not (named or pytestconfig.getoption("--all"))


def test_a_film_is_kept_by_what_draws_it(tmp_path: Path) -> None:
    for folder in ("ltx_mcp/media/preview", "ltx_mcp/emulator", "tests/media", "tests/emulator"):
        (tmp_path / folder).mkdir(parents=True)
    for path in ("tests/media/films.py", "tests/emulator/made.py", "ltx_mcp/media/preview/render.py"):
        (tmp_path / path).touch()
    before = drawn_by.__wrapped__(tmp_path)
    assert drawn_by.__wrapped__(tmp_path) == before
    (tmp_path / "ltx_mcp/media/preview/render.py").write_text("#", encoding="utf-8")
    assert drawn_by.__wrapped__(tmp_path) != before


def test_what_is_kept_is_made_once_and_appears_whole(tmp_path: Path) -> None:
    path, made = tmp_path / "films" / "pond.mp4", []

    def make(part: Path) -> None:
        assert (path.exists(), part.suffix, part.parent) == (False, ".mp4", path.parent)
        part.write_bytes(b"film")
        made.append(part)

    assert [keep(path, make).read_bytes() for _ in range(2)] == [b"film", b"film"]
    assert (len(made), [*path.parent.iterdir()]) == (1, [path])


def test_two_who_make_the_same_do_not_disturb_each_other(tmp_path: Path) -> None:
    path = tmp_path / "pond.mp4"

    def make(part: Path) -> None:
        part.write_bytes(b"first")
        path.write_bytes(b"second")

    assert keep(path, make).read_bytes() == b"first"
