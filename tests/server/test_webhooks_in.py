"""fal says that an order has ended: the job is looked at now, whoever has it, and nothing else is believed."""

import json
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path

import anyio
import pytest

from ltx_mcp.domain.arguments import GenerateVideo
from ltx_mcp.domain.job import Job, State
from ltx_mcp.emulator.emulator_state import Fault
from ltx_mcp.jobs.callers import LOCAL
from tests.conftest import Emulated
from tests.jobs.moments import relayed
from tests.server.told import HOUR_S, POND, Told, told_by_fal

pytestmark = pytest.mark.anyio


@pytest.fixture
async def told(home: Path, emulator: Emulated) -> AsyncIterator[Told]:
    async with told_by_fal(home, emulator) as made:
        yield made


async def test_a_job_ends_as_soon_as_fal_says_so(told: Told) -> None:
    job = await told.place()
    told.world.advance(HOUR_S)
    ended = await told.end(job)
    await told.until(lambda: told.told)
    assert (ended.state, told.told, told.polls, told.count("submit")) == (State.SUCCEEDED, [200], 2, 1)


async def test_a_lie_is_one_more_look(told: Told) -> None:
    job = await told.place()
    body = told.news_of(job, status="OK", payload={"video": {"url": "https://elsewhere.example/a.mp4"}})
    for polls in (2, 3):
        answer = await told.post(job.id, body, told.signed(body))
        assert answer.status_code == 200
        await told.until(lambda polls=polls: told.polls == polls)
    again = await told.job(job.id)
    assert (again.state, again.result_url, again.charged_micro) == (State.RUNNING, "", None)
    assert (again.run_after > job.created_at, told.polls) == (True, 3)


Forge = Callable[[Told, Job], tuple[bytes, dict[str, str]]]


def unsigned(told: Told, job: Job) -> tuple[bytes, dict[str, str]]:
    return told.news_of(job), {}


def forged(told: Told, job: Job) -> tuple[bytes, dict[str, str]]:
    body = told.news_of(job)
    return body, told.signed(body) | {"X-Fal-Webhook-Signature": "ab" * 64}


def by_another_key(told: Told, job: Job) -> tuple[bytes, dict[str, str]]:
    body, key = told.news_of(job), told.world.webhook_key
    told.world.webhook_key = bytes(32)
    headers = told.signed(body)
    told.world.webhook_key = key
    return body, headers


def old(told: Told, job: Job) -> tuple[bytes, dict[str, str]]:
    body = told.news_of(job)
    return body, told.signed(body, time.time() - 310)


def of_tomorrow(told: Told, job: Job) -> tuple[bytes, dict[str, str]]:
    body = told.news_of(job)
    return body, told.signed(body, time.time() + 310)


def made_young(told: Told, job: Job) -> tuple[bytes, dict[str, str]]:
    body = told.news_of(job)
    return body, told.signed(body, time.time() - 310) | {"X-Fal-Webhook-Timestamp": str(round(time.time()))}


def changed(told: Told, job: Job) -> tuple[bytes, dict[str, str]]:
    headers = told.signed(told.news_of(job, status="ERROR"))
    return told.news_of(job, status="OK"), {**headers, "Content-Length": str(len(told.news_of(job, status="OK")))}


def of_no_order(told: Told, job: Job) -> tuple[bytes, dict[str, str]]:
    body = json.dumps({"request_id": "another", "status": "OK"}).encode()
    return body, told.signed(body)


REFUSED: dict[Forge, int] = {
    unsigned: 400,
    forged: 401,
    by_another_key: 401,
    old: 401,
    of_tomorrow: 401,
    made_young: 401,
    changed: 401,
    of_no_order: 400,
}


async def test_what_fal_did_not_sign_just_now_for_this_order_changes_nothing(told: Told) -> None:
    job, other = await told.place("a pond"), await told.place("a lake")
    before, polls = [await told.job(each.id) for each in (job, other)], told.polls
    for forge, status in REFUSED.items():
        body, headers = forge(told, job)
        there, nowhere = [await told.post(job_id, body, headers) for job_id in (job.id, f"{job.id[:-1]}-")]
        assert there.status_code == status, forge.__name__
        # only who has signed it learns whether there is such a job
        if forge is not of_no_order:
            assert (nowhere.status_code, nowhere.content) == (there.status_code, there.content), forge.__name__
    body = told.news_of(other)
    assert (await told.post(job.id, body, told.signed(body))).status_code == 400
    assert [await told.job(each.id) for each in (job, other)] == before
    # and then it is looked at once
    body = told.news_of(job)
    assert (await told.post(job.id, body, told.signed(body))).status_code == 200
    await told.until(lambda: told.polls == polls + 1)


async def test_what_is_no_webhook_of_a_job_here_is_told_so(told: Told) -> None:
    job = await told.place()
    body = told.news_of(job)
    headers = told.signed(body)
    assert (await told.post("job_nothere", body, headers)).status_code == 503
    assert (await told.post(job.id, body, headers, provider="ltx")).status_code == 404
    assert (await told.post(job.id, body, headers, provider="nobody")).status_code == 404
    assert (await told.post(job.id, body, headers | {"Host": "elsewhere.example"})).status_code == 421
    large = b"x" * 64_001
    assert (await told.post(job.id, large, headers | {"Content-Length": str(len(large))})).status_code == 413
    assert (await told.service.web.get(f"/webhooks/fal/{job.id}")).status_code == 405


async def test_what_has_ended_is_not_looked_at_again(told: Told) -> None:
    job = await told.place()
    told.world.advance(HOUR_S)
    ended, polls = await told.end(job), told.polls
    body = told.news_of(job, status="ERROR")
    assert (await told.post(job.id, body, told.signed(body))).status_code == 200
    assert (await told.job(job.id), told.polls) == (ended, polls)


async def test_nothing_can_be_checked_while_the_keys_are_away(home: Path, emulator: Emulated) -> None:
    more = {"LTX_MCP_FAL_REST_URL": "http://127.0.0.1:9"}
    async with told_by_fal(home, emulator, more=more) as told:
        job = await told.place()
        body = told.news_of(job)
        assert (await told.post(job.id, body, told.signed(body))).status_code == 503


async def test_news_that_are_faster_than_the_answer_to_the_order_come_again(
    home: Path, emulator: Emulated, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ltx_mcp.emulator.fal.webhooks.PAUSES_S", (0.2,) * 1_000)  # until it is taken
    with relayed(emulator[0]) as relay:
        async with told_by_fal(home, emulator, more={"LTX_MCP_FAL_QUEUE_URL": relay.url}) as told:
            told.world.work_s = 0.0
            jobs, answer = await told.open(), relay.keep("POST /fal-ai/")
            placed = await jobs.order(GenerateVideo(prompt="a pond", **POND), LOCAL)
            await told.until(lambda: told.told)
            assert ((await told.job(placed.job.id)).state, told.told[0]) == (State.SUBMITTING, 503)
            await anyio.to_thread.run_sync(answer.release)
            assert (await told.end(placed.job)).state is State.SUCCEEDED
            await told.until(lambda: told.told[-1] == 200)
            assert (set(told.told[:-1]), told.count("submit")) == ({503}, 1)


async def test_a_job_that_was_given_up_is_looked_at_again(told: Told) -> None:
    job = await told.place()
    store = told.jobs._store
    await store.run_in_thread(store.transition, job, State.UNKNOWN, datetime.now(UTC), "overdue")
    told.world.advance(HOUR_S)
    await told.until(lambda: told.told)
    assert (await told.end(await told.job(job.id))).state is State.SUCCEEDED


async def test_an_order_whose_answer_was_lost_is_named_to_the_operator(
    told: Told, caplog: pytest.LogCaptureFixture
) -> None:
    jobs = await told.open()
    told.world.faults.append(Fault("fal", "submit", "drop_after"))
    lost = await told.end((await jobs.order(GenerateVideo(prompt="a pond", **POND), LOCAL)).job)
    assert (lost.state, lost.provider_ref) == (State.UNKNOWN, None)
    told.world.advance(HOUR_S)
    await told.until(lambda: told.told)
    order_id = told.world.orders[0].id
    assert f"ltx-mcp jobs adopt fal {order_id} --job {lost.id}" in caplog.text
    # whoever signs may also order: no reference comes from there
    assert (await told.job(lost.id), told.told) == (lost, [200])
