"""The film that comes of an order is the one that was offered: its size, rate, length and sound."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from ltx_mcp.domain.job import State
from ltx_mcp.emulator.emulator_state import EmulatorState
from tests.providers.bench import Ask, Bench, image, opened, reframes, speaks, text
from tests.providers.clips import Clips

pytestmark = pytest.mark.anyio

ORDERS: list[tuple[Ask, str, dict[str, Any], tuple[int, int, float, float, bool]]] = [
    (text, "", {"model": "ltx-2.5-fast", "resolution": "720p", "fps": 48}, (1280, 720, 48, 6, True)),
    (text, "", {"model": "ltx-2.5-pro", "generate_audio": False, "fps": 50}, (1920, 1080, 50, 6, False)),
    (image, "tall.png", {"model": "ltx-2.5-fast", "camera_motion": "static"}, (1080, 1920, 25, 6, True)),
    (speaks, "3.5.mp3", {"model": "ltx-2.5-pro"}, (1920, 1080, 25, 3.5, True)),
    (text, "", {"model": "ltx-2.3-open", "seed": 7, "fps": 24}, (1920, 1088, 24, 6.042, True)),
    (image, "tall.png", {"model": "ltx-2.3-open", "resolution": "720p"}, (704, 1280, 25, 6.12, True)),
    (speaks, "3.5.mp3", {"model": "ltx-2.3-open", "resolution": "720p", "seed": 0}, (1280, 704, 25, 3.5, True)),
    (reframes, "wide.mp4", {}, (1080, 1920, 25, 3.2, True)),
    (reframes, "tall.mp4", {"aspect_ratio": "16:9", "resolution": "720p"}, (1280, 720, 24, 3.208, True)),
    (reframes, "silent.mp4", {"aspect_ratio": "4:5"}, (1080, 1350, 25, 3.2, False)),
    (reframes, "fast.mp4", {"aspect_ratio": "1:1", "provider": "ltx"}, (1080, 1080, 50, 3, True)),
]


@pytest.fixture(scope="module")
async def bench(emulated: tuple[str, EmulatorState], tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Bench]:
    emulated[1].reset()
    async with opened(tmp_path_factory.mktemp("films") / "home", emulated, folders=(Path("/"),)) as made:
        yield made


@pytest.mark.parametrize(("ask", "name", "changed", "film"), ORDERS)
async def test_the_film_is_the_one_that_was_offered(
    bench: Bench, clips: Clips, ask: Ask, name: str, changed: dict[str, Any], film: tuple[int, int, float, float, bool]
) -> None:
    given = [clips.path(name)] if name else []
    job = await bench.order(ask(*given, **{"provider": "fal"} | changed))
    assert (job.state, job.film is not None) == (State.SUCCEEDED, True), job.error
    assert job.film is not None
    made = (job.film.width, job.film.height, job.film.fps, job.film.duration, job.film.has_audio)
    assert made == pytest.approx(film, abs=0.06)
    assert [each for each in job.all_adjustments if each.by == "film"] == []


async def test_a_seed_goes_along_and_comes_back(bench: Bench) -> None:
    bench.world.orders.clear()
    await bench.order(text(provider="fal", seed=41, prompt="with a seed of its own"))
    (order,) = bench.orders()
    assert (order.endpoint, order.fields["seed"]) == ("fal-ai/ltx-2.3-22b/text-to-video", 41)
    assert order.facts["answer"] == {"seed": 41, "prompt": "with a seed of its own"}
