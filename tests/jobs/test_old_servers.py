"""Two servers of version 0.1.0 go on with a large PostgreSQL database while `ltx-mcp migrate` changes it, and beside a
server of this version afterwards: nothing is lost, nothing is ordered twice, and all of it is counted."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ltx_mcp.domain.job import ChargeState, State
from ltx_mcp.jobs.store.large import LARGE
from ltx_mcp.jobs.store.migrations import STEPS
from tests.databases import PostgresServer
from tests.jobs.older import VERSION_0_1_0, WHATS, program_of
from tests.jobs.test_first_version import STEPS_OF_0_1_0
from tests.jobs.upgrade import Upgrade, upgrade


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory, postgres: PostgresServer, emulator_films: Path) -> Iterator[Upgrade]:
    """All of it, once."""
    folder = tmp_path_factory.mktemp("upgrade")
    older = program_of(VERSION_0_1_0, folder / "older")
    url = postgres.new_database()
    yield upgrade(url, LARGE, older, folder, emulator_films)
    postgres.take_back(url)


def test_a_server_of_this_version_says_what_it_waits_for_and_works_once_that_is_done(done: Upgrade) -> None:
    assert f"is at form {STEPS_OF_0_1_0}, and this version needs form {len(STEPS)}" in done.waiting
    assert "The operator runs: ltx-mcp migrate. Older servers may go on meanwhile." in done.waiting
    assert f"The database is at form {len(STEPS)} now." in done.migrated
    assert [call.refusal for call in done.new] == [""] * len(done.new)


def test_older_servers_take_orders_and_finish_them_all_the_while(done: Upgrade) -> None:
    assert {call.tool for call in done.during()} == {"generate_video", "check_job"}
    assert [call.refusal for call in done.old if call.refusal] == []


def test_an_older_server_that_is_started_afterwards_says_that_it_is_too_old(done: Upgrade) -> None:
    assert f"is at form {len(STEPS)}, written by a newer ltx-mcp; this one knows {STEPS_OF_0_1_0}." in done.restarted
    assert "Upgrade ltx-mcp" in done.restarted


def test_every_job_that_was_answered_is_there_with_its_film_and_was_ordered_once(done: Upgrade) -> None:
    ends = {job and (job.state, job.bill) for job in done.placed.values()}
    assert ends == {(State.SUCCEEDED, ChargeState.BOOKED)}
    assert sorted(done.orders) == sorted(job.prompt for job in done.placed.values() if job)
    assert set(done.orders.values()) == {1}


def test_what_was_there_before_is_there_with_its_history(done: Upgrade) -> None:
    assert done.rows == (LARGE, LARGE * len(WHATS))


def test_the_money_of_all_of_them_is_counted(done: Upgrade) -> None:
    assert done.counted == done.recounted
    assert sum(done.counted.values()) > 0
