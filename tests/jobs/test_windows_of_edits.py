"""The moments of test_windows.py for what is made of films and sounds: real servers, kill -9 at that very point, and
the orders counted where they arrive. A chain may lose its server at every link.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ltx_mcp.domain.job import Job, State
from ltx_mcp.emulator.emulator_state import EmulatorState, Fault
from tests.conftest import on_sqlite
from tests.jobs.moments import (
    LONG_S,
    SAVED_S,
    SOON_S,
    WORK_S,
    Relay,
    at,
    begin,
    check_saved,
    check_unknown,
    emulator,
    forbids_another,
    only_job,
    relay,
    told,
    world,
)
from tests.jobs.test_processes import Look, Server, look, noticed_s, on_database, servers, wait_for
from tests.providers.clips import Clips

__all__ = ["emulator", "look", "on_database", "relay", "servers", "world"]

pytestmark = [pytest.mark.skipif(os.name == "nt", reason="POSIX signals"), on_sqlite]

Start = Callable[[], Server]
Arguments = dict[str, Any]
FILMS = {"extend_video": (640, 360, 5.2), "retake_video": (640, 360, 3.2), "generate_from_audio": (1280, 720, 2.0)}


@pytest.fixture
def given(tmp_path: Path) -> Callable[[str, str], Arguments]:
    """The arguments of a tool at a provider, with a small film or a sound that the servers may read."""
    clips = Clips(tmp_path)

    def make(tool: str, provider: str) -> Arguments:
        both = {"provider": provider, "prompt": "a pond", "request_key": "shot-1"}
        if tool == "generate_from_audio":
            size = {"resolution": "720p" if provider == "ltx" else "1080p"}
            return both | size | {"audio": str(clips.path("2.mp3")), "model": "ltx-2.3-pro"}
        section = {"start_time": 1} if tool == "retake_video" else {}
        return both | section | {"video": str(clips.path("wide.mp4")), "duration": 2}

    return make


Given = Callable[[str, str], Arguments]


@pytest.mark.parametrize(("tool", "provider"), [("extend_video", "fal"), ("generate_from_audio", "ltx")])
def test_a_server_killed_while_what_it_was_given_is_sent_ahead_is_followed_by_one_that_orders_once(
    tool: str, provider: str, given: Given, world: EmulatorState, servers: Start, look: Look, home: Path
) -> None:
    world.faults.append(Fault(provider, "put", "delay", options={"seconds": LONG_S}))
    first, arguments = servers(), given(tool, provider)
    begin(first, tool, **arguments)
    wait_for(lambda: world.faults[0].times == 0, SOON_S)
    job = only_job(look)
    assert job.state is State.QUEUED
    first.kill()
    assert world.orders == []
    second = servers()
    check_saved(look, home, job.id, film=FILMS[tool])
    assert second.call(tool, **arguments)["job_id"] == job.id
    assert len(world.orders) == 1
    assert look.history(job.id).count("holder_died") == 1


@pytest.mark.parametrize(
    ("tool", "provider", "path"),
    [("generate_from_audio", "fal", "/fal-ai/ltx-2.3/audio-to-video"), ("retake_video", "ltx", "/v2/retake")],
)
def test_a_server_killed_right_after_the_order_went_out_leaves_one_order_and_it_is_unknown(
    tool: str, provider: str, path: str, given: Given, world: EmulatorState, relay: Relay, servers: Start, look: Look
) -> None:
    kept = relay.keep(f"POST {path} ")
    first, arguments = servers(), given(tool, provider)
    begin(first, tool, **arguments)
    kept.wait()
    job = only_job(look)
    assert (job.state, len(world.orders)) == (State.SUBMITTING, 1)
    first.kill()
    second = servers()
    check_unknown(look, job.id)
    assert forbids_another(told(second, tool, **arguments), job.id)
    assert forbids_another(told(second, "check_job", job_id=job.id, wait_seconds=1), job.id)
    assert len(world.orders) == 1


def test_a_server_killed_while_it_holds_half_a_film_that_was_the_answer_leaves_one_order_and_it_is_unknown(
    given: Given,
    world: EmulatorState,
    relay: Relay,
    servers: Start,
    look: Look,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LTX_MCP_LTX_API", "v1")
    kept = relay.keep("POST /v1/extend ", after_bytes=40_000)
    first, arguments = servers(), given("extend_video", "ltx")
    begin(first, "extend_video", **arguments)
    kept.wait()
    job = at(look, State.RUNNING)
    first.kill()
    second = servers()
    check_unknown(look, job.id)
    assert forbids_another(told(second, "extend_video", **arguments), job.id)
    assert len(world.orders) == 1
    assert not (home / "videos" / f"{job.id}.mp4").exists()


def test_a_film_of_which_half_had_come_when_its_server_was_killed_is_brought_whole(
    given: Given, world: EmulatorState, servers: Start, look: Look, home: Path
) -> None:
    world.faults += [
        Fault("media", "download", "cut"),
        Fault("media", "download", "delay", options={"seconds": LONG_S}),
    ]
    first = servers()
    job_id = first.call("retake_video", **given("retake_video", "fal"))["job_id"]
    wait_for(lambda: world.faults[1].times == 0, SAVED_S)
    assert look.job(job_id).state is State.SAVING
    assert [path.stat().st_size > 0 for path in (home / "videos").iterdir()] == [True]
    first.kill()
    servers()
    check_saved(look, home, job_id, film=FILMS["retake_video"])
    assert len(world.orders) == 1


def links(look: Look, *job_ids: str) -> list[Job]:
    return [look.job(job_id) for job_id in job_ids]


def test_a_chain_whose_servers_are_killed_at_every_link_is_ordered_once_each(
    world: EmulatorState, servers: Start, look: Look, home: Path
) -> None:
    """Killed while the first film is made, then while it is sent ahead for the second, then while that one is made."""
    world.work_s = LONG_S
    first = servers()
    shot = {"prompt": "a pond", "provider": "ltx", "model": "ltx-2.3-fast", "resolution": "720p", "fps": 24}
    whole = first.call("generate_video", **shot, duration=6)["job_id"]
    longer = first.call("extend_video", video=whole, duration=2, provider="fal")["job_id"]
    again = first.call("retake_video", video=longer, start_time=5, duration=2, prompt="rain", provider="fal")["job_id"]
    assert [job.state for job in links(look, whole, longer, again)] == [State.RUNNING, State.QUEUED, State.QUEUED]
    first.kill()
    assert [order.provider for order in world.orders] == ["ltx"]

    world.faults.append(Fault("fal", "put", "delay", options={"seconds": LONG_S}))
    world.work_s = WORK_S
    second = servers()
    wait_for(lambda: world.faults[0].times == 0, SAVED_S)
    assert [job.state for job in links(look, whole, longer)] == [State.SUCCEEDED, State.QUEUED]
    second.kill()
    assert len(world.orders) == 1

    world.work_s = LONG_S
    third = servers()
    wait_for(lambda: len(world.orders) == 2, noticed_s() + SOON_S)
    wait_for(lambda: look.job(longer).state is State.RUNNING, SOON_S)
    third.kill()
    world.work_s = WORK_S
    servers()
    wait_for(lambda: not look.job(again).live, 2 * SAVED_S)
    assert [job.state for job in links(look, whole, longer, again)] == [State.SUCCEEDED] * 3
    assert [job.film and job.film.duration for job in links(look, whole, longer, again)] == [6.0, 8.0, 8.0]
    assert [job.sources for job in links(look, longer, again)] == [(whole,), (longer,)]
    endpoints = [order.endpoint.rpartition("/")[2] for order in world.orders]
    assert endpoints == ["text-to-video", "extend-video", "retake-video"]


def test_an_extension_drawn_here_by_a_server_that_was_killed_is_drawn_again_whole(
    given: Given, world: EmulatorState, servers: Start, look: Look, home: Path
) -> None:
    first = servers()
    arguments = given("extend_video", "local") | {"duration": 20}
    job_id = first.call("extend_video", **arguments)["job_id"]
    wait_for(lambda: (look.job(job_id).progress or 0) > 0, SOON_S)
    first.kill()
    second = servers()
    check_saved(look, home, job_id, film=(640, 360, 23.2))
    assert second.call("extend_video", **arguments)["job_id"] == job_id
    assert (look.history(job_id).count("started"), world.orders) == (2, [])
