"""Real processes that die while they tell a webhook, kill -9 at that very point: each end is told at least once, and
always under one id; and an end that nobody told who was there is told by who comes later.
"""

import os
import socket
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
from sqlalchemy import text

from ltx_mcp.domain.job import State
from tests.jobs.moments import ORDER, SOON_S, emulator
from tests.jobs.test_processes import Look, Server, look, on_database, servers, wait_for
from tests.patience import HANG_S
from tests.webhooks.receiver import Reply, hook_text, receiving

__all__ = ["emulator", "look", "on_database", "servers"]

pytestmark = [pytest.mark.skipif(os.name == "nt", reason="POSIX signals"), pytest.mark.usefixtures("emulator")]

SETTING = "LTX_MCP_WEBHOOKS"
Start = Callable[[], Server]


@pytest.fixture
def told_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Has every process that is started from here on tell this address."""

    def write(url: str) -> None:
        file = tmp_path / "webhooks.toml"
        file.write_text(hook_text("shop", url), encoding="utf-8")
        monkeypatch.setenv(SETTING, str(file))

    return write


def order(server: Server) -> str:
    placed: str = server.call("generate_video", provider="fal", wait_seconds=0, **ORDER)["job_id"]
    return placed


def expire_claims(look: Look) -> None:
    """Let a minute pass for the claims of who was killed."""
    with look.database.write() as connection:
        connection.execute(text("UPDATE deliveries SET next_at = 0 WHERE outcome = ''"))


def outcomes(look: Look) -> list[str]:
    with look.database.read() as connection:
        return list(connection.execute(text("SELECT outcome FROM deliveries")).scalars())


def test_a_process_killed_between_the_end_of_a_job_and_its_message_is_followed_by_one_that_sends_it(
    servers: Start, look: Look, told_at: Callable[[str], None]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        deaf.settimeout(HANG_S)
        port = deaf.getsockname()[1]
        told_at(f"http://127.0.0.1:{port}/hooks")
        first = servers()
        job_id = order(first)
        connection, _ = deaf.accept()  # all is written down, and nobody has read a word
        first.kill()
        connection.close()
    assert (look.job(job_id).state, outcomes(look)) == (State.SUCCEEDED, [""])
    with receiving(port=port) as receiver:
        expire_claims(look)
        servers().call("list_jobs")
        (told,) = receiver.wait(1)
        assert told.message["data"]["job_id"] == job_id
        wait_for(lambda: outcomes(look) == ["delivered"], SOON_S)
        assert len(receiver.told) == 1


def test_a_process_killed_between_a_2xx_and_its_note_is_followed_by_one_that_tells_it_again_under_the_same_id(
    servers: Start, look: Look, told_at: Callable[[str], None]
) -> None:
    held = ExitStack()
    with receiving() as receiver, held:
        told_at(receiver.url)
        first = servers()

        def hold() -> None:
            connection = held.enter_context(look.database.write())
            connection.execute(text("UPDATE deliveries SET request_key = request_key"))

        def kill() -> None:  # the answer was read to its end, and could not be noted
            first.kill()
            held.close()

        receiver.replies = [Reply(204, before=hold, after=kill)]
        job_id = order(first)
        first.process.wait(HANG_S)
        wait_for(lambda: look.job(job_id).state is State.SUCCEEDED, SOON_S)
        assert outcomes(look) == [""]
        expire_claims(look)
        servers().call("list_jobs")
        once, again = receiver.wait(2)
        assert (once.id, once.body) == (again.id, again.body)
        wait_for(lambda: outcomes(look) == ["delivered"], SOON_S)
        assert len(receiver.told) == 2


def test_an_end_that_a_process_without_the_file_makes_is_told_by_one_that_has_it(
    servers: Start, look: Look, told_at: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    with receiving() as receiver:
        told_at(receiver.url)
        first = servers()
        first.call("list_jobs")
        wait_for(lambda: registered(look) == ["shop"], SOON_S)
        first.close()
        file = os.environ[SETTING]
        monkeypatch.delenv(SETTING)
        second = servers()
        job_id = order(second)
        wait_for(lambda: look.job(job_id).state is State.SUCCEEDED, SOON_S)
        second.kill()
        assert (receiver.told, outcomes(look), registered(look)) == ([], [""], ["shop"])
        monkeypatch.setenv(SETTING, file)
        servers().call("list_jobs")
        (told,) = receiver.wait(1)
        assert told.message["type"] == "job.succeeded"


def registered(look: Look) -> list[str]:
    with look.database.read() as connection:
        return list(connection.execute(text("SELECT name FROM webhooks")).scalars())
