"""The programs of docs/python.md, run as they stand: they order a film, follow it and print where it lies."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import environment
from tests.jobs.test_processes import processes_of, wait_for
from tests.patience import HANG_S
from tests.server.test_http import Served

PAGE = (Path(__file__).parents[1] / "docs" / "python.md").read_text(encoding="utf-8")
STDIO, HTTP = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
ADDRESS = "http://127.0.0.1:8000/mcp"


def run(program: str, folder: Path) -> str:
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    env = environment(folder / "home", PATH=path)
    command = [sys.executable, "-c", program]
    ended = subprocess.run(command, cwd=folder, env=env, capture_output=True, encoding="utf-8", timeout=HANG_S)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


@pytest.mark.parametrize("program", [STDIO, HTTP])
def test_a_client_has_fifteen_lines(program: str) -> None:
    lines = [line for line in program.splitlines() if line.strip()]
    assert len(lines) <= 16


def test_the_client_over_stdio_makes_a_film_and_finds_it_again(tmp_path: Path) -> None:
    first = run(STDIO, tmp_path)
    assert re.fullmatch(r"succeeded file://\S+\.mp4\n", first)
    assert run(STDIO, tmp_path) == first
    wait_for(lambda: not processes_of(tmp_path / "home"), HANG_S)


def test_the_client_over_http_makes_a_film(tmp_path: Path) -> None:
    assert ADDRESS in HTTP
    served = Served(tmp_path / "home")
    try:
        assert re.fullmatch(r"succeeded http://\S+\.mp4\n", run(HTTP.replace(ADDRESS, served.url), tmp_path))
    finally:
        served.close()
    wait_for(lambda: not processes_of(tmp_path / "home"), HANG_S)
