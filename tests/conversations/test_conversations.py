"""Fourteen conversations with a real server process and the emulated providers. Each ends as it should, and the page of
the docs shows it as it goes now.
"""

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.conversations.page import PAGE, renewed, shown
from tests.conversations.play import NAMES, play
from tests.conversations.reading import HALVES, Half
from tests.conversations.stage import Providers, emulated

pytestmark = [pytest.mark.anyio, pytest.mark.skipif(os.name == "nt", reason="a POSIX shell starts the servers")]


@pytest.fixture(scope="session")
def providers(emulator_films: Path) -> Iterator[Providers]:
    """One emulator for all of them."""
    with emulated(emulator_films) as running:
        yield running


@pytest.mark.parametrize("half", HALVES)
@pytest.mark.parametrize("name", NAMES)
async def test_a_conversation_ends_as_it_should_and_the_page_shows_it(
    name: str, half: Half, providers: Providers, tmp_path: Path
) -> None:
    """Whichever half of the answers its model is shown: pictures come with both."""
    began = datetime.now(UTC).date()
    try:
        transcript = await play(name, tmp_path / "home", providers, half)
    except AssertionError:
        if datetime.now(UTC).date() == began:
            raise
        transcript = await play(name, tmp_path / "tomorrow", providers, half)  # a budget is a day's
    page = PAGE.read_text(encoding="utf-8")
    now = shown(renewed(page, dict.fromkeys(NAMES, "") | {name: transcript}))
    assert shown(page)[name] == now[name], "python -m tests.conversations renews the page"


def test_the_page_shows_them_all_in_their_order() -> None:
    assert tuple(shown(PAGE.read_text(encoding="utf-8"))) == NAMES
