"""Commands that are left while work is under way, workers, and real terminals."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import pytest

from ltx_mcp.domain.job import State
from tests.cli.conftest import (
    COLOUR,
    LONG,
    Command,
    Film,
    Place,
    environment,
    first_line,
    insist,
    posix,
)
from tests.jobs.test_processes import INITIALIZE, Look, media_children, processes_of, wait_for
from tests.patience import HANG_S

# -- leaving and working on ---------------------------------------------------------------------------------------


class Going:
    """`generate` under way, as the leader of its own process group, like a command of an interactive shell."""

    def __init__(self, home: Path, *arguments: str) -> None:
        command = [sys.executable, "-m", "ltx_mcp", "generate", "a pond", *arguments]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(
            command, env=environment(home), stdout=pipe, stderr=pipe, encoding="utf-8", start_new_session=True
        )
        self.job_id = first_line(self.process.stderr).split()[0]

    def interrupt(self, number: signal.Signals = signal.SIGINT) -> None:
        """What Ctrl-C does: every process of the group is told."""
        os.killpg(self.process.pid, number)

    def end(self) -> tuple[int, str, str]:
        out, told = self.process.communicate(timeout=HANG_S)
        return self.process.returncode, out, told


@pytest.fixture
def going(home: Path) -> Iterator[Callable[..., Going]]:
    """Starts long orders; at the end no process works on the home any more."""
    started: list[Going] = []

    def start(*arguments: str) -> Going:
        started.append(Going(home, *arguments))
        return started[-1]

    yield start
    for each in started:
        each.process.kill()
        each.process.communicate()
    wait_for(lambda: not processes_of(home), HANG_S)


@posix
def test_ctrl_c_leaves_the_job_running_and_says_how_to_find_it(
    going: Callable[..., Going], look: Look, home: Path
) -> None:
    order = going(*LONG)
    wait_for(lambda: (look.job(order.job_id).progress or 0) > 0, HANG_S)
    order.interrupt()
    code, out, told = order.end()
    assert (code, out) == (4, "")
    assert f"Left running: {order.job_id}. ltx-mcp jobs show {order.job_id}" in told
    assert "Traceback" not in told
    wait_for(lambda: look.job(order.job_id).state is State.SUCCEEDED, HANG_S)
    wait_for(lambda: not processes_of(home), HANG_S)
    assert (home / "videos" / f"{order.job_id}.mp4").exists()


@posix
@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_asking_again_and_again_to_end_does_not_break_the_handover(
    going: Callable[..., Going], look: Look, ltx: Command, name: str
) -> None:
    order, number = going(*LONG), signal.Signals[name]
    wait_for(lambda: media_children(order.process.pid), HANG_S)
    insist(order.process, number)
    code, _, told = order.end()
    assert code in (4, -number)  # it may be asked once more when all is done
    assert "Traceback" not in told
    wait_for(lambda: look.history(order.job_id).count("started") == 2, HANG_S)
    assert re.search("cancelled|succeeded", ltx("jobs", "cancel", order.job_id).stdout)


def test_a_worker_until_idle_ends_by_itself_when_there_is_nothing_to_do(ltx: Command) -> None:
    ended = ltx("work", "--until-idle")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


@posix
def test_two_workers_until_idle_render_a_queued_job_once(home: Path, look: Look, queued: Place) -> None:
    job_id = queued("a pond")
    command = [sys.executable, "-m", "ltx_mcp", "work", "--until-idle"]
    both = [subprocess.Popen(command, env=environment(home)) for _ in range(2)]
    assert [process.wait(HANG_S) for process in both] == [0, 0]
    assert look.job(job_id).state is State.SUCCEEDED
    assert look.history(job_id).count("started") == 1
    assert processes_of(home) == []


# -- terminals ----------------------------------------------------------------------------------------------------


class Terminal:
    """A command with one of its streams on a terminal of 80 columns; the others are pipes."""

    def __init__(self, home: Path, *arguments: str, on: Literal["stdin", "stderr"], **more: str) -> None:
        import pty

        self._ours, theirs = pty.openpty()
        streams: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE) | {on: theirs}
        env = environment(home, TERM="xterm-256color", COLUMNS="80", **more)
        self.process = subprocess.Popen([sys.executable, "-m", "ltx_mcp", *arguments], env=env, **streams)
        os.close(theirs)

    def shown(self) -> str:
        """Everything that appeared on the terminal until the command ended."""
        found = b""
        while True:
            try:
                part = os.read(self._ours, 4096)
            except OSError:  # Linux says so when the last writer is gone
                part = b""
            if not part:
                return found.decode()
            found += part

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()
        os.close(self._ours)


@pytest.fixture
def terminal(home: Path) -> Iterator[Callable[..., Terminal]]:
    """Opens terminals; none is left at the end."""
    started: list[Terminal] = []

    def start(*arguments: str, at: Path = home, **options: Any) -> Terminal:
        started.append(Terminal(at, *arguments, **options))
        return started[-1]

    yield start
    for each in started:
        each.close()


@posix
def test_the_server_on_a_terminal_says_what_it_waits_for_and_ends_at_ctrl_c(terminal: Callable[..., Terminal]) -> None:
    process = terminal(on="stdin").process
    told = first_line(process.stderr).decode()
    assert "waits for a host on stdin" in told
    assert "ltx-mcp --help" in told
    process.send_signal(signal.SIGINT)
    assert process.wait(HANG_S) == 0


@posix
def test_a_terminal_sees_a_bar_without_colour_where_none_is_wanted(
    terminal: Callable[..., Terminal], film: Film
) -> None:
    opened = terminal(*film.order, "--request-key", "another kite", on="stderr", at=film.home, NO_COLOR="1")
    shown = opened.shown()
    assert "━" in shown
    assert not COLOUR.search(shown)
    made = Path(opened.process.communicate(timeout=HANG_S)[0].decode().strip())
    assert (made.parent, made.is_file(), made != film.path) == (film.path.parent, True, True)


MESSAGES: list[dict[str, Any]] = [
    {"id": 1, "method": "initialize", "params": INITIALIZE},
    {"method": "notifications/initialized"},
    {"id": 2, "method": "tools/list"},
    {"id": 3, "method": "tools/call", "params": {"name": "generate_video", "arguments": {"prompt": ""}}},
    {"id": 4, "method": "tools/call", "params": {"name": "estimate_cost", "arguments": {}}},
]


def test_in_a_pipe_the_server_writes_only_messages_to_stdout_and_nothing_to_stderr(home: Path) -> None:
    pipe = subprocess.PIPE
    server = subprocess.Popen(
        [sys.executable, "-m", "ltx_mcp"], env=environment(home), stdin=pipe, stdout=pipe, stderr=pipe
    )
    assert server.stdin is not None
    assert server.stdout is not None
    server.stdin.write("".join(json.dumps({"jsonrpc": "2.0", **each}) + "\n" for each in MESSAGES).encode())
    server.stdin.flush()
    answered = [json.loads(server.stdout.readline()) for _ in range(4)]
    rest, told = server.communicate(timeout=HANG_S)
    assert {each["id"] for each in answered} == {1, 2, 3, 4}
    assert {each["jsonrpc"] for each in answered} == {"2.0"}
    assert (server.returncode, rest, told) == (0, b"", b"")
