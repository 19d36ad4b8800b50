"""Every way the one order can go wrong on its way there and back, for each provider: taken or not, and the money."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path

import anyio
import pytest

from ltx_mcp.domain.errors import ErrorCode, ProviderError
from ltx_mcp.domain.job import ChargeState, Job, State
from ltx_mcp.domain.offer import Offer
from ltx_mcp.domain.plan import select_offers
from ltx_mcp.domain.request import canonical_form, to_request
from ltx_mcp.emulator.app import providers as emulated_providers
from ltx_mcp.emulator.app import settings
from ltx_mcp.emulator.emulator_state import Fault
from ltx_mcp.jobs.files import FileStore
from ltx_mcp.jobs.steps.context import StepContext, WorkInProgress
from ltx_mcp.jobs.steps.steps import Steps
from ltx_mcp.jobs.store.database import Database
from ltx_mcp.jobs.store.rows import NewJob
from ltx_mcp.jobs.store.store import Store
from ltx_mcp.jobs.store.upload_cache import UploadCache
from ltx_mcp.media.client import MediaClient
from ltx_mcp.net.flow import Bounds
from ltx_mcp.net.provider_client import ProviderClient
from ltx_mcp.providers.base import AdapterContext, DeferredVideo, Provider, SubmittedOrder
from tests.conftest import Clock, on_sqlite
from tests.patience import HANG_S
from tests.providers import raw
from tests.providers.bench import REMOTE, catalog_of, text
from tests.providers.raw import Raw, answer, says

pytestmark = [pytest.mark.anyio, on_sqlite]

V1 = "ltx v1"
EVERYBODY = (*REMOTE, V1)
WORKER = "w_test"
SHORT_S = 0.4
ENOUGH_S = HANG_S
PAGE = b"<!DOCTYPE html><html><body><h1>Bad gateway</h1></body></html>"
HTML = "Content-Type: text/html"

Expected = tuple[str, ErrorCode, State, ChargeState]
UNKNOWN: Expected = ("unknown", ErrorCode.OUTCOME_UNKNOWN, State.UNKNOWN, ChargeState.HELD)


def no(code: ErrorCode) -> Expected:
    """Surely not taken; too many at once is tried again after a while."""
    if code is ErrorCode.RATE_LIMITED:
        return "no", code, State.QUEUED, ChargeState.HELD
    return "no", code, State.FAILED, ChargeState.RELEASED


BY_STATUS = {
    400: no(ErrorCode.REJECTED),
    401: no(ErrorCode.KEY_REJECTED),
    402: no(ErrorCode.OUT_OF_CREDIT),
    403: no(ErrorCode.KEY_REJECTED),
    404: no(ErrorCode.UNAVAILABLE),
    405: no(ErrorCode.UNAVAILABLE),
    407: no(ErrorCode.UNAVAILABLE),
    408: UNKNOWN,
    409: UNKNOWN,
    413: no(ErrorCode.REJECTED),
    415: no(ErrorCode.REJECTED),
    422: no(ErrorCode.REJECTED),
    425: no(ErrorCode.UNAVAILABLE),
    429: no(ErrorCode.RATE_LIMITED),
    500: UNKNOWN,
    502: UNKNOWN,
    503: UNKNOWN,
    504: UNKNOWN,
    511: no(ErrorCode.UNAVAILABLE),
    529: UNKNOWN,
}
OWN_WORDS = {
    ("ltx", 422): no(ErrorCode.CONTENT_REFUSED),
    ("ltx", 503): no(ErrorCode.UNAVAILABLE),
    ("ltx", 529): no(ErrorCode.UNAVAILABLE),
}
"""Where a provider's own words say more than the status does."""


@dataclass
class Heard:
    """An adapter, and what it raised."""

    adapter: Provider
    errors: list[ProviderError] = field(default_factory=list)

    async def submit(self, offer: Offer, uris: Mapping[str, str]) -> SubmittedOrder | DeferredVideo:
        try:
            return await self.adapter.submit(offer, uris)
        except ProviderError as error:
            self.errors.append(error)
            raise


@dataclass
class Sent:
    """One order on its way: its job about to be submitted, and the steps that carry it."""

    store: Store
    steps: Steps
    heard: Heard
    job: Job
    work: WorkInProgress

    async def outcome(self) -> Expected:
        """Send it, and say what became of it."""
        with anyio.fail_after(2 * ENOUGH_S):
            self.job = await self.steps.take(self.job, self.work)
        error = self.heard.errors[-1]
        code = self.job.error.code if self.job.error else error.code
        return error.accepted, code, self.job.state, self.job.bill


Prepare = Callable[..., AbstractAsyncContextManager[Sent]]


@pytest.fixture
def prepare(store: Store, database: Database, home: Path, clock: Clock) -> Prepare:
    """Makes the order of a provider ready to be sent to an address, by the real adapter and the real steps."""

    @asynccontextmanager
    async def prepared(
        provider: str,
        url: str,
        *,
        is_loopback: bool = True,
        key: str = "emulated",
        connect_s: float = ENOUGH_S,
        order_s: float = ENOUGH_S,
    ) -> AsyncIterator[Sent]:
        name, media = provider.split()[0], MediaClient()
        catalog = catalog_of(settings("http://127.0.0.1:1"))
        facts = catalog.facts(name)
        client = ProviderClient(name, [key], is_loopback=is_loopback, connect_s=connect_s, order_s=order_s)
        options = {"api": "v1"} if provider == V1 else {}
        setup = AdapterContext(facts, client, key, dict.fromkeys(facts.url_env, url), options, clock, media)
        heard = Heard(import_module(f"ltx_mcp.providers.{name}").make_adapter(setup))
        steps = Steps(
            StepContext(
                store,
                UploadCache(database),
                FileStore(home),
                media,
                {name: facts},
                {name: heard},
                no_fetch,
                clock,
                none_at_all,
            )
        )
        request = to_request(text(provider=name))
        store.place(NewJob("local", "", canonical_form(request, ()), select_offers(request, (), catalog), ()), clock())
        job, work = store.claim(WORKER, {}, clock()), WorkInProgress()
        assert job is not None
        yield Sent(store, steps, heard, await steps.take(job, work), work)
        await client.close()
        await media.close()

    return prepared


async def no_fetch(url: str, out: Path, *, provider: str, is_loopback: bool, bounds: Bounds) -> None:
    raise AssertionError(url)


async def none_at_all(seconds: float) -> None:
    await anyio.lowlevel.checkpoint()


def in_own_words(provider: str, status: int) -> bytes:
    """How this provider puts this status."""
    name = provider.split()[0]
    (emulated,) = [each for each in emulated_providers() if name == each.NAME]
    said = emulated.refuse(Fault(name, "submit", "status", 1, {"status": status}))
    headers = [f"{key}: {value}" for key, value in said.headers.items() if key != "content-length"]
    return answer(status, said.body, *headers)


async def sent_to(prepare: Prepare, provider: str, deed: raw.Deed) -> tuple[Expected, Raw]:
    async with raw.serving(deed) as server, prepare(provider, server.url) as sent:
        return await sent.outcome(), server


@pytest.mark.parametrize("provider", EVERYBODY)
@pytest.mark.parametrize("status", BY_STATUS)
async def test_a_status_in_the_providers_own_words(prepare: Prepare, provider: str, status: int) -> None:
    outcome, server = await sent_to(prepare, provider, says(in_own_words(provider, status)))
    assert outcome == OWN_WORDS.get((provider.split()[0], status), BY_STATUS[status])
    assert (len(server.requests), server.connections) == (1, 1)


@pytest.mark.parametrize("provider", EVERYBODY)
@pytest.mark.parametrize("status", BY_STATUS)
async def test_a_status_on_a_page_of_html(prepare: Prepare, provider: str, status: int) -> None:
    outcome, server = await sent_to(prepare, provider, says(answer(status, PAGE, HTML)))
    assert (outcome, len(server.requests)) == (BY_STATUS[status], 1)


@pytest.mark.parametrize("provider", EVERYBODY)
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_a_sure_no_and_never_followed(prepare: Prepare, provider: str, status: int) -> None:
    async with raw.serving(says(answer(200, b"{}"))) as elsewhere:
        moved = says(answer(status, b"", f"Location: {elsewhere.url}/taken"))
        outcome, server = await sent_to(prepare, provider, moved)
        refused = no(ErrorCode.UNAVAILABLE)
        assert (outcome, len(server.requests), elsewhere.connections) == (refused, 1, 0)


HALF = {
    "half a JSON body": answer(200, b'{"id": "1", "job_id": "1", "request_id": "1', length=4000),
    "a body cut by its own length": answer(202, b'{"id": "1", "job_'),
    "no id": answer(200, b'{"accepted": true}', "Content-Type: application/json"),
    "an empty id": answer(200, b'{"id": "", "job_id": "", "request_id": ""}', "Content-Type: application/json"),
    "null": answer(200, b"null", "Content-Type: application/json"),
    "a list": answer(201, b'["1"]', "Content-Type: application/json"),
    "nothing": answer(200),
    "204": answer(204),
    "a page": answer(200, PAGE, HTML),
    "a huge body": answer(200, b'{"id": "1", "job_id": "1", "request_id": "1", "x": "' + b"x" * (5 << 20) + b'"}'),
    "a nest of brackets": answer(200, b"[" * 100_000, "Content-Type: application/json"),
    "bytes that are no text": answer(200, bytes(range(128, 256)), "Content-Type: application/json"),
    "no HTTP": b"220 smtp.example ready\r\n",
    "only a greeting": b"HTTP/1.1 100 Continue\r\n\r\n",
    "half a head": b"HTTP/1.1 200 OK\r\nContent-Le",
}


@pytest.mark.parametrize("provider", REMOTE)
@pytest.mark.parametrize("what", HALF)
async def test_an_answer_that_names_no_order_is_unknown(prepare: Prepare, provider: str, what: str) -> None:
    outcome, server = await sent_to(prepare, provider, says(HALF[what]))
    assert (outcome, len(server.requests), server.connections) == (UNKNOWN, 1, 1)


@pytest.mark.parametrize("what", ["no HTTP", "only a greeting", "half a head", "nothing", "204", "a page", "no id"])
async def test_an_answer_without_a_film_is_unknown_where_the_film_was_due(prepare: Prepare, what: str) -> None:
    outcome, server = await sent_to(prepare, V1, says(HALF[what]))
    assert (outcome, len(server.requests)) == (UNKNOWN, 1)


BROKEN = {
    "reset at once": (raw.reset_at_once, 0, ENOUGH_S),
    "reset after the request": (raw.reset_after, 1, ENOUGH_S),
    "hung up after the request": (raw.close_after, 1, ENOUGH_S),
    "nothing is read": (raw.never_reads, 0, 3 * SHORT_S),
    "nothing is answered": (raw.never_answers, 1, 3 * SHORT_S),
    "an answer without end": (raw.dribbles(200), 1, 3 * SHORT_S),
}
"""How it breaks, how many requests are read whole, and how long the order may take, in seconds."""


@pytest.mark.parametrize("provider", REMOTE)
@pytest.mark.parametrize("what", BROKEN)
async def test_a_connection_that_breaks_after_it_stood_is_unknown(prepare: Prepare, provider: str, what: str) -> None:
    deed, whole, order_s = BROKEN[what]
    async with raw.serving(deed) as server, prepare(provider, server.url, order_s=order_s) as sent:
        assert await sent.outcome() == UNKNOWN
    assert (len(server.requests), server.connections) == (whole, 1)
