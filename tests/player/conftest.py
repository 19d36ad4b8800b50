"""One browser, one emulator and one server for all tests of the player."""

import shutil
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from mcp import Client

from ltx_mcp.emulator.app import running, settings
from ltx_mcp.emulator.emulator_state import EmulatorState
from tests.conftest import missing
from tests.jobs.test_processes import processes_of, wait_for
from tests.patience import HANG_S
from tests.server.test_http import Served

if TYPE_CHECKING:
    from tests.player.stage import Stage

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
LONG_S = 2000
"""Longer than any order takes here."""
FLAGS = ["--no-sandbox", "--mute-audio", "--autoplay-policy=no-user-gesture-required", "--disable-gpu"]


@pytest.fixture(scope="package")
def anyio_backend() -> str:
    """One event loop for the browser and everything that drives it."""
    return "asyncio"


@pytest.fixture(scope="package")
async def stage(anyio_backend: str) -> "AsyncIterator[Stage]":
    """A headless browser and a port for its pages."""
    try:
        from playwright.async_api import async_playwright
    except ImportError:
        missing("the Python package playwright is not installed")
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        missing(f"no browser was found: {', '.join(BROWSERS)}")
    from tests.player.stage import Stage, pages_served

    with pages_served() as (port, framed):
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=found, args=FLAGS)
            yield Stage(browser, port, framed)
            await browser.close()


@pytest.fixture(scope="package")
def emulated(emulator_films: Path) -> Iterator[tuple[str, EmulatorState]]:
    """One emulator."""
    with running(emulator_films) as address_and_world:
        yield address_and_world


@pytest.fixture
def world(emulated: tuple[str, EmulatorState]) -> EmulatorState:
    """Its world, without faults, where an order takes a moment, and those of earlier tests are long done."""
    world = emulated[1]
    world.faults.clear()
    world.wait_s, world.work_s = 0.0, 0.3
    for order in world.orders:
        if world.age_s(order) < LONG_S:
            order.placed_at -= timedelta(seconds=LONG_S)
    return world


@pytest.fixture(scope="package")
def served(tmp_path_factory: pytest.TempPathFactory, emulated: tuple[str, EmulatorState]) -> Iterator[Served]:
    """One server over HTTP, that orders from the emulator and draws by itself."""
    one = Served(tmp_path_factory.mktemp("player") / "home", **settings(emulated[0]))
    yield one
    one.close()
    wait_for(lambda: not processes_of(one.home), HANG_S)


@pytest.fixture
async def client(served: Served) -> AsyncIterator[Client]:
    """A host's connection to it."""
    from tests.player.stage import APPS

    async with Client(served.url, extensions=[APPS]) as connected:
        yield connected


@pytest.fixture(scope="package")
def filmed() -> dict[str, str]:
    """Finished jobs by who made them, each made once."""
    return {}


@pytest.fixture
async def bought(client: Client, world: EmulatorState, filmed: dict[str, str]) -> str:
    """A film of a provider, under the provider's address."""
    from tests.player.stage import place, until_ended

    if "bought" not in filmed:
        filmed["bought"] = await place(client, prompt="a tide pool\nat noon", provider="fal")
        await until_ended(client, filmed["bought"])
    return filmed["bought"]


@pytest.fixture
async def drawn(client: Client, filmed: dict[str, str]) -> str:
    """A small film that was drawn here."""
    from tests.player.stage import DRAWN, PROMPT, place, until_ended

    if "drawn" not in filmed:
        filmed["drawn"] = await place(client, prompt=PROMPT, **DRAWN)
        await until_ended(client, filmed["drawn"])
    return filmed["drawn"]
