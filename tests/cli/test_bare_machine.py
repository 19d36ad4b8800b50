"""Real processes on bare machines: a working folder that is gone, a user nobody knows, a home of an odd name."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from shutil import which

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


as_nobody = ("setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups")


@pytest.fixture
def nobody(tmp_path: Path) -> Path:
    """A folder of a user without an entry in passwd, who can be run as here."""
    if os.name == "nt" or os.geteuid() != 0 or which("setpriv") is None:
        pytest.skip("only root may run as somebody else, with setpriv")
    for each in (tmp_path, *tmp_path.parents[:2]):
        each.chmod(0o755)
    mine = tmp_path / "mine"
    mine.mkdir()
    os.chown(mine, int(UID), int(UID))
    if run([sys.executable, "-c", ""], tmp_path, {}, *as_nobody).returncode:
        pytest.skip("another user cannot read this Python")
    return mine


def test_a_user_nobody_knows_works_in_the_home_that_is_set(nobody: Path) -> None:
    env = {"LTX_MCP_HOME": str(nobody / "home")}
    made = run([*LTX_MCP, *PREVIEW], Path("/"), env, *as_nobody)
    assert made.returncode == 0, made.stderr
    assert Path(made.stdout.strip()).exists()
    looked = run([*LTX_MCP, "doctor", "--offline"], Path("/"), env, *as_nobody)
    assert "Traceback" not in looked.stdout + looked.stderr
    assert "this user has no home folder" in looked.stdout


def test_a_user_nobody_knows_is_told_to_set_one(nobody: Path) -> None:
    for command in ([], ["jobs"], ["doctor", "--offline"]):
        ended = run([*LTX_MCP, *command], Path("/"), {}, *as_nobody)
        assert ended.returncode == 3
        assert "LTX_MCP_HOME" in ended.stderr
        assert "Traceback" not in ended.stderr
