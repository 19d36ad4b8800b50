"""An emulator for a test: its own address and world, on a folder of films that the whole run shares.

Other folders of tests import these fixtures. A film is drawn once in a run, when it is first downloaded.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ltx_mcp.emulator.app import running
from ltx_mcp.emulator.world import World

Emulated = tuple[str, World]
"""The address, and the world behind it."""


@pytest.fixture(scope="session")
def emulator_films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where drawn films are kept."""
    return tmp_path_factory.getbasetemp() / "films"


@pytest.fixture
def emulator(emulator_films: Path) -> Iterator[Emulated]:
    """All emulated providers, over a real socket."""
    with running(emulator_films) as (base_url, world):
        yield base_url, world
