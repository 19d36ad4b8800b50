"""Each home has its own database in its own folder, whatever the folder is called."""

from collections.abc import Callable
from pathlib import Path

import pytest

from ltx_mcp.jobs.store.database import Database
from ltx_mcp.jobs.store.rows import NewJob
from ltx_mcp.jobs.store.store import Store
from tests.conftest import Clock

NAMES = ("a b", "a%20b", "a%2fb", "a?b", "a#b", "a&mode=ro", "🎬", "dot.", "file:x", ":memory:", "-dash", 'quo"te', "é")


@pytest.mark.anyio
async def test_homes_of_any_name_keep_their_jobs_apart(
    tmp_path: Path, new_job: Callable[..., NewJob], clock: Clock
) -> None:
    made: dict[str, str] = {}
    for name in NAMES:
        database = Database.open(tmp_path / name)
        made[name] = Store(database).place(new_job(), clock()).job.id
        assert await database.quick_read("SELECT id FROM jobs", ()) == [(made[name],)]
        database.close()
    for name in NAMES:
        assert (tmp_path / name / "jobs.sqlite").stat().st_size > 0
        database = Database.open(tmp_path / name)
        assert [job.id for job in Store(database).page("local", "", 9, None)] == [made[name]]
        database.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(NAMES)
