"""A reply that is unusual and can be read is read: no order is called unknown over it, and no paid film thrown away."""

import gzip
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from ltx_mcp.domain.errors import ProviderError
from ltx_mcp.providers.base import DeferredVideo, SubmittedOrder
from tests.providers import raw
from tests.providers.adapted import adapters_at
from tests.providers.bench import REMOTE
from tests.providers.raw import answer, says
from tests.providers.test_contract_wire import offer_of

pytestmark = pytest.mark.anyio

JSON = "Content-Type: application/json"
FILM = "https://films.example.com/a/film.mp4"
MP4 = b"\x00\x00\x00\x20ftypisom\x00\x00\x02\x00isomiso2avc1mp41" + bytes(600)
WEBM = b"\x1a\x45\xdf\xa3" + bytes(600)
PAGE = b"<!DOCTYPE html><html>sign in</html>" + b" " * 600
IDS = {"fal": "request_id", "ltx": "id", "netwrck": "job_id", "bytecompute": "id"}


def orders(name: str) -> dict[str, bytes]:
    """How the same order may be confirmed."""
    plain = {name: "r-1", "status": "queued", "queue_position": "3"}
    text = json.dumps(plain)
    return {
        "a number": json.dumps({name: 12345}).encode(),
        "a list of one": json.dumps([plain]).encode(),
        "wrapped": json.dumps({"data": plain}).encode(),
        "with a mark before it": b"\xef\xbb\xbf" + text.encode(),
        "in UTF-16": text.encode("utf-16"),
        "in Latin-1": text.replace("queued", "café").encode("latin-1"),
    }


@pytest.mark.parametrize("provider", REMOTE)
async def test_an_order_is_taken_however_it_is_confirmed(provider: str) -> None:
    for how, body in orders(IDS[provider]).items():
        async with raw.serving(says(answer(200, body, JSON))) as server, adapters_at(server.url) as (adapters, _):
            taken = await adapters.by_name[provider].submit(offer_of(provider, {}), {})
        assert isinstance(taken, SubmittedOrder), how
        assert {"r-1", "12345"} & set(map(str, taken.remote.values())), how


REMOTES: dict[str, Mapping[str, Any]] = {
    "ltx": {"endpoint": "text-to-video", "id": "j"},
    "netwrck": {"job_id": "j"},
}
RESULTS: dict[str, Any] = {
    "an address alone": {"video": FILM},
    "a list of one": [{"url": FILM}],
    "videos": {"videos": [{"url": FILM}, {"url": f"{FILM}2"}]},
    "a list under video": {"video": [{"url": FILM}]},
    "beside other things": {"video": {"url": FILM, "width": "1920", "content_type": None}, "seed": "1", "audio": None},
}


@pytest.mark.parametrize("what", RESULTS)
async def test_fals_result_is_read_in_every_form(what: str) -> None:
    async def deed(line: raw.Line) -> None:
        path = (await line.read()).head.split()[1].split("?")[0]
        said = {"status": "Completed", "queue_position": "0"} if path == "/status" else RESULTS[what]
        await line.say(answer(200, json.dumps(said).encode(), JSON, "x-fal-billable-units: 6"))

    async with raw.serving(deed) as server, adapters_at(server.url) as (adapters, _):
        addresses = {f"{name}_url": f"{server.url}/{name}" for name in ("status", "response", "cancel")}
        seen = await adapters.by_name["fal"].poll({"request_id": "r", **addresses})  # type: ignore[attr-defined]
    assert (seen.status, seen.result_url) == ("done", FILM)


async def test_fals_place_in_line_may_be_a_text() -> None:
    waits = json.dumps({"status": "IN_QUEUE", "queue_position": "3"}).encode()
    async with raw.serving(says(answer(200, waits, JSON))) as server, adapters_at(server.url) as (adapters, _):
        seen = await adapters.by_name["fal"].poll({"status_url": f"{server.url}/status"})  # type: ignore[attr-defined]
    assert (seen.status, seen.queue_position) == ("waiting", 3)


LTX_RESULTS: dict[str, Any] = {
    "beside a number": {"video_url": None, "seed": 42, "url": FILM},
    "after other words": {"duration": 6, "file_url": FILM},
    "beside an id": {"id": "abc", "output": FILM},
    "in a list": {"video_url": [FILM]},
    "in an object": {"video_url": {"url": FILM}},
    "numbers as texts": {"video_url": FILM, "duration": "6", "size": "12"},
}


@pytest.mark.parametrize("what", LTX_RESULTS)
async def test_ltxs_address_is_found_beside_other_words(what: str) -> None:
    done = json.dumps({"id": "j", "status": "COMPLETED", "result": LTX_RESULTS[what], "progress": "100"}).encode()
    async with raw.serving(says(answer(200, done, JSON))) as server, adapters_at(server.url) as (adapters, _):
        seen = await adapters.by_name["ltx"].poll(REMOTES["ltx"])  # type: ignore[attr-defined]
    assert (seen.status, seen.result_url) == ("done", FILM)


@pytest.mark.parametrize("result", [{"video_url": "42"}, {"seed": 42, "id": "abc"}, {"video_url": 6}, "abc", None])
async def test_ltxs_other_words_are_no_address(result: Any) -> None:
    done = json.dumps({"id": "j", "status": "completed", "result": result}).encode()
    async with raw.serving(says(answer(200, done, JSON))) as server, adapters_at(server.url) as (adapters, _):
        with pytest.raises(ProviderError, match="gives no address of a film"):
            await adapters.by_name["ltx"].poll(REMOTES["ltx"])  # type: ignore[attr-defined]


V1 = {"LTX_MCP_LTX_API": "v1"}
FILMS = {
    "another spelling": (MP4, "Content-Type: Video/MP4"),
    "another name": (MP4, "Content-Type: application/mp4"),
    "a store's name": (MP4, "Content-Type: binary/octet-stream"),
    "with parameters": (MP4, "Content-Type: video/mp4; charset=binary"),
    "a page by its label": (MP4, "Content-Type: text/html"),
    "WebM": (WEBM, "Content-Type: text/plain"),
    "no label": (MP4, ""),
    "a brand list of sixty bytes": (b"\x00\x00\x00\x3cftypisom" + bytes(600), ""),
    "packed": (gzip.compress(MP4), "Content-Encoding: gzip"),
}


@pytest.mark.parametrize("what", FILMS)
async def test_the_film_of_ltx_v1_is_known_by_its_bytes(what: str, tmp_path: Path) -> None:
    data, head = FILMS[what]
    said = answer(200, data, *filter(None, [head]))
    async with raw.serving(says(said)) as server, adapters_at(server.url, V1) as (adapters, _):
        made = await adapters.by_name["ltx"].submit(offer_of("ltx", {}), {})
        assert isinstance(made, DeferredVideo)
        await made.write(tmp_path / "film", lambda done: None)
    whole = gzip.decompress(data) if what == "packed" else data
    assert (tmp_path / "film").read_bytes() == whole


NO_FILMS = {
    "a page": (PAGE, "Content-Type: video/mp4"),
    "JSON": (json.dumps({"ok": True}).encode(), "Content-Type: application/octet-stream"),
    "a packed page": (gzip.compress(PAGE), "Content-Type: video/mp4"),
    "nothing": (b"", "Content-Type: video/mp4"),
    "other bytes": (bytes(range(1, 256)) * 4, "Content-Type: application/json"),
}


@pytest.mark.parametrize("what", NO_FILMS)
async def test_what_is_no_film_is_not_taken_for_one_whatever_its_label(what: str) -> None:
    data, head = NO_FILMS[what]
    async with raw.serving(says(answer(200, data, head))) as server, adapters_at(server.url, V1) as (adapters, _):
        with pytest.raises(ProviderError) as caught:
            await adapters.by_name["ltx"].submit(offer_of("ltx", {}), {})
    assert (caught.value.accepted, len(caught.value.detail) < 100) == ("unknown", True)


@pytest.mark.parametrize("label", ["application/json", "text/html", "video/mp4", ""])
async def test_bytecomputes_download_is_a_film_by_its_bytes(label: str, tmp_path: Path) -> None:
    said = answer(200, MP4, *([f"Content-Type: {label}"] if label else []))
    async with raw.serving(says(said)) as server, adapters_at(server.url) as (adapters, _):
        adapter: Any = adapters.by_name["bytecompute"]
        assert await adapter.download({"id": "b"}, tmp_path / "film") == ""
    assert (tmp_path / "film").read_bytes() == MP4
