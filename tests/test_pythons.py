"""What the code must keep from so that every declared Python reads it alike."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "ltx_mcp"
ATOMIC = re.compile(r"\(\?>|(?<!\\)[*+?}]\+")


def patterns(path: Path) -> Iterator[str]:
    """The text of every regular expression that a file spells out."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("re."):
            for each in ast.walk(node):
                if isinstance(each, ast.Constant) and isinstance(each.value, str):
                    yield each.value


def test_no_expression_is_possessive_or_atomic_which_early_3_11_reads_wrongly() -> None:
    found = {(path, text) for path in PACKAGE.rglob("*.py") for text in patterns(path)}
    assert len(found) > 20
    assert not {(path.name, text) for path, text in found if ATOMIC.search(text)}
