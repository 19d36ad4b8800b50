"""Eleven conversations with a real server process and the emulated providers. Each ends as it should, and the page of
the docs shows it as it goes now.
"""

import os
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conversations.page import PAGE, renewed, shown
from tests.conversations.play import NAMES, play
from tests.conversations.stage import Providers, emulated

pytestmark = [pytest.mark.anyio, pytest.mark.skipif(os.name == "nt", reason="a POSIX shell starts the servers")]

Played = Callable[[str], Coroutine[Any, Any, str]]


@pytest.fixture(scope="session")
def providers(emulator_films: Path) -> Iterator[Providers]:
    """One emulator for all of them."""
    with emulated(emulator_films) as running:
        yield running


@pytest.fixture(scope="session")
def transcripts() -> dict[str, str]:
    """Those of the conversations that were played to their end in this run."""
    return {}


@pytest.fixture
def played(transcripts: dict[str, str], providers: Providers, tmp_path: Path) -> Played:
    """Gives a conversation's transcript; each is played once."""

    async def of(name: str) -> str:
        if name not in transcripts:
            transcripts[name] = await play(name, tmp_path / "home", providers)
        return transcripts[name]

    return of


@pytest.mark.parametrize("name", NAMES)
async def test_a_conversation_ends_as_it_should(name: str, played: Played) -> None:
    assert await played(name)


@pytest.mark.parametrize("name", NAMES)
async def test_the_page_shows_it_as_it_is_now(name: str, played: Played) -> None:
    page = PAGE.read_text(encoding="utf-8")
    now = shown(renewed(page, dict.fromkeys(NAMES, "") | {name: await played(name)}))
    assert shown(page)[name] == now[name], "python -m tests.conversations renews the page"


def test_the_page_shows_them_all_in_their_order() -> None:
    assert tuple(shown(PAGE.read_text(encoding="utf-8"))) == NAMES
