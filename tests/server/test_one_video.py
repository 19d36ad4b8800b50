"""The main job once through a stock client: what the slow test_videos.py tries in both eras and with every film."""

from pathlib import Path

import pytest

from tests.conftest import Connect
from tests.server import test_videos

pytestmark = pytest.mark.anyio


async def test_an_order_is_answered_at_once_and_ends_as_a_measured_film(connect: Connect) -> None:
    await test_videos.test_an_order_is_answered_at_once_and_ends_as_a_measured_film(connect, "auto")


async def test_the_same_order_twice_is_one_job_and_says_so(connect: Connect) -> None:
    await test_videos.test_the_same_order_twice_is_one_job_and_says_so(connect)


async def test_a_single_frame_can_be_looked_at(connect: Connect) -> None:
    await test_videos.test_a_single_frame_can_be_looked_at(connect)


async def test_what_waits_is_told_its_place_and_what_was_cancelled_ends_what_follows(
    connect: Connect, tmp_path: Path
) -> None:
    await test_videos.test_a_job_waiting_for_its_turn_is_told_its_place(connect)
    await test_videos.test_a_shot_after_one_that_was_cancelled_fails_and_says_why(connect)


async def test_the_models_resource_gives_the_facts(connect: Connect) -> None:
    await test_videos.test_the_models_resource_gives_the_facts(connect)
