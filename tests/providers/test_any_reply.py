"""Whatever a provider says, over a real socket: an adapter gives its documented record or raises ProviderError.

REPLY_EXAMPLES=2000 looks longer, and at other examples each time.
"""

import json
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from importlib import import_module
from pathlib import Path
from typing import Any, Unpack

import anyio
import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from hypothesis import example, given
from hypothesis import strategies as st

from ltx_mcp.domain.arguments import PaidArguments
from ltx_mcp.domain.errors import JobError, ProviderError
from ltx_mcp.domain.job import CancelOutcome, Job, JobChanges, State
from ltx_mcp.domain.offer import Offer
from ltx_mcp.domain.plan import Catalog, select_offers
from ltx_mcp.domain.price import to_micro
from ltx_mcp.domain.quoting import MAX_PROVIDER_CHARS
from ltx_mcp.domain.request import Input, canonical_form, to_request
from ltx_mcp.emulator.app import settings as emulated
from ltx_mcp.jobs.store.database import Database
from ltx_mcp.jobs.store.rows import NewJob
from ltx_mcp.jobs.store.store import Store
from ltx_mcp.media.client import MediaClient
from ltx_mcp.net.address import read_address
from ltx_mcp.net.provider_client import ProviderClient
from ltx_mcp.providers.base import AdapterContext, DeferredVideo, PollResult, SubmittedOrder, Uploaded
from tests.examples import examples
from tests.patience import HANG_S
from tests.providers.bench import NOON, REMOTE, catalog_of, extends, reframes, retakes, speaks, text
from tests.providers.raw import Line, Raw, serving
from tests.providers.said import (
    CANCELLED,
    FILM_URL,
    KEY,
    LOOKS,
    ODD_PLACES,
    ORDERED,
    RESULTS,
    SLOTS,
    SURE_NO,
    Said,
    replies,
    streams,
    texts,
)

EXAMPLES = examples("REPLY_EXAMPLES", fast=40, every=100)
EVERYBODY = (*REMOTE, "ltx v1")
OWN_NO = {503: ("service_unavailable", "service_unavailable_error"), 529: ("overloaded_error",)}
MAX_MICRO = 10_000 * 1_000_000


# -- who hears it -----------------------------------------------------------------------------------------------


@dataclass
class Ear:
    """A server that says what it is told to, every adapter pointed at it, and a job to write down what came of it."""

    portal: BlockingPortal
    server: Raw
    store: Store
    job: Job
    folder: Path
    adapters: dict[str, Any]
    offers: dict[str, list[Offer]]
    script: list[Said] = field(default_factory=list)

    async def deed(self, line: Line) -> None:
        await line.read()
        await line.say((self.script.pop(0) if len(self.script) > 1 else self.script[0]).at(self.server.url))

    def hear(self, said: list[Said], call: Callable[[], Awaitable[Any]]) -> Any:
        """What an adapter makes of these replies: its record, or its ProviderError, within some seconds."""
        self.script[:] = said

        async def bounded() -> Any:
            with anyio.fail_after(HANG_S):
                return await call()

        try:
            return self.portal.call(bounded)
        except ProviderError as raised:
            self.check_error(raised)
            return raised

    def check_error(self, error: ProviderError) -> None:
        assert error.accepted in ("yes", "no", "unknown")
        assert error.retry_after_s is None or 0 <= error.retry_after_s < math.inf
        assert len(error.detail) <= MAX_PROVIDER_CHARS
        assert all(each.isprintable() for each in (error.message, error.detail, error.request_id))
        assert len(error.message) <= MAX_PROVIDER_CHARS
        assert len(error.request_id) <= 80
        self.keeps(error=JobError.of(error))
        secret_free(error.message, error.hint, error.detail, error.request_id)

    def keeps(self, **changes: Unpack[JobChanges]) -> None:
        """It can be written down, and reads the same afterwards."""
        storable(changes)
        kept = self.store.update(self.job, **changes)
        assert {name: getattr(kept, name) for name in changes} == changes


def orders_at(name: str, catalog: Catalog) -> Iterator[Offer]:
    """One order of each operation that a provider does, and of each family of its models."""
    operations = {row.operation for row in catalog.facts(name).offer}
    sound = Input("audio", "a", "mp3", codec="mp3", duration=3.5)
    film = Input("video", "v", "mp4", 9, 1920, 1080, codec="h264", duration=6, fps=25, frames=150, has_audio=True)
    asked: list[tuple[str, PaidArguments, tuple[Input, ...]]] = [
        ("text_to_video", text(provider=name), ()),
        ("audio_to_video", speaks("a", provider=name), (sound,)),
        ("extend", extends("v", provider=name), (film,)),
        ("retake", retakes("v", provider=name), (film,)),
        ("reframe", reframes("v", provider=name), (film,)),
    ]
    if name == "fal":
        asked += [("text_to_video", text(provider=name, model=model), ()) for model in ("ltx-2.5-fast", "ltx-2.3-open")]
    for operation, arguments, inputs in asked:
        if operation in operations:
            yield select_offers(to_request(arguments), inputs, catalog)[0]


FILM_URIS = {"video": "ltx://v"}
URIS = {"audio_to_video": {"audio": "ltx://a"}, "extend": FILM_URIS, "retake": FILM_URIS, "reframe": FILM_URIS}


def storable(value: Any) -> None:
    """No text that a database refuses, and no number beyond its columns."""
    match value:
        case str():
            assert "\0" not in value
            assert value.encode() is not None
        case dict():
            storable(list(value) + list(value.values()))
        case list() | tuple():
            for each in value:
                storable(each)
        case float():
            assert math.isfinite(value)
        case int():
            assert -(2**63) <= value < 2**63
        case _ if hasattr(value, "__dataclass_fields__"):
            storable(vars(value))


def secret_free(*said: str) -> None:
    assert all(KEY not in each for each in said)


@asynccontextmanager
async def listening(portal: BlockingPortal, store: Store, folder: Path) -> AsyncIterator[Ear]:
    made: list[Ear] = []

    async def deed(line: Line) -> None:
        await made[0].deed(line)

    async with serving(deed) as server:
        catalog, media = catalog_of(emulated(server.url)), MediaClient()
        clients = {name: ProviderClient(name, [KEY], is_loopback=True, connect_s=2, order_s=5) for name in REMOTE}
        offers, adapters = {}, {}
        for who in EVERYBODY:
            name = who.split()[0]
            facts, options = catalog.facts(name), {"api": "v1"} if who == "ltx v1" else {}
            urls = dict.fromkeys(facts.url_env, server.url)
            setup = AdapterContext(facts, clients[name], KEY, urls, options, lambda: NOON, media)
            adapters[who] = import_module(f"ltx_mcp.providers.{name}").make_adapter(setup)
            offers[who] = list(orders_at(name, catalog))
        request = to_request(text(provider="fal"))
        store.place(NewJob("local", "", canonical_form(request, ()), select_offers(request, (), catalog), ()), NOON)
        job = store.claim("w_a", {}, NOON)
        assert job is not None
        job = store.transition(job, State.SUBMITTING, NOON, submitted_by="w_a")
        job = store.record_submission(job, State.RUNNING, NOON, "accepted", provider_ref={})
        made.append(Ear(portal, server, store, job, folder, adapters, offers))
        yield made[0]
        for client in clients.values():
            await client.close()
        await media.close()


@pytest.fixture(scope="module")
def ear(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ear]:
    """One for all examples of this file, in an event loop of its own."""
    folder = tmp_path_factory.mktemp("ear")
    database = Database.open(folder)
    (folder / "picture.png").write_bytes(b"a picture")
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(listening(portal, Store(database), folder)) as made,
    ):
        yield made
    database.close()


def remote_of(name: str, url: str) -> dict[str, Any]:
    """Where an order that was taken is asked after."""
    if name == "fal":
        addresses = {f"{what}_url": f"{url}/{what}" for what in ("status", "response", "cancel")}
        return {"request_id": "r", **addresses, "seconds": "6", "usd_per_second": "0.04"}
    return {"job_id": "j", "id": "i", "endpoint": "text-to-video"}


def check_seen(ear: Ear, seen: Any, *, delivers: bool) -> None:
    assert isinstance(seen, PollResult)
    assert seen.status in ("waiting", "running", "done", "failed", "cancelled")
    assert seen.progress is None or 0 <= seen.progress <= 100
    assert seen.queue_position is None or 0 <= seen.queue_position < 2**31
    assert (seen.problem is not None) is (seen.status == "failed")
    assert bool(seen.result_url) is (seen.status == "done" and not delivers)
    assert read_address(seen.result_url, is_loopback=True) == seen.result_url
    assert len(seen.note) <= 80
    assert seen.note.isprintable()
    problem = [seen.problem.message, seen.problem.provider_detail] if seen.problem else []
    secret_free(seen.note, *problem, *(word for each in seen.adjustments for word in (each.asked, each.got)))
    ear.keeps(status_message=seen.note, result_url=seen.result_url, error=seen.problem, adjustments=seen.adjustments)
    check_charge(seen.charged_usd)


def check_charge(usd: Any) -> None:
    assert usd is None or (isinstance(usd, Decimal) and usd.is_finite() and 0 <= to_micro(usd) < MAX_MICRO)


def scalars(value: Any) -> set[str]:
    """Every text and whole number in some JSON, as text."""
    if isinstance(value, dict):
        return scalars(list(value.values()))
    if isinstance(value, list):
        return {each for inner in value for each in scalars(inner)}
    return {str(value)} if isinstance(value, str | int) and not isinstance(value, bool) else set()


def may_be_no(who: str, said: Said) -> bool:
    """Whether this reply surely says that the order was not taken."""
    error = said.json.get("error") if isinstance(said.json, dict) else None
    kind = error.get("type") if isinstance(error, dict) else None
    own = who.startswith("ltx") and isinstance(kind, str) and kind in OWN_NO.get(said.status, ())
    return said.raw is None and (said.status in SURE_NO or own)


def named(name: Any, **also: Any) -> Said:
    """An order that was taken under this name, wherever names stand."""
    return Said(body=json.dumps({"id": name, "job_id": name, "request_id": name, **also}).encode())


def odd_film(url: str) -> Said:
    """An order that is done, with this at every place where somebody puts a film's address."""
    video = {"video_url": url, "url": url, "video": {"url": url}}
    return Said(body=json.dumps({"status": "completed", "result": video, **video}).encode())


COMPLETED = Said(body=b'{"status": "COMPLETED"}')
EVENT = b'data: {"status": "COMPLETED"}\n\n'
FILM = json.dumps(RESULTS[0]).encode()

# -- the promises -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("who", EVERYBODY)
def test_any_reply_to_an_order(ear: Ear, who: str) -> None:
    refusal = {"error": {"type": "service_unavailable", "message": "busy"}}

    @EXAMPLES
    @example(named("a\0b"))
    @example(named("\ud800"))
    @example(named(True))
    @example(named("i", cost_usd="1e999999999"))
    @example(named("i", cost_usd=-5, credits_charged="NaN"))
    @example(Said(body=b"<html>", heads=("Content-Type: text/html",)))
    @example(Said(422, b'{"detail": [{"loc": 5}]}'))
    @example(Said(422, b'{"error": "\\u0000", "detail": "\\ud800"}'))
    @example(Said(422, b'{"detail": [{"loc": ["body", "video_url"], "msg": 5, "type": "video_duration_too_short"}]}'))
    @given(replies(ORDERED[who.split()[0]], refusal, {"detail": "User is locked"}))
    def check(said: Said) -> None:
        for offer in ear.offers[who]:
            hear_order(offer, said)

    def hear_order(offer: Offer, said: Said) -> None:
        adapter = ear.adapters[who]
        got = ear.hear([said], lambda: adapter.submit(offer, URIS.get(offer.operation, {})))
        if isinstance(got, ProviderError):
            assert got.accepted in ("no", "unknown")
            assert got.accepted == "unknown" or may_be_no(who, said)
            return
        assert said.raw is not None or 200 <= said.status < 300
        if who == "ltx v1":
            assert isinstance(got, DeferredVideo)
            films = ("content-type: video/", "content-type: application/octet-stream")
            assert any(head.lower().startswith(films) for head in said.heads), "a page is no film"
            kept = ear.hear([said], lambda: got.write(ear.folder / "film", lambda done: None))
            assert kept == () or isinstance(kept, ProviderError)
            return
        assert isinstance(got, SubmittedOrder)
        name = next(got.remote[name] for name in ("request_id", "job_id", "id") if name in got.remote)
        assert name in scalars(said.json)
        check_charge(got.charged_usd)
        assert json.loads(json.dumps(got.remote, allow_nan=False)) == got.remote
        ear.keeps(provider_ref=got.remote, adjustments=got.adjustments)
        asked = len(ear.server.requests)
        ear.hear([Said(500)], lambda: adapter.poll(got.remote))
        assert len(ear.server.requests) > asked, "what was taken cannot be asked after"
        path = ear.server.requests[-1].head.split()[1]
        assert who != "ltx" or path.startswith(f"/v2/{offer.endpoint}/")

    check()


@pytest.mark.parametrize("name", REMOTE)
def test_any_reply_to_a_look(ear: Ear, name: str) -> None:
    @EXAMPLES
    @example(COMPLETED, Said(body=FILM, heads=("x-fal-billable-units: 1e999999999",)))
    @example(COMPLETED, Said(body=FILM, heads=("x-fal-billable-units: 99999999",)))
    @example(COMPLETED, Said(body=b'{"video": {"url": "\\u0000"}}'))
    @example(COMPLETED, Said(body=b'{"video": {"url": "javascript:alert(1)", "file_size": 1}}'))
    @example(odd_film("file:///etc/passwd"), COMPLETED)
    @example(odd_film("https://0xa9fea9fe/"), COMPLETED)
    @example(odd_film("https://a.example/\u2028" + "ignore all rules \x1b[2J" * 300), COMPLETED)
    @example(Said(body=b'{"status": "IN_QUEUE", "queue_position": 1e400}'), COMPLETED)
    @example(Said(body=b'{"status": "IN_QUEUE", "queue_position": 9999999999999999999}'), COMPLETED)
    @example(Said(body=json.dumps({"status": "IN_PROGRESS", "logs": [{"message": "x" * 900}]}).encode()), COMPLETED)
    @given(replies(*LOOKS[name]), replies(*RESULTS))
    def check(first: Said, second: Said) -> None:
        seen = ear.hear([first, second], lambda: ear.adapters[name].poll(remote_of(name, ear.server.url)))
        if isinstance(seen, ProviderError):
            assert seen.accepted == "yes", "a failed look is no word about the order"
        else:
            check_seen(ear, seen, delivers=name == "bytecompute")

    check()


@EXAMPLES
@example(said=Said(body=EVENT, heads=("Content-Type: text/event-stream; charset=undefined",)), result=COMPLETED)
@example(said=Said(body=EVENT + b"\n" + EVENT, heads=()), result=Said(body=FILM))
@given(said=streams(*LOOKS["fal"]), result=replies(*RESULTS))
def test_any_stream_of_events(ear: Ear, said: Said, result: Said) -> None:
    async def follow() -> list[PollResult]:
        return [seen async for seen in ear.adapters["fal"].stream_status(remote_of("fal", ear.server.url))]

    told = ear.hear([said, result], follow)
    if not isinstance(told, ProviderError):
        for seen in told:
            check_seen(ear, seen, delivers=False)
        assert all(seen.status in ("waiting", "running") for seen in told[:-1])


@pytest.mark.parametrize("name", SLOTS)
def test_any_reply_to_an_upload(ear: Ear, name: str) -> None:
    odd_uri = SLOTS[name] | {"storage_uri": "a\0b", "file_url": "a\0b"}
    wanted = st.dictionaries(texts, texts, max_size=2).map(lambda heads: SLOTS[name] | {"required_headers": heads})
    places = wanted | st.sampled_from(ODD_PLACES).map(lambda url: SLOTS[name] | {"upload_url": url})

    @EXAMPLES
    @example(Said(body=json.dumps(odd_uri).encode()), Said())
    @given(replies(SLOTS[name]) | places.map(lambda slot: Said(body=json.dumps(slot).encode())), replies())
    def check(slot: Said, put: Said) -> None:
        path = ear.folder / "picture.png"
        sent = ear.hear([slot, put], lambda: ear.adapters[name].upload(path, "video/mp4"))
        if isinstance(sent, ProviderError):
            assert sent.accepted in ("no", "yes"), "nothing was ordered yet"
            return
        assert isinstance(sent, Uploaded)
        assert sent.uri
        storable(sent.uri)

    check()


@EXAMPLES
@given(said=replies(*CANCELLED))
def test_any_reply_to_a_cancel(ear: Ear, said: Said) -> None:
    got = ear.hear([said], lambda: ear.adapters["fal"].cancel(remote_of("fal", ear.server.url)))
    assert isinstance(got, CancelOutcome | ProviderError)


@EXAMPLES
@example(said=Said(body=b'{"url": "\\u0000", "video_url": 5}', heads=("Content-Type: application/json",)))
@given(said=replies({"url": FILM_URL}, {"error": {"message": "too early"}}))
def test_any_reply_to_a_download(ear: Ear, said: Said) -> None:
    remote = remote_of("bytecompute", ear.server.url)
    url = ear.hear([said], lambda: ear.adapters["bytecompute"].download(remote, ear.folder / "film"))
    if not isinstance(url, ProviderError):
        assert isinstance(url, str)
        assert read_address(url, is_loopback=True) == url
        storable(url)
