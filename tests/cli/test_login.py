"""Keys in the system's keyring: found by every command, after the environment, and never shown."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Ended, environment
from tests.patience import HANG_S

pytest.importorskip("keyring")

ROOT = Path(__file__).parents[2]
RING = "tests.cli.file_keyring.FileKeyring"
KEY = "key-of-fal-123456"

Run = Callable[..., Ended]


@pytest.fixture
def ltx(home: Path, tmp_path: Path) -> Run:
    """Runs `ltx-mcp` with a keyring in a file, with something on stdin."""

    def run(*arguments: str, typed: str = "", backend: str = RING, code: bool = False, **more: str) -> Ended:
        ring = {"PYTHON_KEYRING_BACKEND": backend, "PYTHONPATH": str(ROOT), "FILE_KEYRING": str(tmp_path / "ring")}
        command = [sys.executable, "-"] if code else [sys.executable, "-m", "ltx_mcp", *arguments]
        env = environment(home, **ring, **more)
        return subprocess.run(command, env=env, input=typed, capture_output=True, encoding="utf-8", timeout=HANG_S)

    return run


def usable(ltx: Run, **more: str) -> bool:
    facts = {each["name"]: each for each in json.loads(ltx("models", "--json", **more).stdout)}
    return bool(facts["fal"]["usable"])


def test_a_key_is_kept_used_and_taken_out_and_never_shown(ltx: Run, home: Path, tmp_path: Path) -> None:
    assert not usable(ltx)
    kept = ltx("login", "fal", typed=f"{KEY}\n")
    assert kept.returncode == 0, kept.stderr
    assert KEY not in kept.stdout + kept.stderr
    assert json.loads((tmp_path / "ring").read_text("utf-8")) == {"ltx-mcp FAL_KEY": KEY}
    assert KEY not in "".join(path.read_text("utf-8") for path in home.iterdir() if path.is_file())
    assert usable(ltx)
    assert "FAL_KEY is not in the keyring any more" in ltx("logout", "fal").stdout
    assert not usable(ltx)


def test_the_environment_comes_first_and_a_silent_keyring_stops_nothing(ltx: Run) -> None:
    assert ltx("login", "fal", typed=KEY).returncode == 0
    assert "that one is used here" in ltx("login", "fal", typed=KEY, FAL_KEY="another").stdout
    shown = ltx("models", "--json", backend="keyring.backends.fail.Keyring", LTX_MCP_LOG_LEVEL="WARNING")
    assert shown.returncode == 0
    assert usable(ltx, FAL_KEY="another")


def test_a_reference_that_the_host_did_not_fill_in_is_no_key_and_another_name_of_the_key_is_one(ltx: Run) -> None:
    assert ltx("login", "fal", typed=KEY).returncode == 0
    assert usable(ltx, FAL_KEY="${FAL_KEY}")
    assert ltx("login", "ltx", typed=KEY).returncode == 0
    read = "from ltx_mcp.presentation.config import read_edge; print(read_edge()[0].lookup('LTX_API_KEY'))"
    assert ltx(typed=read, code=True).stdout == f"{KEY}\n"
    assert ltx(typed=read, code=True, LTXV_API_KEY="another").stdout == "\n"


def test_a_machine_without_a_keyring_gets_a_plain_sentence(ltx: Run) -> None:
    refused = ltx("login", "fal", typed=KEY, backend="keyring.backends.fail.Keyring")
    assert refused.returncode == 3
    assert refused.stderr == (
        "ltx-mcp: missing_key: This machine has no keyring that a key could be kept in. "
        "Set the key in the environment.\n"
    )


@pytest.mark.parametrize(("provider", "typed"), [("fal", ""), ("fal", "two words\n"), ("local", KEY), ("sora", KEY)])
def test_what_is_no_key_or_needs_none_is_refused(ltx: Run, provider: str, typed: str) -> None:
    refused = ltx("login", provider, typed=typed)
    assert refused.returncode == 2
    assert refused.stderr.startswith("ltx-mcp: invalid_request: ")
