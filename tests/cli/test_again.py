"""The same command once more where nobody can be asked: what was made today is not ordered again without a word."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.cli.conftest import Command, Place

SAME = ["generate", "a pond", "--resolution", "720p", "--fps", "24", "--no-generate-audio"]


def grow_old(home: Path, minutes: int) -> None:
    """Let everything have ended earlier."""
    with closing(sqlite3.connect(home / "jobs.sqlite")) as database, database:
        database.execute("UPDATE jobs SET finished_at = finished_at - ?", (minutes * 60_000_000,))


def end(home: Path, state: str) -> None:
    """Let everything end now."""
    with closing(sqlite3.connect(home / "jobs.sqlite")) as database, database:
        database.execute("UPDATE jobs SET state = ?, finished_at = strftime('%s', 'now') * 1000000", (state,))


@pytest.mark.parametrize(("state", "said"), [("succeeded", "made"), ("unknown", "may have been taken and charged")])
def test_what_was_made_today_is_not_ordered_again_without_a_word(
    ltx: Command, home: Path, queued: Place, state: str, said: str
) -> None:
    job_id = queued("a pond")
    end(home, state)
    assert f"already had {job_id}; for another one give --new" in ltx(*SAME).stderr
    grow_old(home, 10)
    for more in ([], ["--yes"]):
        refused = ltx(*SAME, *more)
        assert (refused.returncode, refused.stdout) == (3, "")
        assert refused.stderr.startswith("ltx-mcp: needs_confirmation: The same request was ")
        for words in (job_id, "10 min ago", said, "Nothing was ordered.", "--new", "--request-key"):
            assert words in refused.stderr
    assert ltx("jobs", "--json").stdout.count("job_id") == 1


def test_new_and_a_key_are_one_too_many(ltx: Command) -> None:
    refused = ltx(*SAME, "--new", "--request-key", "kite")
    assert refused.returncode == 2
    assert "--new does not go with --request-key" in refused.stderr
