"""join_videos through a stock client: previews and files become one film, and every answer says what it is."""

from pathlib import Path

import pytest

from tests.media.films import Recipe, make
from tests.server.test_editing import Opened, agent

__all__ = ["agent"]

pytestmark = pytest.mark.anyio

CAPTIONS = "1\n00:00:00,500 --> 00:00:01,500\nDämmerung\n"
UPRIGHT = Recipe(size=(180, 320), audio=None, frames=60)


async def test_a_preview_and_files_become_a_film_that_is_said_to_have_a_preview(agent: Opened, tmp_path: Path) -> None:
    make(tmp_path / "a.mp4", Recipe())
    make(tmp_path / "b.mp4", UPRIGHT)
    async with agent() as talk:
        shot = await talk.calls("generate_video", prompt="a pond", resolution="720p", provider="local")
        view, _ = await talk.film(
            "join_videos",
            videos=["a.mp4", f"{shot['job_id']}@1-2", "b.mp4"],
            captions=CAPTIONS,
            titles=["", "Dusk"],
            transition="crossfade",
            resolution="720p",
            aspect_ratio="16:9",
        )
        told = await talk.says("check_job", job_id=view["job_id"], frames=False)
        listed = await talk.says("list_jobs")
    assert (view["operation"], view["provider"], view["cost_usd"], view["sources"]) == (
        "join",
        "local",
        0,
        [shot["job_id"]],
    )
    assert (view["width"], view["height"], view["fps"], view["has_audio"]) == (1280, 720, 25, True)
    assert view["duration"] == pytest.approx(2 + 1 + 2.4 - 2 * 0.5, abs=0.05)
    assert view["is_preview"]
    for text in (told, view["next"]):
        assert "has previews drawn on this machine" in text
        assert "join_videos with its job in the old one's place" in text
    assert f"{view['job_id']} succeeded: join from {shot['job_id']} at local" in listed


async def test_a_film_of_files_is_no_preview(agent: Opened, tmp_path: Path) -> None:
    make(tmp_path / "a.mp4", Recipe())
    async with agent() as talk:
        placed = await talk.calls("join_videos", videos=["a.mp4@0-1", "a.mp4@1-2"], wait_seconds=45)
        view, _ = await talk.ends(placed["job_id"])
        assert "free of charge" in await talk.refused("estimate_cost", operation="join")
    assert (placed["is_preview"], view["is_preview"], view["duration"]) == (False, False, 2)
    assert "preview" not in view["next"]


async def test_a_refusal_repeats_the_video_as_it_was_given(agent: Opened, tmp_path: Path) -> None:
    make(tmp_path / "a.mp4", Recipe())
    (tmp_path / "notes.txt").write_text("no video", encoding="utf-8")
    async with agent() as talk:
        for given in (
            "b.mp4@0-1",
            "notes.txt",
            "job_AAAAAAAAAAAAAAAAAAAA@1-2",
            "a.mp4@1-9",
            "a.mp4@2-1",
            "a.mp4@1-1.05",
        ):
            told = await talk.refused("join_videos", videos=["a.mp4", f" {given} "])
            assert f": videos: {given}" in told
        told = await talk.refused("join_videos", videos=["a.mp4"])
        assert "videos should have at least 2 items, not 1" in told
