"""Keys go to their provider and nowhere else: not into logs, the store, files or answers, nor to where it points us."""

import json
import logging
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from PIL import Image

from ltx_mcp.domain.arguments import EstimateCost, ListJobs
from ltx_mcp.domain.job import State
from ltx_mcp.emulator.app import settings
from ltx_mcp.emulator.emulator_state import EmulatorState, Fault
from ltx_mcp.presentation.result_models import to_estimate, to_summary
from tests.emulator.made import film
from tests.providers import raw
from tests.providers.bench import CALLER, REMOTE, Bench, image, opened, reframes, text
from tests.providers.raw import Line, Raw, Request, answer

pytestmark = pytest.mark.anyio

KEYS = {name: value for name, value in settings("").items() if name.endswith("_KEY")}
JSON = "Content-Type: application/json"
HOPS = {"authorization", "cookie", "x-api-key"}
FAULTS = [
    *(Fault(provider, "submit", kind) for provider in REMOTE for kind in ("refuse", "locked", "content", "drop_after")),
    *(Fault(provider, "submit", "status", 1, {"status": 500}) for provider in REMOTE),
    *(Fault(provider, "submit", "truncated") for provider in REMOTE),
    *(Fault(provider, "poll", "drop_before") for provider in REMOTE[1:]),
    *(Fault(provider, "order", kind) for provider in REMOTE for kind in ("fails", "content", "unknown_state")),
    *(Fault("fal", step, "html") for step in ("stream", "result", "upload", "put")),
    *(Fault("ltx", step, "html") for step in ("upload", "put")),
    Fault("media", "download", "cut"),
    Fault("bytecompute", "download", "cut"),
]


def forms(key: str) -> set[bytes]:
    """A key as it might be written down."""
    return {form.encode() for form in (key, quote(key), quote(key, safe=""), json.dumps(key)[1:-1])}


def leaks(found: Iterable[tuple[str, bytes]], keys: Iterable[str] = KEYS.values()) -> list[str]:
    """Where a key stands that should not."""
    secrets = {form for key in keys for form in forms(key)}
    at = [(place, content, content.find(secret)) for place, content in found for secret in secrets if secret in content]
    return [f"{place}: {content[max(0, start - 60) : start]!r}" for place, content, start in at]


def check(found: Iterable[tuple[str, bytes]], keys: Iterable[str] = KEYS.values()) -> None:
    """Nothing leaks; else all of it is shown."""
    leaked = leaks(found, keys)
    assert not leaked, "\n".join(leaked)


def files_of(home: Path) -> Iterator[tuple[str, bytes]]:
    """Every file of a home, byte for byte: the database, its log, sidecars, inputs, films."""
    for path in sorted(home.rglob("*")):
        if path.is_file():
            yield str(path.relative_to(home)), path.read_bytes()


def columns_of(home: Path) -> Iterator[tuple[str, bytes]]:
    """Every column of every row of every table."""
    with sqlite3.connect(home / "jobs.sqlite") as connection:
        connection.row_factory = sqlite3.Row
        for (table,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            for row in connection.execute(f"SELECT * FROM {table}"):
                for name in row.keys():  # noqa: SIM118 (a row's own keys)
                    yield f"{table}.{name}", str(row[name]).encode()
    connection.close()


def logged(caplog: pytest.LogCaptureFixture) -> Iterator[tuple[str, bytes]]:
    """Everything that was logged, with tracebacks."""
    shown = logging.Formatter("%(name)s %(message)s")
    for record in caplog.records:
        yield f"log of {record.name}", shown.format(record).encode("utf-8", "replace")


async def told(bench: Bench) -> list[tuple[str, bytes]]:
    """Everything a caller can be answered with."""
    page = await bench.jobs.page(ListJobs(limit=100), CALLER)
    answers: list[tuple[str, Any]] = []
    for job in page.jobs:
        answers.append((f"view of {job.id}", bench.view(job).to_wire()))
        answers.append((f"ref of {job.id}", bench.ref(job).to_wire()))
        answers.append((f"row of {job.id}", to_summary(job).to_wire()))
        answers.append((f"history of {job.id}", [(each.what, each.detail) for each in await bench.history(job)]))
        answers.append((f"error of {job.id}", repr(job.error)))
    estimate = to_estimate(await bench.jobs.quotes(EstimateCost(), "local"), 1, await bench.jobs.budgets("local"))
    answers.append(("estimate", estimate.to_wire()))
    return [(place, json.dumps(each, ensure_ascii=False).encode("utf-8", "replace")) for place, each in answers]


def at_debug(caplog: pytest.LogCaptureFixture) -> None:
    """Everybody talks."""
    caplog.set_level(logging.DEBUG)
    for name in ("httpx", "httpcore", "ltx_mcp", "asyncio", "sqlalchemy.engine"):
        caplog.set_level(logging.DEBUG, name)


def pictures(folder: Path, count: int) -> list[Path]:
    made = [folder / f"{n}.png" for n in range(count)]
    for n, path in enumerate(made):
        Image.new("RGB", (64, 36), (n * 20 % 256, 99, 7)).save(path)
    return made


async def test_no_key_is_written_down_or_told_whatever_happens(
    emulated: tuple[str, EmulatorState], home: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    at_debug(caplog)
    world = emulated[1]
    async with opened(home, emulated, folders=(tmp_path,)) as bench:
        first, *others = pictures(tmp_path, 2 + len(REMOTE))
        jobs = [await bench.order(image(first, provider=provider)) for provider in REMOTE]
        jobs += [await bench.order(text(provider="fal", model=model)) for model in ("ltx-2.5-pro", "ltx-2.3-open")]
        (tmp_path / "small.mp4").write_bytes(film(frames=80))
        jobs += [await bench.order(reframes(tmp_path / "small.mp4", provider=provider)) for provider in ("fal", "ltx")]
        assert {job.state for job in jobs} == {State.SUCCEEDED}
        bench.time.run(20_000)
        for n, fault in enumerate(FAULTS):
            provider = "fal" if fault.provider == "media" else fault.provider
            world.faults = [Fault(fault.provider, fault.step, fault.kind, 1, dict(fault.options))]
            asked = {"provider": provider, "prompt": f"what goes wrong: {n}"}
            wants_picture = fault.step in ("upload", "put")
            await bench.order(image(others.pop(), **asked) if wants_picture else text(**asked))
        assert {job.state for job in (await bench.jobs.page(ListJobs(limit=100), CALLER)).jobs} >= {
            State.SUCCEEDED,
            State.FAILED,
            State.UNKNOWN,
        }
        found = await told(bench)
        found += [*columns_of(home), *files_of(home)]
    found += [*files_of(home), *logged(caplog)]
    assert len(found) > 1000
    assert any(record.name == "httpx" for record in caplog.records)
    check(found)


async def test_the_search_for_keys_finds_one(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    key = KEYS["NETWRCK_API_KEY"]
    home.mkdir()
    (home / "note").write_text(f"https://api.example/?api_key={key}", encoding="utf-8")
    logging.getLogger("ltx_mcp").error("%s", quote(KEYS["FAL_KEY"], safe=""))
    assert leaks([*files_of(home), *logged(caplog)]) == [
        "note: b'https://api.example/?api_key='",
        "log of ltx_mcp: b'ltx_mcp '",
    ]


async def test_no_credential_goes_to_a_films_or_a_pictures_place(
    emulated: tuple[str, EmulatorState], home: Path, tmp_path: Path
) -> None:
    emulated[1].reset()
    async with opened(home, emulated, folders=(tmp_path,)) as bench:
        for provider, picture in zip(REMOTE, pictures(tmp_path, 4), strict=True):
            await bench.end(await bench.place(image(picture, provider=provider)), within_s=90)
    calls = emulated[1].calls
    places = [each for each in calls if each.provider == "media" or each.step == "put"]
    assert len(places) == 5
    assert not any(each.authorized for each in places)
    asked = [each for each in calls if each not in places and each.provider != "netwrck"]
    assert all(each.authorized for each in asked)


# a server that says back whatever it was told, and one that points elsewhere


def echoing(status: int, words: str) -> raw.Deed:
    """Answers with the request itself, in the place where each provider keeps its words."""

    async def deed(line: Line) -> None:
        request = await line.read()
        said = f"{words}: {request.head} {request.body.decode('utf-8', 'replace')}"
        body = {"error": {"type": said, "message": said}, "detail": said, "message": said, "id": "", "status": said}
        await line.say(answer(status, json.dumps(body).encode(), JSON, f"x-request-id: {said.split()[-1][:60]}"))

    return deed


@pytest.mark.parametrize("status", [200, 302, 400, 401, 403, 422, 500])
async def test_a_provider_that_says_the_key_back_is_not_repeated(
    home: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, status: int
) -> None:
    at_debug(caplog)
    async with raw.serving(echoing(status, "you said")) as server:
        async with opened(home, (server.url, EmulatorState()), factor=20_000, folders=(tmp_path,)) as bench:
            for provider, picture in zip(REMOTE, pictures(tmp_path, 4), strict=True):
                await bench.order(text(provider=provider, prompt="a pond"))
                await bench.end(await bench.place(image(picture, provider=provider)), within_s=90)
            found = [*await told(bench), *columns_of(home)]
        assert len(server.requests) >= 2 * len(REMOTE)
    check([*found, *files_of(home), *logged(caplog)])


def telling(provider: str, media: str, key: str, *, look: int = 200) -> raw.Deed:
    """A provider that takes every order, has every film done at once, and lets its key slip wherever it can."""
    looks = {
        "ltx": {"status": "completed", "result": {"video_url": media}},
        "netwrck": {"status": "completed", "result": {"video": {"url": media}}},
        "bytecompute": {"status": "completed", "adjustments": [{"field": "fps", "requested": key, "applied": key}]},
    }
    taken = {"id": "a1", "job_id": "a1", "request_id": "a1", "adjustments": [{"field": key, "applied": key}]}

    def said(request: Request) -> bytes:
        method, path = request.head.split()[:2]
        if "/status/stream" in path:
            log = json.dumps({"status": "IN_PROGRESS", "logs": [{"message": f"used {key}"}]})
            end = json.dumps({"status": "COMPLETED"})
            return answer(200, f"data: {log}\n\ndata: {end}\n\n".encode(), "Content-Type: text/event-stream")
        if method == "GET" and path.startswith("/fal-ai"):
            return answer(200, json.dumps({"video": {"url": media}}).encode(), JSON)
        if path.endswith("/download"):
            return answer(200, json.dumps({"url": media}).encode(), JSON)
        if method == "GET" or path == "/v1/jobs/a1":
            headers = [JSON, f"Location: {media}"]
            return answer(look, json.dumps(looks.get(provider, {})).encode(), *headers)
        return answer(200, json.dumps(taken).encode(), JSON)

    async def deed(line: Line) -> None:
        await line.say(said(await line.read()))

    return deed


def pointing(to: str) -> raw.Deed:
    """Sends everybody elsewhere."""

    async def deed(line: Line) -> None:
        await line.read()
        await line.say(answer(302, b"", f"Location: {to}", "Set-Cookie: session=1"))

    return deed


async def no_film(line: Line) -> None:
    """A page where a film was due."""
    await line.read()
    await line.say(answer(200, b"<html></html>", "Content-Type: text/html"))


def key_of(provider: str) -> str:
    return next(value for name, value in KEYS.items() if provider.upper() in name)


def check_bare(servers: Iterable[Raw]) -> None:
    """Nothing of ours is in what these servers were sent."""
    for server in servers:
        assert server.requests, "nobody came"
        for request in server.requests:
            assert not HOPS & request.headers.keys()
            check([("head", request.head.encode()), ("body", request.body)])


@pytest.mark.parametrize("provider", REMOTE)
async def test_a_film_is_fetched_along_redirects_without_the_key(provider: str, home: Path) -> None:
    async with raw.serving(no_film) as cdn, raw.serving(pointing(f"{cdn.url}/film.mp4")) as media:
        deed = telling(provider, f"{media.url}/film?signature=1", key_of(provider))
        async with raw.serving(deed) as api, opened(home, (api.url, EmulatorState())) as bench:
            job = await bench.order(text(provider=provider))
            assert job.state is State.FAILED
        check_bare([media, cdn])


@pytest.mark.parametrize("provider", REMOTE)
async def test_a_key_that_slips_into_logs_or_adjustments_is_struck_out(
    provider: str, home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    at_debug(caplog)
    async with raw.serving(no_film) as media:
        deed = telling(provider, f"{media.url}/film?signature=1", key_of(provider))
        async with raw.serving(deed) as api, opened(home, (api.url, EmulatorState())) as bench:
            await bench.order(text(provider=provider))
            found = [*await told(bench), *columns_of(home)]
    check([*found, *files_of(home), *logged(caplog)])


@pytest.mark.parametrize("provider", ["ltx", "netwrck", "bytecompute"])
async def test_a_look_that_is_pointed_elsewhere_does_not_go_there(provider: str, home: Path) -> None:
    async with raw.serving(no_film) as elsewhere:
        deed = telling(provider, f"{elsewhere.url}/status", key_of(provider), look=307)
        async with raw.serving(deed) as api, opened(home, (api.url, EmulatorState()), factor=5_000) as bench:
            job = await bench.order(text(provider=provider))
            assert (job.state, len(api.requests) > 2) == (State.UNKNOWN, True)
        assert elsewhere.connections == 0


@pytest.mark.parametrize("provider", ["fal", "ltx"])
async def test_an_upload_place_that_points_elsewhere_is_not_followed(provider: str, home: Path, tmp_path: Path) -> None:
    async with raw.serving(no_film) as elsewhere, raw.serving(pointing(elsewhere.url)) as bucket:
        place = {"upload_url": f"{bucket.url}/put?sig=1", "file_url": "https://cdn.example/a", "storage_uri": "ltx://a"}
        slot = json.dumps({**place, "required_headers": {}}).encode()
        async with (
            raw.serving(raw.says(answer(200, slot, JSON))) as api,
            opened(home, (api.url, EmulatorState()), factor=20_000, folders=(tmp_path,)) as bench,
        ):
            job = await bench.order(image(pictures(tmp_path, 1)[0], provider=provider))
            assert job.state is State.FAILED
        check_bare([bucket])
        assert elsewhere.connections == 0


async def test_a_key_that_cannot_be_sent_is_not_told_either(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    at_debug(caplog)
    parts = ("a-secret-of", "two-lines")
    env = dict.fromkeys(KEYS, "\n".join(parts))
    async with raw.serving(no_film) as api, opened(home, (api.url, EmulatorState()), factor=20_000, env=env) as bench:
        for provider in REMOTE:
            await bench.order(text(provider=provider))
        found = [*await told(bench), *columns_of(home)]
    check([*found, *files_of(home), *logged(caplog)], parts)
