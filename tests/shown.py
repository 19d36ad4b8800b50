"""Finds the commands that README, docs and the help show: lines of code blocks, and code within a sentence."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

import click

from ltx_mcp.cli.main import cli

ROOT = Path(__file__).parents[1]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "AGENTS.md",
    ROOT / "manifests" / "README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]
PROGRAMS = ("ltx-mcp", "make", "python", "pytest", "pip", "uvx", "uv", "claude", "codex", "gemini", "code", "docker")
MORE = ("bash", "curl", "eval", "npx")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`([^`\n]+)`")
COMMENT = re.compile(r"\s{2,}#.*$")
TALK = re.compile(r"\[[^\]]*\]")
"""What a synopsis leaves to the reader: `[--port 8100]`."""


@dataclass(frozen=True, order=True)
class Shown:
    """A command as a page shows it."""

    text: str
    page: str

    @property
    def words(self) -> list[str]:
        """As a shell would split it; the optional parts of a synopsis are left out."""
        return shlex.split(TALK.sub("", self.text))

    @property
    def program(self) -> str:
        """What is called."""
        return self.words[0]


def shown() -> list[Shown]:
    """Every command, once, with the first page that shows it."""
    found: dict[str, Shown] = {}
    for page in PAGES:
        for text in _code(page.read_text(encoding="utf-8")):
            line = COMMENT.sub("", text).strip().removeprefix("$ ")
            if _is_command(line):
                found.setdefault(line, Shown(line, page.name))
    return sorted(found.values())


def examples() -> list[Shown]:
    """The examples at the end of each command's help."""
    root = click.Context(cli)
    commands = [command for name in cli.list_commands(root) if (command := cli.get_command(root, name))]
    lines = [line.strip() for command in commands for line in (command.epilog or "").splitlines()]
    return [Shown(line, "help") for line in lines if _is_command(line)]


def _code(text: str) -> list[str]:
    blocks = [line for language, block in FENCE.findall(text) if language in ("", "sh") for line in block.splitlines()]
    rest = FENCE.sub("", text)
    indented = [line for line in rest.splitlines() if line.startswith("    ")]
    return [*blocks, *indented, *INLINE.findall(rest)]


def _is_command(line: str) -> bool:
    program, _, rest = line.partition(" ")
    return program in PROGRAMS + MORE and bool(rest.strip()) and "=" not in program
