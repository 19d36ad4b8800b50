"""Prompts that begin with a dash, as lists and dialogue do."""

from collections.abc import Callable
from typing import Any

import pytest
from click.testing import CliRunner, Result

from ltx_mcp.cli import make
from ltx_mcp.cli.main import cli

PROMPTS = [
    "- a scene of snow",
    "-- two lovers, at last",
    "-5 degrees and no wind",
    "-old- letters, a hand",
    "--fast cut to a door",
]


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[Result, dict[str, Any]]]:
    """What a command would order."""
    order: dict[str, Any] = {}
    monkeypatch.setattr(make, "make", lambda model, tool, given: order.update(given))

    def run(*words: str) -> tuple[Result, dict[str, Any]]:
        order.clear()
        return CliRunner().invoke(cli, words), order

    return run


@pytest.mark.parametrize("prompt", PROMPTS)
def test_words_with_blanks_are_no_option(typed: Any, prompt: str) -> None:
    for words in (
        ("generate", prompt, "-d", "8"),
        ("generate", "--duration=8", prompt),
        ("generate", "-d", "8", "--", prompt),
    ):
        ended, order = typed(*words)
        assert ended.exit_code == 0, ended.output
        assert (order["prompt"], order["duration"]) == (prompt, "8")
    ended, order = typed("animate", "a b.png", prompt)
    assert (order["image"], order["prompt"]) == ("a b.png", prompt)


def test_a_word_without_blanks_is_still_an_option_and_the_way_round_is_told(typed: Any) -> None:
    ended, order = typed("generate", "-snow")
    assert (ended.exit_code, order) == (2, {})
    assert "put --" in ended.output
    assert typed("generate", "a pond", "--request-key=my key")[1]["request_key"] == "my key"
    assert typed("generate", "a pond", "--request-key", "- my key")[1]["request_key"] == "- my key"
