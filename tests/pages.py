"""Follows a page that says how something is added: its code blocks, laid into a copy of the project. Not a test."""

import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

from tests.cli.conftest import environment
from tests.patience import HANG_S

ROOT = Path(__file__).parents[1]
FOLLOWED = ("ltx_mcp", "tests", "docs", "manifests")
FILES = ("README.md", "CONTRIBUTING.md", "SECURITY.md", "AGENTS.md", "CHANGELOG.md", "LICENSE", "pyproject.toml")
STEP = re.compile(
    r"^(?:In )?`(?P<path>[\w./]+)`(?:, (?P<where>before|after|instead of) `(?P<line>[^`\n]+)`)?:?\n\n"
    r"```\w+\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


Where = Literal["before", "after", "instead of"]


@dataclass(frozen=True)
class Step:
    """A block of a page: a new file, or lines before, after or instead of the one line that begins with `line`."""

    path: str
    where: Where | None
    line: str
    text: str

    def apply(self, text: str) -> str:
        """The file with this step done. Raises AssertionError where there is not exactly one such line."""
        lines = text.splitlines(keepends=True)
        found = [number for number, each in enumerate(lines) if each.strip().startswith(self.line)]
        assert len(found) == 1, f"{self.path}: {len(found)} lines begin with {self.line}"
        at = found[0]
        first, last = {"before": (at, at), "after": (at + 1, at + 1), "instead of": (at, at + 1)}[
            self.where or "before"
        ]
        return "".join([*lines[:first], self.text, *lines[last:]])


def read_steps(page: Path) -> list[Step]:
    """The steps of a page, in its order."""
    found = STEP.finditer(page.read_text(encoding="utf-8"))
    return [Step(each["path"], cast(Where | None, each["where"]), each["line"] or "", each["text"]) for each in found]


def follow(steps: list[Step], copy: Path) -> None:
    """Do the steps in a copy of what they speak of."""
    for folder in FOLLOWED:
        shutil.copytree(ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for name in FILES:
        shutil.copy(ROOT / name, copy)
    for step in steps:
        path = copy / step.path
        path.write_text(step.apply(path.read_text(encoding="utf-8")) if step.where else step.text, encoding="utf-8")


def run_in(copy: Path, *arguments: str) -> str:
    """What Python prints there. Fails where it does."""
    env = environment(copy / "home", PYTHONPATH=str(copy))
    command = [sys.executable, *arguments]
    run = subprocess.run(command, cwd=copy, env=env, capture_output=True, encoding="utf-8", timeout=HANG_S)
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout
