"""Real processes on bare machines: a working folder that is gone, a user nobody knows, a home of an odd name."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from shutil import which
from tempfile import TemporaryDirectory

import pytest

from ltx_mcp.launch import surroundings
from tests.patience import HANG_S

UID = "12345"
LTX_MCP = [sys.executable, "-P", "-m", "ltx_mcp"]
PREVIEW = ["generate", "a pond", "--provider", "local", "--resolution", "720p"]


def run(command: Sequence[str], cwd: Path, env: Mapping[str, str], *before: str) -> "subprocess.CompletedProcess[str]":
    given = surroundings(cwd, {"PATH": os.environ["PATH"], **env})
    return subprocess.run(
        [*before, *command], **given, capture_output=True, encoding="utf-8", stdin=subprocess.DEVNULL, timeout=HANG_S
    )


def test_a_preview_is_made_in_a_home_of_an_odd_name_from_a_folder_that_is_gone(tmp_path: Path) -> None:
    home, gone = tmp_path / "a%20?#🎬 b.", tmp_path / "gone"
    gone.mkdir()
    command = ["sh", "-c", 'rmdir "$PWD" && exec "$@"', "sh", *LTX_MCP, *PREVIEW]
    ended = run(command, gone, {"HOME": str(tmp_path), "LTX_MCP_HOME": str(home)})
    assert ended.returncode == 0, ended.stderr
    film = Path(ended.stdout.strip())
    assert (film.parent, film.exists(), gone.exists()) == (home / "videos", True, False)
    assert "Traceback" not in ended.stderr


as_nobody = ("setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups", "--inh-caps=-all", "env")
PYTHONS = (sys.executable, f"/usr/bin/python3.{sys.version_info.minor}")
"""One's own may lie in a folder that is closed to others."""


@dataclass(frozen=True)
class Nobody:
    """A user without an entry in passwd: a folder of theirs, and the Python that they can run."""

    folder: Path
    python: str

    def run(self, *arguments: str, **env: str) -> "subprocess.CompletedProcess[str]":
        return run([self.python, *LTX_MCP[1:], *arguments], Path("/"), env, *as_nobody)


@pytest.fixture
def nobody() -> Iterator[Nobody]:
    if os.name == "nt" or os.geteuid() != 0 or which("setpriv") is None:
        pytest.skip("only root may run as somebody else, with setpriv")
    able = [each for each in PYTHONS if not run([each, "-c", "import ltx_mcp"], Path("/"), {}, *as_nobody).returncode]
    if not able:
        pytest.skip("another user can run no Python that finds ltx-mcp")
    with TemporaryDirectory() as folder:  # pytest's own folders are closed to others
        os.chown(folder, int(UID), int(UID))
        yield Nobody(Path(folder), able[0])


def test_a_user_nobody_knows_works_in_the_home_that_is_set(nobody: Nobody) -> None:
    home = str(nobody.folder / "home")
    made = nobody.run(*PREVIEW, LTX_MCP_HOME=home)
    assert made.returncode == 0, made.stderr
    assert Path(made.stdout.strip()).exists()
    looked = nobody.run("doctor", "--offline", LTX_MCP_HOME=home)
    assert "Traceback" not in looked.stdout + looked.stderr
    assert "this user has no home folder" in looked.stdout


def test_a_user_nobody_knows_is_told_to_set_one(nobody: Nobody) -> None:
    for command in ([], ["jobs"], ["doctor", "--offline"]):
        ended = nobody.run(*command)
        assert ended.returncode == 3
        assert "LTX_MCP_HOME" in ended.stderr
        assert "Traceback" not in ended.stderr
