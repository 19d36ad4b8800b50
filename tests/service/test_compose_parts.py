"""The compose file is followed without containers: its parts run as processes, and each goes away and comes back."""

import os
from collections.abc import Iterator

import pytest

from tests.service.compose import read_example, read_services
from tests.service.parts import Journey, prepared

GO_ON = [name for name, each in read_services(dict.fromkeys(read_example(), "x")).items() if each.goes_on]
pytestmark = [pytest.mark.anyio, pytest.mark.skipif(os.name == "nt", reason="the parts are for POSIX")]


@pytest.fixture(scope="module")
def journey() -> Iterator[Journey]:
    """A service of all parts, where a film has been made."""
    with prepared() as one:
        yield one


async def test_a_film_is_ordered_with_a_login_saved_in_the_bucket_seen_without_one_and_told_of(
    journey: Journey,
) -> None:
    await journey.first_film()
    await journey.judge()


@pytest.mark.parametrize("name", GO_ON)
async def test_a_part_goes_away_and_comes_back_and_no_film_is_lost_or_ordered_twice(
    journey: Journey, name: str
) -> None:
    await journey.restart(name)
    await journey.judge()
