"""A server that is killed while it puts a film: another one, with a home of its own, puts it, and serves it."""

import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ltx_mcp.emulator.app import settings
from ltx_mcp.jobs.bucket.origin import origin_of
from tests.bucket.seaweed import BreakingWire, S3Server
from tests.conftest import Emulated
from tests.databases import PostgresServer
from tests.facts import facts_of
from tests.jobs.test_processes import processes_of, wait_for
from tests.patience import HANG_S
from tests.server.test_http import Served

ORDER: dict[str, Any] = {"prompt": "a heron", "provider": "fal", "resolution": "1080p"}


@pytest.fixture
def wire(s3: S3Server) -> Iterator[BreakingWire]:
    made = BreakingWire(s3)
    yield made
    made.close()


@pytest.fixture
def env(postgres: PostgresServer, bucket: str, emulator: Emulated) -> dict[str, str]:
    """What both servers are given."""
    emulator[1].wait_s, emulator[1].work_s = 0.0, 0.1
    return {
        **settings(emulator[0]),
        "LTX_MCP_DATABASE_URL": postgres.new_database(),
        "LTX_MCP_VIDEO_STORE": bucket,
    }


def test_a_put_that_death_cuts_off_is_finished_elsewhere_and_the_film_is_served_from_the_bucket(
    tmp_path: Path, env: dict[str, str], wire: BreakingWire, s3: S3Server, emulator: Emulated
) -> None:
    first = Served(tmp_path / "one", **env | {"AWS_ENDPOINT_URL": wire.url})
    try:
        job_id = facts_of(first.call("generate_video", **ORDER))["job_id"]
        assert wire.is_stuck.wait(HANG_S)
    finally:
        first.close()
    second = Served(tmp_path / "two", **env)
    try:

        def ended() -> dict[str, Any]:
            view = facts_of(second.call("check_job", job_id=job_id, wait_seconds=30, frames=False))
            return view if view["state"] not in ("queued", "submitting", "running", "saving") else {}

        view = wait_for(ended, 2 * HANG_S)
        assert view["state"] == "succeeded", view
        assert len(emulator[1].orders) == 1
        answer, _ = second.get(f"/videos/{job_id}.mp4")
        place = answer.headers["Location"]
        assert (answer.status, answer.headers["Cache-Control"]) == (307, "no-store")
        assert place.startswith(f"{origin_of(env['LTX_MCP_VIDEO_STORE'], lambda name: s3.env.get(name, ''))}/")
        with urllib.request.urlopen(place, timeout=HANG_S) as film:
            assert (len(film.read()), film.headers["Content-Type"]) == (view["size_bytes"], "video/mp4")
        answer, _ = second.get(f"/videos/{job_id}.mp4", "HEAD")
        head = urllib.request.Request(answer.headers["Location"], method="HEAD")
        with urllib.request.urlopen(head, timeout=HANG_S) as film:
            assert (answer.status, film.headers["Content-Length"]) == (307, str(view["size_bytes"]))
        assert second.get("/videos/job_nothere.mp4")[0].status == 404
    finally:
        second.close()
        wait_for(lambda: not processes_of(tmp_path), HANG_S)
