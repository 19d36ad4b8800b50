"""TAB in real shells, each on a terminal of its own, with the script that `completion` prints."""

import json
import os
import re
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Command, Place, environment, posix
from tests.conftest import missing
from tests.patience import HANG_S

pytestmark = posix

SHELLS = {
    "bash": ["bash", "--norc", "--noprofile", "-i"],
    "zsh": ["zsh", "-f", "-i"],
    "fish": ["fish", "--no-config", "-i"],
}
# a terminal that controls the shell, which fish insists on
TAKE_TERMINAL = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execvp(sys.argv[1], sys.argv[1:])"
)
TAB, HOME, END = "\t", "\x01", "\x05"
MOVES = re.compile(r"\x1b(\[[0-9;:?<>=]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\\\)|[()][0-9A-B]|[=>])")
SOURCE = {name: f'eval "$(ltx-mcp completion {name})"' for name in ("bash", "zsh")}
SOURCE["fish"] = "ltx-mcp completion fish | source"


class Shell:
    """An interactive shell that has read the script."""

    def __init__(self, name: str, folder: Path, **more: str) -> None:
        import pty

        self._ours, theirs = pty.openpty()
        bin_ = folder / "bin"
        bin_.mkdir(exist_ok=True)
        (bin_ / "ltx-mcp").write_text(f'#!/bin/sh\nexec {sys.executable} -m ltx_mcp "$@"\n', encoding="utf-8")
        (bin_ / "ltx-mcp").chmod(0o755)
        env = environment(folder / "home", TERM="xterm", PATH=f"{bin_}:{os.environ['PATH']}", HOME=str(folder), **more)
        self._process = subprocess.Popen(
            [sys.executable, "-c", TAKE_TERMINAL, *SHELLS[name]],
            cwd=folder,
            env=env,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        self.shown = ""
        self._marks = 0

    def typed(self, text: str) -> str:
        """What the terminal showed from `text` and Enter on, until the command was done."""
        self._marks += 1
        begun = len(self.shown)
        # the shell's own arithmetic tells the mark's echo from the mark
        mark = f"mark-{self._marks}-done"
        self._send(f"{text}\n")
        self._send(f"printf '%s-%s-%s\\n' mark {self._marks} done\n")
        end = time.monotonic() + HANG_S
        while mark not in self.shown[begun:]:
            assert time.monotonic() < end, self.shown[begun:]
            self._read()
        return self.shown[begun:]

    def completed(self, line: str) -> str:
        """What TAB makes of a line: the shell is asked to echo it."""
        shown = MOVES.sub("", self.typed(f"{line}{TAB}{HOME}echo 'now:' {END}"))
        return shown.rpartition("\nnow: ")[2].splitlines()[0].rstrip()

    def _send(self, text: str) -> None:
        os.write(self._ours, text.encode())

    def _read(self) -> None:
        if select.select([self._ours], [], [], 1)[0]:
            part = os.read(self._ours, 4096)
            if b"\x1b[c" in part or b"\x1b[0c" in part:  # fish asks what terminal this is
                self._send("\x1b[?62c")
            self.shown += part.decode(errors="replace").replace("\r", "")

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._ours)


OpenShell = Callable[..., Shell]


@pytest.fixture(params=SHELLS)
def shell(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[OpenShell]:
    """Opens a shell; one kind a test, and none is left at the end."""
    if shutil.which(request.param) is None:
        missing(f"{request.param} is not installed")
    opened: list[Shell] = []

    def start(**more: str) -> Shell:
        opened.append(Shell(request.param, tmp_path, **more))
        opened[-1].typed(SOURCE[request.param])
        return opened[-1]

    yield start
    for each in opened:
        each.close()


def test_tab_completes_commands_options_and_their_words(shell: OpenShell) -> None:
    opened = shell()
    assert opened.completed("ltx-mcp gen") == "ltx-mcp generate"
    assert opened.completed("ltx-mcp generate pond --resol") == "ltx-mcp generate pond --resolution"
    assert opened.completed("ltx-mcp generate pond --resolution 14") == "ltx-mcp generate pond --resolution 1440p"
    assert opened.completed("ltx-mcp estimate --provider by") == "ltx-mcp estimate --provider bytecompute"
    assert opened.completed("ltx-mcp estimate --operation ext") == "ltx-mcp estimate --operation extend"


def test_tab_completes_jobs_and_files(shell: OpenShell, queued: Place, tmp_path: Path) -> None:
    (tmp_path / "pier.png").touch()
    job_id = queued("a pond, with a comma\nand a second line")
    opened = shell()
    assert opened.completed("ltx-mcp jobs show job_") == f"ltx-mcp jobs show {job_id}"
    assert opened.completed("ltx-mcp jobs cancel job") == f"ltx-mcp jobs cancel {job_id}"
    assert opened.completed("ltx-mcp extend job_") == f"ltx-mcp extend {job_id}"
    assert opened.completed("ltx-mcp animate pi") == "ltx-mcp animate pier.png"


@pytest.mark.parametrize(
    "more", [{}, {"LTX_MCP_NONSENSE": "1"}, {"LTX_MCP_DATABASE_URL": "postgresql://nobody@127.0.0.1:9/none"}]
)
def test_tab_is_silent_where_there_are_no_jobs_or_the_settings_are_broken(
    shell: OpenShell, tmp_path: Path, more: dict[str, str]
) -> None:
    opened = shell()
    for name, value in more.items():
        opened.typed(f"export {name}={value}")
    assert opened.completed("ltx-mcp jobs show job_") == "ltx-mcp jobs show job_"
    assert "ltx-mcp: " not in opened.shown
    assert "Traceback" not in opened.shown
    assert not (tmp_path / "home").exists()


def offered(ltx: Command, *words: str) -> list[str]:
    """What the program itself answers a shell that asks."""
    line = " ".join(["ltx-mcp", *words])
    ended = ltx(COMP_WORDS=line, COMP_CWORD=str(len(words)), _LTX_MCP_COMPLETE="bash_complete")
    assert ended.stderr == ""
    return [word for kind, _, word in (each.partition(",") for each in ended.stdout.splitlines()) if kind == "plain"]


def test_only_jobs_that_can_be_meant_are_offered(ltx: Command, queued: Place) -> None:
    waiting, gone = queued("a pond"), queued("a lake")
    ltx("jobs", "cancel", gone)
    assert offered(ltx, "jobs", "show", "job") == [gone, waiting]
    assert offered(ltx, "jobs", "cancel", "job") == [waiting]
    assert offered(ltx, "jobs", "resolve", "job") == []
    assert offered(ltx, "animate", "job") == [f"{waiting}#last"]


def test_a_frame_of_a_job_is_offered_where_a_picture_is_wanted(ltx: Command, queued: Place) -> None:
    job_id = queued("a pond")
    assert offered(ltx, "animate", "x.png", "waves", "--end-image", "job") == [f"{job_id}#last"]
    assert offered(ltx, "retake", "job") == [job_id]


def test_jobs_do_not_stand_in_the_way_of_files(ltx: Command, queued: Place) -> None:
    queued("a pond")
    assert offered(ltx, "animate", "''") == offered(ltx, "extend", "j") == []


def test_a_prompt_of_many_lines_does_not_break_what_a_shell_reads(ltx: Command, queued: Place) -> None:
    jobs = [queued("a pond,\nwith: a second line,\n\nand more"), queued("a lake\n\n\n\nby night")]
    asked = {"COMP_WORDS": "ltx-mcp jobs show job", "COMP_CWORD": "3", "_LTX_MCP_COMPLETE": "zsh_complete"}
    lines = ltx(**asked).stdout.splitlines()
    assert lines[0::3] == ["plain", "plain"]
    assert lines[1::3] == jobs[::-1]
    fish = ltx(**asked | {"_LTX_MCP_COMPLETE": "fish_complete", "COMP_CWORD": "job"}).stdout.splitlines()
    assert [line.partition("\t")[0] for line in fish] == [f"plain,{job_id}" for job_id in jobs[::-1]]


@pytest.mark.parametrize("words", [["jobs", "show", "job_"], ["generate", "pond", "--fps", ""], [""]])
def test_an_answer_to_tab_brings_neither_the_sdk_nor_the_database_nor_the_drawing(
    tmp_path: Path, words: list[str]
) -> None:
    code = (
        "import sys\nfrom ltx_mcp.__main__ import main\nsys.argv = ['ltx-mcp']\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "import json; print(json.dumps([n for n in ('mcp', 'sqlalchemy', 'rich', 'av', 'httpx') if n in sys.modules]))"
    )
    line = " ".join(["ltx-mcp", *words])
    more = {"COMP_WORDS": line, "COMP_CWORD": str(len(words)), "_LTX_MCP_COMPLETE": "bash_complete"}
    env = environment(tmp_path / "home", **more)
    found = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert json.loads(found.stdout.splitlines()[-1]) == []
