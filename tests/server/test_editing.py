"""The editing tools through a stock client, from the argument to the measured file, at each provider that has them.

The emulated providers make their films from the very bytes that were uploaded, so what is kept can be compared.
"""

import base64
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client
from mcp.types import TextContent

from ltx_mcp.emulator.app import settings as emulated_settings
from ltx_mcp.providers.catalog_loader import make_catalog, read_providers
from ltx_mcp.server.app import make_server
from ltx_mcp.settings import read_settings
from tests.conftest import PROVIDER_SETTINGS, Emulated
from tests.facts import facts_of
from tests.media.films import NTSC, Recipe, between, heard, lag, make, packets, pictures, psnr
from tests.patience import HANG_S

pytestmark = pytest.mark.anyio

PROVIDERS = ("local", "ltx", "fal")
SMALL = Recipe(size=(640, 360), frames=100, seconds=4)
FULL = replace(SMALL, size=(1920, 1080), options=(("crf", "18"), ("preset", "ultrafast"), ("g", "25")))
MIN_DB, MAX_LAG_S = 40.0, 0.02
ADDRESS = "https://media.example.com/clip"

Opened = Callable[..., AbstractAsyncContextManager["Agent"]]


@dataclass
class Agent:
    """A stock client and the folder that its server may read."""

    client: Client
    folder: Path

    async def calls(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """What a tool answered; fails on a refusal."""
        result = await self.client.call_tool(tool, arguments)
        assert not result.is_error, result.content
        return facts_of(result)

    async def says(self, tool: str, **arguments: Any) -> str:
        """The text beside an answer's structure."""
        result = await self.client.call_tool(tool, arguments)
        assert not result.is_error
        assert isinstance(result.content[0], TextContent)
        return result.content[0].text

    async def refused(self, tool: str, **arguments: Any) -> str:
        """What a refusal says."""
        result = await self.client.call_tool(tool, arguments)
        assert result.is_error, result.structured_content
        assert isinstance(result.content[0], TextContent)
        return result.content[0].text

    async def film(self, tool: str, **arguments: Any) -> tuple[dict[str, Any], Path]:
        """A job at its end, and its film."""
        job = await self.calls(tool, **arguments)
        return await self.ends(job["job_id"])

    async def ends(self, job_id: str) -> tuple[dict[str, Any], Path]:
        """The same of a job that was placed before."""
        view: dict[str, Any] = {"state": "queued"}
        with anyio.fail_after(HANG_S):
            while view["state"] in ("queued", "submitting", "running", "saving"):
                view = await self.calls("check_job", job_id=job_id, wait_seconds=45, frames=False)
        assert view["state"] == "succeeded", view
        return view, Path(view["file"])


@pytest.fixture
def agent(home: Path, emulator: Emulated, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Opened:
    """Opens a server over the emulated providers; what lies at ADDRESS is `at_address`."""
    address, world = emulator
    world.wait_s, world.work_s = 0.0, 0.0

    @asynccontextmanager
    async def opened(at_address: Path | None = None) -> AsyncIterator[Agent]:
        async def fetch(url: str, out: Path, *, argument: str, max_bytes: int, **_: Any) -> str:
            assert at_address is not None
            assert url.startswith(ADDRESS)
            shutil.copyfile(at_address, out)
            return "video/mp4"

        # the guarded fetch goes to no address of this machine; it has tests of its own
        monkeypatch.setattr("ltx_mcp.net.ssrf.fetch_public", fetch)
        env = emulated_settings(address) | {"LTX_MCP_HOME": str(home), "LTX_MCP_INPUT_DIRS": str(tmp_path)}
        read = read_settings(env, PROVIDER_SETTINGS)
        catalog = make_catalog(read_providers(), (), lambda name: env.get(name, ""))
        server, _ = make_server(read, catalog)
        async with Client(server) as client:
            yield Agent(client, tmp_path)

    return opened


async def given(agent: Agent, source: str, film: Path) -> str:
    """The film as an argument: a path, an address, a data URI or the job that it is the result of."""
    if source == "url":
        return f"{ADDRESS}.mp4?signed=1"
    if source == "data":
        return f"data:video/mp4;base64,{base64.b64encode(film.read_bytes()).decode()}"
    if source == "path":
        return film.name
    job = await agent.calls("extend_video", video=film.name, duration=2, provider="local")
    view, path = await agent.ends(job["job_id"])
    shutil.copyfile(path, film)
    return str(view["job_id"])


def upright(recipe: Recipe, portrait: bool) -> Recipe:
    width, height = recipe.size
    return replace(recipe, size=(height, width)) if portrait else recipe


def compared(film: Path, source: Path, lead: int = 0) -> tuple[list[float], int]:
    """How alike each frame of a source is to the film's, `lead` frames later, in decibels; how many the film has."""
    given_, alike, frames = pictures(source), [], 0
    for frames, picture in enumerate(pictures(film), start=1):
        own = next(given_, None) if frames > lead else None
        if own is not None:
            alike.append(psnr(picture, own))
    assert next(given_, None) is None
    return alike, frames


SOURCES = [
    ("local", "path", True, "end"),
    ("local", "url", False, "end"),
    ("local", "job", False, "start"),
    ("ltx", "path", False, "start"),
    ("ltx", "url", True, "end"),
    ("ltx", "job", False, "end"),
    ("fal", "path", True, "end"),
    ("fal", "data", False, "start"),
    ("fal", "job", False, "end"),
]


def changed(view: dict[str, Any]) -> list[dict[str, Any]]:
    """What is not as asked, besides which file a path was taken to mean."""
    return [each for each in view.get("adjustments", []) if not Path(each["got"]).is_absolute()]


@pytest.mark.parametrize(("provider", "source", "portrait", "mode"), SOURCES)
async def test_an_extended_film_keeps_its_first_part_and_is_longer_by_what_was_ordered(
    agent: Opened, tmp_path: Path, provider: str, source: str, portrait: bool, mode: str
) -> None:
    clip = make(tmp_path / "clip.mp4", upright(SMALL, portrait))
    async with agent(clip) as talk:
        video = await given(talk, source, clip)
        view, film = await talk.film(
            "extend_video", video=video, duration=2.4, mode=mode, prompt="the tide comes in", provider=provider
        )
    first = 0 if mode == "end" else 60
    alike, frames = compared(film, clip, first)
    old = len(alike)
    assert frames == old + 60
    assert (view["width"], view["height"], view["fps"]) == (*upright(SMALL, portrait).size, 25)
    assert view["has_audio"]
    assert changed(view) == []
    assert min(alike) > MIN_DB
    begins = first / 25
    kept = between(heard(film), begins + 0.3, begins + old / 25 - 0.3)
    assert abs(lag(between(heard(clip), 0.3, old / 25 - 0.3), kept)) <= MAX_LAG_S


@pytest.mark.parametrize(
    ("provider", "source", "portrait", "mode"),
    [
        ("local", "path", True, "replace_audio_and_video"),
        ("local", "url", False, "replace_video"),
        ("local", "job", False, "replace_audio"),
        ("ltx", "path", True, "replace_video"),
        ("ltx", "url", False, "replace_audio_and_video"),
        ("ltx", "job", False, "replace_audio"),
        ("fal", "path", True, "replace_video"),
        ("fal", "data", False, "replace_audio"),
        ("fal", "job", False, "replace_audio_and_video"),
    ],
)
async def test_a_retaken_film_keeps_all_but_the_section(
    agent: Opened, tmp_path: Path, provider: str, source: str, portrait: bool, mode: str
) -> None:
    recipe = upright(FULL if provider == "ltx" else SMALL, portrait)
    clip = make(tmp_path / "clip.mp4", recipe)
    async with agent(clip) as talk:
        video = await given(talk, source, clip)
        section = {"start_time": 1, "duration": 2}
        view, film = await talk.film(
            "retake_video", video=video, prompt="a red hat instead", mode=mode, provider=provider, **section
        )
    alike, frames = compared(film, clip)
    assert frames == len(alike)
    assert (view["width"], view["height"]) == recipe.size
    assert min(alike[:25] + alike[75:]) > MIN_DB
    assert (min(alike[30:70]) < 30) == (mode != "replace_audio")
    before, after = between(heard(clip), 0.1, 0.9), between(heard(clip), 3.1, frames / 25 - 0.1)
    assert abs(lag(before, between(heard(film), 0.1, 0.9))) <= MAX_LAG_S
    assert abs(lag(after, between(heard(film), 3.1, frames / 25 - 0.1))) <= MAX_LAG_S
    if mode == "replace_video":
        assert abs(lag(between(heard(clip), 1.2, 2.8), between(heard(film), 1.2, 2.8))) <= MAX_LAG_S


SOUNDS = {
    "mp3": ("voice.mp3", Recipe(video=None, audio="libmp3lame", seconds=3.5)),
    "m4a": ("voice.m4a", Recipe(video=None, audio="aac", seconds=3.5, sample_rate=44_100)),
    "wav": ("voice.wav", Recipe(video=None, audio="pcm_s16le", seconds=3.5, layout="mono")),
}


@pytest.mark.parametrize("kind", SOUNDS)
@pytest.mark.parametrize(("provider", "portrait"), [("local", True), ("ltx", False), ("fal", True)])
async def test_a_film_from_a_sound_is_as_long_as_it_and_has_it_as_its_track(
    agent: Opened, tmp_path: Path, provider: str, portrait: bool, kind: str
) -> None:
    name, recipe = SOUNDS[kind]
    voice = make(tmp_path / name, recipe)
    face = next(pictures(make(tmp_path / "face.mp4", replace(upright(SMALL, portrait), frames=1, audio=None))))
    face.save(tmp_path / "face.png")
    sized = {"resolution": "720p"} if provider != "fal" else {}
    async with agent() as talk:
        asked = {"audio": name, "image": "face.png", "provider": provider, **sized}
        if (provider, kind) == ("ltx", "wav"):  # which LTX alone does not take
            assert "adjust=nearest converts it" in await talk.refused("generate_from_audio", **asked)
            asked["adjust"] = "nearest"
        view, film = await talk.film("generate_from_audio", **asked)
    changes = [(each["field"], each["asked"], each["got"]) for each in changed(view)]
    assert changes == ([("audio", "wav/pcm", "m4a/aac")] if "adjust" in asked else [])
    assert abs(view["duration"] - 3.5) < 0.1
    assert (view["width"] < view["height"]) == portrait
    assert abs(lag(between(heard(voice), 0.2, 3.2), between(heard(film), 0.2, 3.2))) <= MAX_LAG_S


async def test_the_sound_of_a_job_s_film_can_drive_another(agent: Opened, tmp_path: Path) -> None:
    clip = make(tmp_path / "clip.mp4", SMALL)
    async with agent() as talk:
        source, film = await talk.film("extend_video", video=clip.name, duration=2, provider="local")
        view, second = await talk.film(
            "generate_from_audio", audio=source["job_id"], prompt="a band of frogs", provider="ltx", resolution="720p"
        )
    assert view["sources"] == [source["job_id"]]
    assert abs(lag(between(heard(film), 0.3, 5.5), between(heard(second), 0.3, 5.5))) <= MAX_LAG_S


async def test_a_phone_s_hevc_mov_is_converted_where_it_is_not_taken_and_looks_the_same(
    agent: Opened, tmp_path: Path
) -> None:
    options = (("crf", "20"), ("preset", "ultrafast"), ("x265-params", "log-level=none"))
    clip = make(tmp_path / "phone.mov", replace(SMALL, video="libx265", options=options))
    async with agent() as talk:
        asked = {"video": clip.name, "duration": 2, "provider": "fal"}
        assert "video is mov/hevc" in await talk.refused("extend_video", **asked)
        view, film = await talk.film("extend_video", **asked, adjust="nearest")
    assert [(each["field"], each["got"]) for each in changed(view)] == [("video", "mp4/h264")]
    assert min(compared(film, clip)[0]) > MIN_DB


async def test_what_is_wrong_with_a_medium_is_said_before_anything_is_ordered(
    agent: Opened, emulator: Emulated, tmp_path: Path
) -> None:
    short = make(tmp_path / "short.mp4", replace(SMALL, frames=60))
    whole = make(tmp_path / "whole.mp4", SMALL)
    (tmp_path / "cut.mp4").write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    make(tmp_path / "long.mp3", Recipe(video=None, audio="libmp3lame", seconds=21))
    async with agent() as talk:
        assert "at least 73 (2.92 s at 25 fps)" in await talk.refused("extend_video", video=short.name, provider="ltx")
        assert "cut.mp4" not in (cut := await talk.refused("extend_video", video="cut.mp4", provider="fal"))
        assert cut.startswith("input_failed: The video is damaged")
        told = await talk.refused("generate_from_audio", audio="long.mp3", prompt="x", provider="fal")
        assert "allowed: duration 2 to 20" in told
        section = {"start_time": 3, "duration": 2, "prompt": "x", "provider": "fal"}
        assert "allowed: 0 to 2" in await talk.refused("retake_video", video=whole.name, **section)
        assert "prompt or image is required" in await talk.refused("generate_from_audio", audio="long.mp3")
    assert emulator[1].orders == []


@pytest.mark.parametrize("provider", ["ltx", "fal"])
async def test_the_estimate_measures_what_is_given_and_the_order_costs_that(
    agent: Opened, emulator: Emulated, tmp_path: Path, provider: str
) -> None:
    _, world = emulator
    clip = make(tmp_path / "clip.mp4", FULL)
    make(tmp_path / "voice.mp3", Recipe(video=None, audio="libmp3lame", seconds=3.5))
    asked: list[tuple[str, str, dict[str, Any], dict[str, Any]]] = [
        ("retake", "retake_video", {"video": clip.name}, {"start_time": 1, "duration": 2, "prompt": "x"}),
        ("extend", "extend_video", {"video": clip.name, "duration": 3, "context": 2}, {}),
        ("audio_to_video", "generate_from_audio", {"audio": "voice.mp3"}, {"prompt": "x"}),
    ]
    async with agent() as talk:
        world.work_s = 3600.0  # no film is waited for
        for operation, tool, shared, own in asked:
            estimate = await talk.calls("estimate_cost", operation=operation, provider=provider, **shared)
            quoted = {quote["model"]: quote["cost_usd"] for quote in estimate["quotes"]}
            before = len(world.orders)
            job = await talk.calls(tool, provider=provider, **shared, **own)
            assert job["cost_usd"] == quoted[job["model"]]
            with anyio.fail_after(HANG_S):
                while len(world.orders) == before:  # on a busy machine the answer may come first
                    await anyio.sleep(0.02)
            order = world.orders[-1]
            rate = job["cost_usd"] / order.facts["billed_s"]
            assert rate == pytest.approx(0.1 if operation != "audio_to_video" or provider == "fal" else rate, rel=0.02)


async def test_each_quote_says_which_seconds_it_is_for(agent: Opened, tmp_path: Path) -> None:
    make(tmp_path / "clip.mp4", SMALL)
    async with agent() as talk:
        longer = await talk.says("estimate_cost", operation="extend", duration=3)
        redone = await talk.says("estimate_cost", operation="retake", video="clip.mp4")
        free = await talk.says("estimate_cost", duration="auto")
    # without a video: as for one as long as what is added, or as long as one must be
    assert "fal ltx-2.3-pro: 0.70 USD each; for 7 s: 3 new, 4 of context." in longer
    assert "local preview: 0.00 USD each; for 7 s: 3 new, 4 of context." in longer
    assert longer.endswith(" As for a video of 4 s; give video for the price of yours.")
    assert "0.40 USD each; for 4 s: the whole video, not only the section." in redone
    assert "ltx ltx-2.5-pro: 1.70 USD each; for 10 s at most: booked by the length that comes." in free
    assert "for 20 s at most" in free
    assert "Not offered by netwrck, bytecompute, local" in free


async def test_one_reason_of_several_models_is_said_once(agent: Opened, tmp_path: Path) -> None:
    make(tmp_path / "voice.wav", Recipe(video=None, audio="pcm_s16le"))
    async with agent() as talk:
        told = await talk.refused("generate_from_audio", audio="voice.wav", prompt="a singer", provider="ltx")
    assert "ltx ltx-2.3-pro, ltx-2.5-fast, ltx-2.5-pro: audio is wav/pcm" in told
    assert told.count("wav/pcm") == 1


async def test_the_editing_tools_are_listed_where_somebody_can_do_them(home: Path, tmp_path: Path) -> None:
    catalog = make_catalog(read_providers(), (), lambda name: "")
    server, _ = make_server(read_settings({"LTX_MCP_HOME": str(home)}), catalog)
    async with Client(server) as client:
        names = [tool.name for tool in (await client.list_tools()).tools]
    assert names[-5:] == ["generate_from_audio", "extend_video", "retake_video", "reframe_video", "join_videos"]
    unable = tuple(facts for facts in read_providers() if facts.name == "netwrck")
    catalog = make_catalog(unable, (), lambda name: "a-key" if name == "NETWRCK_API_KEY" else "")
    server, _ = make_server(read_settings({"LTX_MCP_HOME": str(home)}), catalog)
    async with Client(server) as client:
        names = [tool.name for tool in (await client.list_tools()).tools]
    assert names == ["generate_video", "animate_image", "check_job", "estimate_cost", "cancel_job", "list_jobs"]


async def test_a_film_is_reframed_before_it_is_made(agent: Opened) -> None:
    async with agent() as talk:
        shot = await talk.calls("generate_video", prompt="a pond", resolution="720p", provider="local")
        priced = await talk.calls("estimate_cost", operation="reframe", video=shot["job_id"], provider="local")
        view, film = await talk.film(
            "reframe_video", video=shot["job_id"], aspect_ratio="9:16", resolution="720p", provider="local"
        )
        _, wide = await talk.ends(shot["job_id"])
    assert [(quote["cost_usd"], quote["billed"]) for quote in priced["quotes"]] == [(0, "6 s: the whole video")]
    assert (view["sources"], view["is_preview"], changed(view)) == ([shot["job_id"]], True, [])
    assert (view["width"], view["height"], view["duration"], view["fps"]) == (720, 1280, 6, 25)
    assert packets(film, "audio") == packets(wide, "audio")


async def test_a_silent_film_of_an_odd_rate_is_reframed_and_nothing_is_told_as_changed(
    agent: Opened, tmp_path: Path
) -> None:
    make(tmp_path / "clip.mp4", replace(SMALL, audio=None, rate=NTSC, frames=60))
    async with agent() as talk:
        shape = {"aspect_ratio": "1:1", "resolution": "720p"}
        view, _ = await talk.film("reframe_video", video="clip.mp4", provider="local", **shape)
    assert (view["width"], view["height"], view["fps"], changed(view)) == (720, 720, 29.97, [])
