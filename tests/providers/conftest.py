"""What the tests of the providers share: one emulator and one event loop for a whole file of tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ltx_mcp.emulator.app import running
from ltx_mcp.emulator.emulator_state import EmulatorState
from tests.providers.clips import Clips


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """One loop for all tests of a file."""
    return "asyncio"


@pytest.fixture(scope="module")
def emulated(emulator_films: Path) -> Iterator[tuple[str, EmulatorState]]:
    """One emulator for all tests of a file."""
    with running(emulator_films) as made:
        yield made


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Clips:
    """Films, sounds and pictures to order from."""
    return Clips(tmp_path_factory.mktemp("clips"))
