"""A film in a bucket: the server's address leads the browser there, as the page's policy allows."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from mcp import Client

from tests.bucket.seaweed import S3Server
from tests.jobs.test_processes import processes_of, wait_for
from tests.patience import HANG_S
from tests.player.stage import APPS, DRAWN, Stage, place, until_ended
from tests.server.test_http import Served

pytestmark = pytest.mark.anyio


@pytest.fixture
def s3() -> Iterator[S3Server]:
    server = S3Server()
    yield server
    server.close()


@pytest.fixture
def with_bucket(tmp_path: Path, s3: S3Server) -> Iterator[Served]:
    """A server over HTTP whose films are in a bucket."""
    one = Served(tmp_path / "home", **s3.env, LTX_MCP_VIDEO_STORE=s3.new_address())
    yield one
    one.close()
    wait_for(lambda: not processes_of(one.home), HANG_S)


async def test_a_film_in_a_bucket_plays_and_seeks_through_the_redirect(
    stage: Stage, with_bucket: Served, s3: S3Server
) -> None:
    async with Client(with_bucket.url, extensions=[APPS]) as client:
        job_id = await place(client, prompt="a tide pool", duration=6, **DRAWN)
        assert (await until_ended(client, job_id))["state"] == "succeeded"
        async with stage.open(client) as player:
            asked: list[str] = []
            player.page.on("request", lambda request: asked.append(request.url))
            view = await player.give(job_id)
            assert await player.plays() > 0.2
            assert await player.ask("document.querySelector('video').currentSrc") == view["video_url"]
            await player.ask("void (document.querySelector('video').currentTime = 5)")
            await player.until("(one => one.currentTime >= 5 && !one.seeking && one.readyState > 1)($('video'))")
        assert any(url.startswith(f"{s3.url}/") and "X-Amz-Signature" in url for url in asked)
        assert not player.bridge.reads
