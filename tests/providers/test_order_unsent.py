"""An order that never left is a sure no, whatever kept it here; and one that is answered late is still ours."""

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import anyio
import pytest
import trustme

from ltx_mcp.domain.errors import ErrorCode
from ltx_mcp.domain.job import State
from tests.conftest import Clock, on_sqlite
from tests.providers import raw
from tests.providers.bench import REMOTE
from tests.providers.raw import Line, answer, says
from tests.providers.test_order_answers import EVERYBODY, SHORT_S, WORKER, Prepare, no, prepare

__all__ = ["prepare"]

pytestmark = [pytest.mark.anyio, on_sqlite]

AWAY = no(ErrorCode.UNAVAILABLE)
IDS = b'{"id": "a1", "job_id": "a1", "request_id": "a1"}'


@contextmanager
def bound() -> Iterator[tuple[socket.socket, str]]:
    """A port of loopback, and its address."""
    with socket.socket() as taken:
        taken.bind((raw.LOOPBACK, 0))
        yield taken, f"http://{raw.LOOPBACK}:{taken.getsockname()[1]}"


@pytest.mark.parametrize("provider", EVERYBODY)
async def test_a_closed_port(prepare: Prepare, provider: str) -> None:
    with bound() as (_, url):
        async with prepare(provider, url) as sent:
            assert await sent.outcome() == AWAY


@pytest.mark.parametrize("provider", EVERYBODY)
async def test_a_connection_that_never_stands(prepare: Prepare, provider: str) -> None:
    with bound() as (taken, url):
        taken.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for each in waiting:  # fill the line before the door
            each.setblocking(False)
            each.connect_ex(taken.getsockname())
        async with prepare(provider, url, connect_s=SHORT_S) as sent:
            assert await sent.outcome() == AWAY
        for each in waiting:
            each.close()


@pytest.mark.parametrize("provider", EVERYBODY)
async def test_a_name_that_does_not_exist(prepare: Prepare, provider: str) -> None:
    async with prepare(provider, "https://nobody.invalid", is_loopback=False) as sent:
        assert await sent.outcome() == AWAY


@pytest.mark.parametrize("provider", EVERYBODY)
async def test_a_certificate_of_nobodys(prepare: Prepare, provider: str) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert(raw.LOOPBACK).configure_cert(context)
    async with raw.serving(says(answer(200, IDS)), context) as server:
        async with prepare(provider, server.url, is_loopback=False) as sent:
            assert await sent.outcome() == AWAY
        assert server.requests == []


@pytest.mark.parametrize("provider", EVERYBODY)
async def test_a_handshake_that_never_ends(prepare: Prepare, provider: str) -> None:
    async with (
        raw.serving(raw.never_reads) as server,
        prepare(provider, server.url.replace("http:", "https:"), is_loopback=False, connect_s=SHORT_S) as sent,
    ):
        assert await sent.outcome() == AWAY


@pytest.mark.parametrize("provider", EVERYBODY)
async def test_a_proxy_that_lets_nobody_through(
    prepare: Prepare, provider: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with raw.serving(says(answer(407))) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        async with prepare(provider, "https://api.example", is_loopback=False) as sent:
            assert await sent.outcome() == AWAY
        assert [request.head.split()[0] for request in proxy.requests] == ["CONNECT"]


@pytest.mark.parametrize("key", ["a–key", "a key\nof two lines"])
@pytest.mark.parametrize("provider", ["fal", "ltx", "bytecompute", "ltx v1"])
async def test_a_key_that_fits_in_no_header(prepare: Prepare, provider: str, key: str) -> None:
    async with raw.serving(says(answer(200, IDS))) as server:
        async with prepare(provider, server.url, key=key) as sent:
            accepted, _, state, _ = await sent.outcome()
            assert (accepted, state) == ("no", State.FAILED)
        assert server.requests == []


@pytest.mark.parametrize("provider", REMOTE)
async def test_a_refusal_that_comes_before_all_was_read_is_still_one(prepare: Prepare, provider: str) -> None:
    async def deed(line: Line) -> None:
        await line.reader.readuntil(b"\r\n\r\n")
        await line.say(answer(401, b"{}"))
        await line.reader.read()

    async with raw.serving(deed) as server, prepare(provider, server.url) as sent:
        assert await sent.outcome() == no(ErrorCode.KEY_REJECTED)


@pytest.mark.parametrize("provider", REMOTE)
async def test_a_refusal_whose_body_breaks_off_is_still_one(prepare: Prepare, provider: str) -> None:
    async with raw.serving(says(answer(402, b'{"err', length=400))) as server, prepare(provider, server.url) as sent:
        assert await sent.outcome() == no(ErrorCode.OUT_OF_CREDIT)


@pytest.mark.parametrize("provider", REMOTE)
async def test_an_answer_that_comes_after_the_job_was_given_up_is_followed(
    prepare: Prepare, provider: str, clock: Clock
) -> None:
    asked, given_up = anyio.Event(), anyio.Event()

    async def deed(line: Line) -> None:
        await line.read()
        asked.set()
        await given_up.wait()
        await line.say(answer(200, IDS))

    async with raw.serving(deed) as server, prepare(provider, server.url) as sent:
        async with anyio.create_task_group() as group:
            group.start_soon(sent.steps.take, sent.job, sent.work)
            await asked.wait()
            sent.store.release_claims(WORKER, frozenset(), clock(), died=True)
            lost = sent.store.get(sent.job.id)
            given_up.set()
        healed = sent.store.get(sent.job.id)
        assert lost is not None
        assert healed is not None
        assert (lost.state, healed.state, len(server.requests)) == (State.UNKNOWN, State.RUNNING, 1)
        assert healed.provider_ref is not None


@pytest.mark.parametrize("provider", REMOTE)
async def test_a_figure_no_order_costs_does_not_lose_the_order(prepare: Prepare, provider: str) -> None:
    body = b'{"id": "a1", "job_id": "a1", "request_id": "a1", "cost_usd": 1e30, "credits_charged": 1e32}'
    async with raw.serving(says(answer(200, body))) as server, prepare(provider, server.url) as sent:
        job = await sent.steps.take(sent.job, sent.work)
        assert (job.state, len(server.requests)) == (State.RUNNING, 1)


@pytest.mark.parametrize("provider", EVERYBODY)
async def test_the_key_goes_to_the_provider_and_stays_out_of_what_it_is_told(prepare: Prepare, provider: str) -> None:
    words = b'{"error": "bad key emulated-secret", "detail": "emulated-secret", "type": "error"}'
    async with raw.serving(says(answer(400, words))) as server:
        async with prepare(provider, server.url, key="emulated-secret") as sent:
            await sent.outcome()
            assert "emulated-secret" not in repr(sent.job)
        request = server.requests[0]
        assert ("emulated-secret" in request.head) != ("emulated-secret" in request.body.decode())


async def test_an_order_that_waits_its_turn_is_not_sent_before(prepare: Prepare, clock: Clock) -> None:
    said = answer(429, b"{}", "Retry-After: 30")
    async with raw.serving(says(said)) as server, prepare("ltx", server.url) as sent:
        assert (await sent.outcome())[2] is State.QUEUED
        clock.turn(seconds=29)
        assert sent.store.claim(WORKER, {}, clock()) is None
        clock.turn(seconds=3)
        again = sent.store.claim(WORKER, {}, clock())
        assert again is not None
        assert again.run_after - again.created_at >= timedelta(seconds=30)
        assert len(server.requests) == 1
