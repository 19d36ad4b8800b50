"""The main job through a stock client: real films, measured from the file, in both eras."""

import base64
import json
import re
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

import anyio
import av
import pytest
from jsonschema import Draft202012Validator
from mcp import Client, MCPError
from mcp.types import BlobResourceContents, ImageContent, TextContent, TextResourceContents
from PIL import Image

from ltx_mcp.jobs.store.database import Database
from ltx_mcp.jobs.store.store import Store
from tests.conftest import ERAS, Connect, Era
from tests.facts import facts_of
from tests.patience import HANG_S

pytestmark = pytest.mark.anyio

SMALL = {"resolution": "720p", "fps": 24, "generate_audio": False}


async def answer(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, result.content
    return facts_of(result)


async def finished(client: Client, job_id: str) -> dict[str, Any]:
    view: dict[str, Any] = {"state": "queued"}
    with anyio.fail_after(HANG_S):
        while view["state"] in ("queued", "submitting", "running", "saving"):
            view = await answer(client, "check_job", job_id=job_id, wait_seconds=45, frames=False)
    assert view["state"] == "succeeded", view
    return view


def opened(video_url: str) -> Any:
    return av.open(url2pathname(urlsplit(video_url).path))


def picture(path: Path, size: tuple[int, int], **options: Any) -> str:
    image = Image.linear_gradient("L").resize(size).convert("RGB")
    image.paste((200, 30, 30), (0, 0, size[0] // 4, size[1] // 4))
    image.save(path, **options)
    return str(path)


@pytest.mark.parametrize("era", ERAS)
async def test_an_order_is_answered_at_once_and_ends_as_a_measured_film(connect: Connect, era: Era) -> None:
    told: list[tuple[float, str | None]] = []

    async def note(progress: float, total: float | None, message: str | None) -> None:
        told.append((progress, message))

    async with connect(era) as client:
        schemas = {tool.name: tool.output_schema or {} for tool in (await client.list_tools()).tools}
        placed = await answer(client, "generate_video", prompt="a heron lifts off a misty river")
        assert placed["state"] in ("queued", "submitting", "running")
        Draft202012Validator(schemas["generate_video"]).validate(placed)
        assert placed["is_preview"]
        result = await client.call_tool(
            "check_job", {"job_id": placed["job_id"], "wait_seconds": 45}, progress_callback=note
        )
        view = facts_of(result)
    assert view["state"] == "succeeded"
    assert (view["duration"], view["width"], view["height"], view["fps"]) == (6, 1920, 1080, 25)
    assert view["has_audio"]
    assert view["size_bytes"] == Path(view["file"]).stat().st_size
    with opened(view["video_url"]) as film:
        assert film.streams.video[0].frames == 150
    reports = [done for done, _ in told]
    assert reports == sorted(set(reports))
    assert all(message for _, message in told)
    assert any(re.fullmatch(r"drawing on this machine, \d+ %, 0:\d\d", message or "") for _, message in told)
    sheet = [block for block in result.content if isinstance(block, ImageContent)]
    assert len(base64.b64decode(sheet[0].data)) <= 60_000
    assert "null" not in json.dumps(view)


async def test_the_text_beside_the_structure_is_short_and_says_what_to_do(connect: Connect) -> None:
    async with connect() as client:
        placed = await client.call_tool("generate_video", {"prompt": "a pond", **SMALL})
        job_id = (placed.structured_content or {})["job_id"]
        await finished(client, job_id)
        seen = await client.call_tool("check_job", {"job_id": job_id})
    for result, word in ((placed, "check_job"), (seen, "not LTX")):
        block = result.content[0]
        assert isinstance(block, TextContent)
        assert 1 <= len(block.text.splitlines()) <= 4
        assert word in block.text


async def test_pictures_of_every_kind_can_be_animated(connect: Connect, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    orders = {
        "4K JPEG": ({"image": picture(tmp_path / "4k.jpg", (3840, 2160), quality=90)}, (1280, 720)),
        "turned PNG": ({"image": picture(tmp_path / "turned.png", (1200, 900), exif=exif)}, (720, 960)),
        "WebP": ({"image": picture(tmp_path / "w.webp", (900, 900))}, (720, 720)),
        "AVIF with an end": (
            {"image": picture(tmp_path / "a.avif", (1280, 720)), "end_image": picture(tmp_path / "e.png", (640, 360))},
            (1280, 720),
        ),
    }
    async with connect() as client:
        jobs = {
            name: (await answer(client, "animate_image", prompt=name, **media, **SMALL))["job_id"]
            for name, (media, _) in orders.items()
        }
        for name, (_, size) in orders.items():
            view = await finished(client, jobs[name])
            assert (view["width"], view["height"]) == size, name


@pytest.mark.parametrize(
    ("arguments", "size", "frames"),
    [
        ({"duration": 20, "resolution": "720p", "fps": 24, "aspect_ratio": "9:16"}, (720, 1280), 480),
        ({"resolution": "2160p", "fps": 50, "generate_audio": False}, (3840, 2160), 300),
        ({"resolution": "1440p", "fps": 48, "aspect_ratio": "4:5"}, (1440, 1800), 288),
    ],
)
async def test_long_tall_large_and_fast_films_come_out_exact(
    connect: Connect, arguments: dict[str, Any], size: tuple[int, int], frames: int
) -> None:
    async with connect() as client:
        placed = await answer(client, "generate_video", prompt="a pond", **arguments)
        view = await finished(client, placed["job_id"])
    with opened(view["video_url"]) as film:
        stream = film.streams.video[0]
        assert (stream.width, stream.height) == size
        assert stream.frames == frames
        assert stream.average_rate == arguments["fps"]
        assert bool(film.streams.audio) is arguments.get("generate_audio", True)
    assert view["duration"] == arguments.get("duration", 6)


async def test_a_chain_of_shots_ordered_at_once_comes_out_in_order(connect: Connect, home: Path) -> None:
    async with connect() as client:
        ids = [(await answer(client, "generate_video", prompt="shot 1", **SMALL))["job_id"]]
        for number in (2, 3):
            shot = await answer(client, "animate_image", prompt=f"shot {number}", image=f"{ids[-1]}#last", **SMALL)
            assert shot["state"] == "queued"
            assert ids[-1] in shot["next"]
            ids.append(shot["job_id"])
        views = [await finished(client, job_id) for job_id in ids]
        listed = await answer(client, "list_jobs")
    assert [view["sources"] for view in views] == [[], ids[:1], ids[1:2]]
    assert [row["job_id"] for row in listed["jobs"]] == ids[::-1]
    ends = [view["finished_at"] for view in views]
    assert ends == sorted(ends)
    before, after = (frame_of(views[0]["file"], last=True), frame_of(views[1]["file"], last=False))
    assert difference(before, after) < 12
    assert len(list((home / "inputs").iterdir())) == 2


def frame_of(path: str, *, last: bool) -> Image.Image:
    with av.open(path) as film:
        frames: list[Any] = list(film.decode(video=0))
        image: Image.Image = frames[-1 if last else 0].to_image().resize((64, 36))
    return image


def difference(one: Image.Image, other: Image.Image) -> float:
    """Mean difference of the upper half, where no caption is drawn, in grey levels."""
    pairs = zip(*(each.convert("L").crop((0, 6, 40, 22)).tobytes() for each in (one, other)), strict=True)
    values: list[int] = [abs(a - b) for a, b in pairs]
    return sum(values) / len(values)


async def test_a_shot_after_one_that_was_cancelled_fails_and_says_why(connect: Connect) -> None:
    async with connect() as client:
        first = await answer(client, "generate_video", prompt="shot 1", resolution="2160p", duration=20, fps=50)
        second = await answer(client, "animate_image", prompt="shot 2", image=first["job_id"], **SMALL)
        await answer(client, "cancel_job", job_id=first["job_id"])
        result = await client.call_tool("check_job", {"job_id": second["job_id"], "wait_seconds": 20})
    view = result.structured_content or {}
    assert not result.is_error
    assert view["state"] == "failed"
    assert view["error"]["code"] == "input_failed"
    assert first["job_id"] in view["error"]["message"]


async def test_the_same_order_twice_is_one_job_and_says_so(connect: Connect) -> None:
    async with connect() as client:
        first = await answer(client, "generate_video", prompt="a pond", **SMALL)
        again = await answer(client, "generate_video", prompt="a pond", **SMALL)
        await finished(client, first["job_id"])
        after = await answer(client, "generate_video", prompt="a pond", **SMALL)
        other = await answer(client, "generate_video", prompt="a pond", request_key="take 2", **SMALL)
        await answer(client, "cancel_job", job_id=other["job_id"])
    assert first["job_id"] == again["job_id"] == after["job_id"] != other["job_id"]
    assert "already had this job" in again["next"]
    assert "request_key" in after["next"]


async def test_a_single_frame_can_be_looked_at(connect: Connect) -> None:
    async with connect() as client:
        placed = await answer(client, "generate_video", prompt="a pond", **SMALL)
        await finished(client, placed["job_id"])
        result = await client.call_tool("check_job", {"job_id": placed["job_id"], "frame_at": 2.5})
        beyond = await client.call_tool("check_job", {"job_id": placed["job_id"], "frame_at": 7})
        uri = f"ltx://jobs/{placed['job_id']}"
        frame = (await client.read_resource(f"{uri}/frames/2.5")).contents[0]
        row = (await client.read_resource(uri)).contents[0]
        video = (await client.read_resource(f"{uri}/video")).contents[0]
    images = [block for block in result.content if isinstance(block, ImageContent)]
    assert Image.open(BytesIO(base64.b64decode(images[0].data))).size == (1024, 576)
    assert beyond.is_error
    assert isinstance(frame, BlobResourceContents)
    assert frame.blob == images[0].data
    assert isinstance(row, TextResourceContents)
    assert json.loads(row.text)["state"] == "succeeded"
    assert isinstance(video, BlobResourceContents)
    assert base64.b64decode(video.blob)[4:8] == b"ftyp"


async def test_a_film_too_large_for_a_resource_is_named_by_its_link(connect: Connect, home: Path) -> None:
    async with connect() as client:
        placed = await answer(client, "generate_video", prompt="a pond", **SMALL)
        view = await finished(client, placed["job_id"])
        with Path(view["file"]).open("ab") as film:
            film.truncate(5 << 20)
        with pytest.raises(MCPError, match="too many to send here: file:///"):
            await client.read_resource(f"ltx://jobs/{placed['job_id']}/video")
        with pytest.raises(MCPError, match="job_not_found"):
            await client.read_resource("ltx://jobs/job_nothere00")


async def test_the_models_resource_gives_the_facts(connect: Connect) -> None:
    async with connect() as client:
        content = (await client.read_resource("ltx://models")).contents[0]
    assert isinstance(content, TextResourceContents)
    facts = {each["name"]: each for each in json.loads(content.text)}
    assert facts["local"]["offer"][0]["model"] == "preview"
    assert facts["fal"]["offer"][0]["price"]["usd_per_second"]["1080p"] == "0.04"


async def test_list_jobs_pages_and_waits_for_the_next_end(connect: Connect) -> None:
    async with connect() as client:
        ids = [(await answer(client, "generate_video", prompt=f"p{n}", **SMALL))["job_id"] for n in range(3)]
        first = await answer(client, "list_jobs", limit=2, wait_seconds=30)
        assert any(row["state"] == "succeeded" for row in first["jobs"])
        rest = await answer(client, "list_jobs", limit=2, cursor=first["next_cursor"])
        for job_id in ids:
            await finished(client, job_id)
        live = await answer(client, "list_jobs", state="running")
    assert [row["job_id"] for row in first["jobs"] + rest["jobs"]] == ids[::-1]
    assert "next_cursor" not in rest
    assert live["jobs"] == []


async def test_a_job_waiting_for_its_turn_is_told_its_place(connect: Connect) -> None:
    async with connect() as client:
        long = {"resolution": "2160p", "duration": 20, "fps": 50}
        ids = [(await answer(client, "generate_video", prompt=f"p{n}", **long))["job_id"] for n in range(2)]
        third = await answer(client, "generate_video", prompt="third", **SMALL)
        view = await answer(client, "check_job", job_id=third["job_id"], wait_seconds=0)
        for job_id in (*ids, third["job_id"]):
            await answer(client, "cancel_job", job_id=job_id)
    assert (third["state"], view["queue_position"]) == ("queued", 1)
    assert "1 must end before it begins" in third["next"]


async def test_every_move_of_the_money_is_in_the_row(connect: Connect, home: Path) -> None:
    async with connect() as client:
        placed = await answer(client, "generate_video", prompt="a pond", **SMALL)
        await finished(client, placed["job_id"])
    database = Database.open(home)
    job = Store(database).get(placed["job_id"])
    database.close()
    assert job is not None
    assert (job.bill, job.cost_micro, job.charged_micro) == ("booked", 0, None)
