"""Every declared Python: what the code must keep from so that all read it alike, and where each is tried."""

import ast
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "ltx_mcp"
ATOMIC = re.compile(r"\(\?>|(?<!\\)[*+?}]\+")


def patterns(path: Path) -> Iterator[str]:
    """The text of every regular expression that a file spells out."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("re."):
            for each in ast.walk(node):
                if isinstance(each, ast.Constant) and isinstance(each.value, str | bytes):
                    yield each.value if isinstance(each.value, str) else each.value.decode("latin-1")


def test_no_expression_is_possessive_or_atomic_which_early_3_11_reads_wrongly() -> None:
    found = {(path, text) for path in PACKAGE.rglob("*.py") for text in patterns(path)}
    assert len(found) > 20
    assert not {(path.name, text) for path, text in found if ATOMIC.search(text)}


def test_the_workflow_tries_every_declared_python_and_the_next_one() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared = [line.rpartition(" ")[2] for line in project["classifiers"] if "Python :: 3." in line]
    workflow = (ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")
    (pythons,) = re.findall(r"python: (\[.+\])", workflow)
    assert json.loads(pythons) == [*declared, f"3.{int(declared[-1].partition('.')[2]) + 1}"]


def test_the_python_that_asks_comes_first_and_each_patch_version_once() -> None:
    command = [sys.executable, str(ROOT / ".ci" / "pythons.py")]
    found = subprocess.run(command, capture_output=True, encoding="utf-8", check=True).stdout.splitlines()
    assert found[0] == sys.executable
    told = [subprocess.run([each, "--version"], capture_output=True, encoding="utf-8").stdout for each in found]
    assert len(set(told)) == len(told)
