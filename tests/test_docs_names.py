"""Pages for contributors name files and symbols: each exists, and the rooms are told in the order that is enforced."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from tests.test_floors import FLOORS

ROOT = Path(__file__).parents[1]
PAGES = [
    ROOT / "AGENTS.md",
    ROOT / "CONTRIBUTING.md",
    *(ROOT / "docs" / f"{name}.md" for name in ("architecture", "adding-a-tool", "adding-a-provider", "releasing")),
]
OURS = r"(?:ltx_mcp|tests|docs|manifests|bench|\.ci|\.github)/"
NAMED = re.compile(rf"`({OURS}[\w./*-]*)(?::([\w.]+))?`")
LINKED = re.compile(r"\[`([\w.]+)`\]\((\.\./[\w./]+\.py)\)")
TO_COME = {
    "ltx_mcp/providers/toy.toml",
    "ltx_mcp/providers/toy.py",
    "ltx_mcp/emulator/toy.py",
    "tests/providers/wire/toy.json",
    "tests/server/test_show_history.py",
}
"""What two of the pages make in a copy of the project; other tests follow them."""


@cache
def names_in(path: Path) -> frozenset[str]:
    """The names that a module defines, and those of its classes as `Class.name`."""
    return frozenset(_defined(ast.parse(path.read_text(encoding="utf-8")).body, ""))


def _defined(body: list[ast.stmt], above: str) -> list[str]:
    found = []
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.append(f"{above}{node.name}")
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found += [f"{above}{target.id}" for target in targets if isinstance(target, ast.Name)]
        if isinstance(node, ast.ClassDef):
            found += _defined(node.body, f"{above}{node.name}.")
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_and_symbol_that_a_page_names_exists(page: Path) -> None:
    for path, symbol in NAMED.findall(page.read_text(encoding="utf-8")):
        if path not in TO_COME:
            assert [*ROOT.glob(path)] if "*" in path else (ROOT / path).exists(), path
        if symbol:
            assert symbol in names_in(ROOT / path), f"{path}:{symbol}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_symbol_that_a_link_is_called_by_is_in_that_file(page: Path) -> None:
    for name, target in LINKED.findall(page.read_text(encoding="utf-8")):
        path = page.parent / target
        is_file = path.name == name
        assert is_file or any(name in (each, each.rsplit(".", 1)[-1]) for each in names_in(path)), f"{target}: {name}"


def test_the_rooms_are_told_in_the_order_that_is_enforced() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rooms = re.findall(r"^- `ltx_mcp/(\w+)(?:\.py)?`:", text, re.MULTILINE)
    assert rooms == FLOORS


def test_enough_is_named_for_these_tests_to_mean_something() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    assert len(NAMED.findall(text)) > 40
    assert len(LINKED.findall(text)) > 15
