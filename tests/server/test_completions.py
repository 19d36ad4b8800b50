"""What a host can offer while somebody fills in a prompt or the address of a resource."""

from datetime import UTC, datetime

import pytest
from mcp import Client
from mcp.types import PromptReference, ResourceTemplateReference

from tests.conftest import ERAS, Connect, Era
from tests.server.test_videos import SMALL, answer, finished

pytestmark = pytest.mark.anyio

DIRECT = PromptReference(type="ref/prompt", name="direct_video")
JOB = ResourceTemplateReference(type="ref/resource", uri="ltx://jobs/{job_id}")
FRAME = ResourceTemplateReference(type="ref/resource", uri="ltx://jobs/{job_id}/frames/{seconds}")
SPEND = ResourceTemplateReference(type="ref/resource", uri="ltx://spend/{day}")


async def offered(
    client: Client,
    ref: PromptReference | ResourceTemplateReference,
    name: str,
    begun: str = "",
    context: dict[str, str] | None = None,
) -> list[str]:
    result = await client.complete(ref, {"name": name, "value": begun}, context)
    return result.completion.values


@pytest.mark.parametrize("era", ERAS)
async def test_models_are_offered_by_what_was_typed(connect: Connect, era: Era) -> None:
    async with connect(era) as client:
        assert await offered(client, DIRECT, "model", "LTX-2.5") == ["ltx-2.5-fast", "ltx-2.5-pro"]
        assert "preview" not in await offered(client, DIRECT, "model")


async def test_durations_are_those_of_the_chosen_model(connect: Connect) -> None:
    async with connect() as client:
        assert await offered(client, DIRECT, "duration", "", {"model": "ltx-2.3-pro"}) == ["6", "8", "10"]
        assert "20" in await offered(client, DIRECT, "duration")


async def test_recent_jobs_are_offered_newest_first_and_their_moments(connect: Connect) -> None:
    async with connect() as client:
        first = (await answer(client, "generate_video", prompt="a pond", **SMALL))["job_id"]
        await finished(client, first)
        second = (await answer(client, "generate_video", prompt="a lake", **SMALL))["job_id"]
        await answer(client, "cancel_job", job_id=second)
        assert await offered(client, JOB, "job_id") == [second, first]
        assert await offered(client, JOB, "job_id", first) == [first]
        assert f"{first}#last" in await offered(client, DIRECT, "image", "job_")
        moments = await offered(client, FRAME, "seconds", "", {"job_id": first})
        assert moments == [str(second) for second in range(7)]
        assert await offered(client, FRAME, "seconds", "", {"job_id": "job_none"}) == []


async def test_days_begin_with_today(connect: Connect) -> None:
    async with connect() as client:
        days = await offered(client, SPEND, "day")
    assert days[0] == "today"
    assert days[1] == datetime.now(UTC).date().isoformat()


async def test_nothing_is_opened_where_there_are_no_jobs(connect: Connect, home: object) -> None:
    async with connect() as client:
        assert await offered(client, JOB, "job_id") == []
        assert await offered(client, DIRECT, "idea", "a") == []
    assert not (home / "jobs.sqlite").exists()  # type: ignore[operator]
