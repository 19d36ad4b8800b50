"""Odd films and sounds through a stock client: what is told, and what the emulated providers got and made of them."""

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from PIL import Image

from ltx_mcp.media.measure import take_frame
from tests.media.odd.films import (
    BLUE,
    GREEN,
    GREY,
    GREYS,
    H265,
    HLG,
    RED,
    SDR_GREYS,
    Colour,
    Cut,
    changed,
    matrix,
    plain,
)
from tests.media.odd.sounds import MP3, STREAMED, joined, wav
from tests.media.test_odd_films import off, three_places
from tests.server.test_editing import Opened, agent

__all__ = ["agent"]

pytestmark = pytest.mark.anyio

PLAIN = Cut(size=(320, 180), frames=80, sounds=())
PHONE = replace(PLAIN, codec="libx265", pixels="yuv420p10le", options=H265, tags=HLG, colours=GREYS)
MIRRORED: tuple[Colour, Colour, Colour] = (GREEN, RED, GREY)
FILMS = {
    "mirrored.mp4": (changed(PLAIN, matrix(-1, 0, 0, 1)), MIRRORED, "mirrored", "as a player shows it"),
    "over.mp4": (changed(PLAIN, matrix(1, 0, 0, -1)), (BLUE, GREY, RED), "turned over", "as a player shows it"),
    "phone.mov": (plain(PHONE), SDR_GREYS, "HDR (HLG)", "SDR (BT.709)"),
}


@pytest.mark.parametrize("name", FILMS)
@pytest.mark.parametrize("provider", ["local", "ltx", "fal"])
async def test_a_film_is_kept_as_a_player_shows_it_and_what_was_changed_is_told(
    provider: str, name: str, agent: Opened, tmp_path: Path
) -> None:
    make, colours, asked, got = FILMS[name]
    make(tmp_path / name)
    async with agent() as caller:
        view, film = await caller.film(
            "extend_video", video=str(tmp_path / name), prompt="a hill", duration=2, provider=provider, adjust="nearest"
        )
    take_frame(film, "first", tmp_path / "first.png", "png")
    with Image.open(tmp_path / "first.png") as picture:
        assert off(three_places(picture), colours) <= 12
    told = [change for change in view.get("adjustments", []) if change["field"] == "video"]
    if provider == "local" and name != "phone.mov":
        assert told == []
    else:
        (change,) = told
        assert (asked in change["asked"], got in change["got"]) == (True, True), change


async def test_a_sound_that_was_joined_is_heard_whole_paid_whole_and_told(agent: Opened, tmp_path: Path) -> None:
    joined(MP3, replace(MP3, sample_rate=48_000))(tmp_path / "a.mp3")
    async with agent() as caller:
        view, _ = await caller.film(
            "generate_from_audio", audio=str(tmp_path / "a.mp3"), prompt="a singer", provider="fal"
        )
    assert view["duration"] == pytest.approx(4, abs=0.05)
    assert Decimal(str(view["cost_usd"])) == Decimal("0.4")
    (change,) = [change for change in view["adjustments"] if change["field"] == "audio"]
    assert (change["asked"], change["got"]) == ("mp3/mp3, joined of 2 parts", "m4a/aac")


async def test_a_streamed_sound_is_sent_with_its_length(agent: Opened, tmp_path: Path) -> None:
    wav(0x7FFFFFFF, 0x7FFFFFFF)(tmp_path / "a.wav")
    async with agent() as caller:
        view, _ = await caller.film(
            "generate_from_audio", audio=str(tmp_path / "a.wav"), prompt="a singer", provider="fal"
        )
    assert view["duration"] == pytest.approx(2, abs=0.05)
    (change,) = [change for change in view["adjustments"] if change["field"] == "audio"]
    assert (change["asked"], change["got"]) == (f"wav/pcm, {STREAMED}", "m4a/aac")
