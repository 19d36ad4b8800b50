"""How an accepted order is followed: by stream or by questions at the provider's pace, and never given up early."""

import math
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import anyio
import pytest

from ltx_mcp.domain.catalog import PollInterval
from ltx_mcp.domain.errors import ErrorCode, JobError, LtxError, ProviderError
from ltx_mcp.domain.job import CancelOutcome, ChargeState, Job, State
from ltx_mcp.jobs.steps.steps import Steps
from ltx_mcp.providers.base import DeferredVideo, PollResult, SubmittedOrder
from tests.jobs.test_steps import DONE, WORKER, Bench, Scripted, bench, film, no
from tests.jobs.test_store import New, priced
from tests.patience import HANG_S

__all__ = ["bench", "film"]

pytestmark = pytest.mark.anyio


@dataclass
class Streaming(Scripted):
    """A scripted provider that also tells by itself, until `streams` are used up."""

    streams: Any = ()
    opened: int = 0

    async def stream_status(self, remote: Mapping[str, Any]) -> AsyncIterator[PollResult]:
        self.opened += 1
        for seen in self.streams.pop(0) if self.streams else ():
            if isinstance(seen, Exception):
                raise seen
            if seen is None:
                await anyio.sleep_forever()
            yield seen


def streaming(bench: Bench, *streams: list[Any], overdue: bool = False) -> Streaming:
    """Put a provider that streams into the bench; its deadline comes at once with `overdue`, else never."""
    provider = Streaming(answers=[SubmittedOrder({"id": "r1"})], streams=list(streams))
    context = bench.steps._context

    async def sleep(seconds: float) -> None:
        if seconds > 300 and not overdue:
            await anyio.sleep_forever()
        await context.sleep(seconds)

    bench.steps = Steps(replace(context, adapters=dict.fromkeys(context.adapters, provider), sleep=sleep))
    bench.provider = provider
    return provider


async def test_a_stream_that_tells_the_end_needs_no_question(bench: Bench, new_job: New) -> None:
    provider = streaming(bench, [PollResult("waiting", queue_position=2), PollResult("running", note="step 4/8"), DONE])
    job = await bench.until(bench.begin(priced(new_job(), "0.30")), State.SUCCEEDED)
    assert (job.state, provider.opened, provider.looks) == (State.SUCCEEDED, 1, [])


async def test_a_stream_that_breaks_is_followed_by_a_question_and_another_stream(bench: Bench, new_job: New) -> None:
    provider = streaming(bench, [PollResult("running"), no(ErrorCode.UNAVAILABLE, "yes")], [DONE])
    provider.looks = [PollResult("running")]
    await bench.until(bench.begin(priced(new_job(), "0.30")), State.SUCCEEDED)
    assert (provider.opened, provider.looks) == (2, [])


async def test_a_provider_whose_stream_never_works_is_asked(bench: Bench, new_job: New) -> None:
    provider = streaming(bench, [], [no(ErrorCode.UNAVAILABLE, "yes")])
    provider.looks = [PollResult("running")] * 5 + [DONE]
    await bench.until(bench.begin(priced(new_job(), "0.30")), State.SUCCEEDED)
    assert provider.opened == 2


async def test_a_stream_without_an_end_is_given_up_in_time(bench: Bench, new_job: New) -> None:
    provider = streaming(bench, [PollResult("running"), None], overdue=True)
    provider.looks = [PollResult("running")]
    job = await bench.until(bench.begin(priced(new_job(), "0.30")), State.UNKNOWN)
    assert (job.bill, job.error and job.error.code) == (ChargeState.HELD, ErrorCode.OUTCOME_UNKNOWN)


async def test_a_wish_to_cancel_ends_the_wait_for_a_stream(bench: Bench, new_job: New) -> None:
    provider = streaming(bench, [PollResult("running"), None], [DONE])
    bench.steps = Steps(replace(bench.steps._context, sleep=anyio.sleep))
    job = await bench.until(bench.begin(priced(new_job(), "0.30")), State.RUNNING)
    async with anyio.create_task_group() as group:
        with anyio.fail_after(HANG_S):

            async def wish() -> None:
                await anyio.sleep(0.05)
                bench.store.request_cancel("local", job.id, bench.clock())
                bench.steps.wake(job.id)

            group.start_soon(wish)
            job = await bench.take(job)
            job = await bench.until(job, State.SUCCEEDED)
    assert (provider.cancelled, job.cancel) == ([{"id": "r1"}], CancelOutcome.ASKED)


async def test_a_stop_that_the_provider_confirms_ends_the_job_and_frees_the_money(bench: Bench, new_job: New) -> None:
    class Stopping(Streaming):
        async def cancel(self, remote: Mapping[str, Any]) -> CancelOutcome:
            return CancelOutcome.STOPPED

    provider = Stopping(answers=[SubmittedOrder({"id": "r1"})])
    bench.steps = Steps(replace(bench.steps._context, adapters={"fal": provider}))
    job = await bench.until(bench.begin(priced(new_job(), "0.30")), State.RUNNING)
    bench.store.request_cancel("local", job.id, bench.clock())
    job = await bench.take(bench.store.get(job.id) or job)
    assert (job.state, job.cancel, job.bill) == (State.CANCELLED, CancelOutcome.STOPPED, ChargeState.RELEASED)


async def test_a_cancel_that_cannot_be_passed_on_is_tried_again(bench: Bench, new_job: New) -> None:
    class Deaf(Scripted):
        async def cancel(self, remote: Mapping[str, Any]) -> CancelOutcome:
            if not self.cancelled:
                self.cancelled.append(remote)
                raise no(ErrorCode.UNAVAILABLE, "yes")
            return await super().cancel(remote)

    provider = Deaf(answers=[SubmittedOrder({"id": "r1"})], looks=[PollResult("running"), DONE])
    bench.steps = Steps(replace(bench.steps._context, adapters={"fal": provider}))
    job = await bench.until(bench.begin(priced(new_job(), "0.30")), State.RUNNING)
    bench.store.request_cancel("local", job.id, bench.clock())
    job = await bench.until(bench.store.get(job.id) or job, State.SUCCEEDED)
    assert (job.cancel, len(provider.cancelled)) == (CancelOutcome.ASKED, 2)


async def test_a_cancel_that_failed_is_tried_again_although_the_stream_goes_on(bench: Bench, new_job: New) -> None:
    class Deaf(Streaming):
        async def cancel(self, remote: Mapping[str, Any]) -> CancelOutcome:
            self.cancelled.append(remote)
            if len(self.cancelled) < 3:
                raise no(ErrorCode.UNAVAILABLE, "yes")
            return CancelOutcome.STOPPED

    endless = [[PollResult("running"), None] for _ in range(4)]
    provider = Deaf(answers=[SubmittedOrder({"id": "r1"})], looks=[PollResult("running")] * 4, streams=endless)
    bench.steps = Steps(replace(bench.steps._context, adapters={"fal": provider}))
    job = await bench.until(bench.begin(priced(new_job(), "0.30")), State.RUNNING)
    bench.store.request_cancel("local", job.id, bench.clock())
    with anyio.fail_after(HANG_S):
        job = await bench.until(bench.store.get(job.id) or job, State.CANCELLED)
    assert (len(provider.cancelled), len(provider.looks), provider.opened) == (3, 2, 0)


def slept(bench: Bench, job: Job) -> float:
    return (bench.clock() - (job.ordered_at or bench.clock())).total_seconds()


async def test_questions_come_at_the_providers_pace_which_grows(bench: Bench, new_job: New) -> None:
    pace = {"first_s": 2, "factor": 2, "most_s": 10, "jitter": 0}
    specs = {"fal": bench.steps._context.specs["fal"].model_copy(update={"poll": PollInterval.model_validate(pace)})}
    bench.steps = Steps(replace(bench.steps._context, specs=specs))
    bench.provider.answers, bench.provider.looks = [SubmittedOrder({"id": "r1"})], [PollResult("running")] * 5 + [DONE]
    job = await bench.until(bench.begin(priced(new_job(), "0.30")), State.SAVING)
    assert slept(bench, job) == 2 + 4 + 8 + 10 + 10


async def test_chance_only_makes_the_pace_slower(bench: Bench, new_job: New) -> None:
    bench.steps = Steps(replace(bench.steps._context, chance=lambda: 1.0))
    bench.provider.answers, bench.provider.looks = [SubmittedOrder({"id": "r1"})], [PollResult("running"), DONE]
    job = await bench.until(bench.begin(priced(new_job(), "0.30")), State.SAVING)
    assert math.isclose(slept(bench, job), 5 * 1.2)


async def test_retry_after_is_obeyed_by_questions(bench: Bench, new_job: New) -> None:
    busy = ProviderError(ErrorCode.RATE_LIMITED, "busy", provider="fal", accepted="yes", retry_after_s=42)
    bench.provider.answers, bench.provider.looks = [SubmittedOrder({"id": "r1"})], [busy, DONE]
    job = await bench.until(bench.begin(priced(new_job(), "0.30")), State.SAVING)
    assert slept(bench, job) == 42


async def test_an_order_the_provider_no_longer_knows_has_expired_but_a_young_one_has_not(
    bench: Bench, new_job: New
) -> None:
    gone = no(ErrorCode.EXPIRED, "yes")
    bench.provider.answers, bench.provider.looks = [SubmittedOrder({"id": "r1"})], [gone] * 40
    job = await bench.until(bench.begin(priced(new_job(), "0.30")), State.FAILED)
    assert (job.error and job.error.code, job.bill) == (ErrorCode.EXPIRED, ChargeState.BOOKED)
    assert slept(bench, job) > 120


async def test_a_failure_that_is_charged_nothing_frees_the_money(bench: Bench, new_job: New) -> None:
    failed = PollResult("failed", problem=JobError(ErrorCode.UNAVAILABLE, "broken"), charged_usd=Decimal(0))
    bench.provider.answers, bench.provider.looks = [SubmittedOrder({"id": "r1"})], [failed]
    job = await bench.until(bench.begin(priced(new_job(), "0.30")), State.FAILED)
    assert (job.bill, job.charged_micro) == (ChargeState.RELEASED, 0)


async def test_an_address_nobody_dates_is_relied_on_for_as_long_as_the_facts_say(bench: Bench, new_job: New) -> None:
    specs = {"fal": bench.steps._context.specs["fal"].model_copy(update={"film_lives_s": 3600})}
    bench.steps = Steps(replace(bench.steps._context, specs=specs))
    bench.provider.answers, bench.provider.looks = [SubmittedOrder({"id": "r1"})], [DONE]
    job = await bench.until(bench.begin(priced(new_job(), "0.30")), State.SAVING)
    assert job.result_url_expires_at == bench.clock() + timedelta(hours=1)


async def test_an_unknown_order_is_asked_after_again_and_healed(bench: Bench, new_job: New) -> None:
    bench.provider.answers, bench.provider.looks = [SubmittedOrder({"id": "r1"})], [PollResult("running")] * 1000
    job = await bench.until(bench.begin(priced(new_job(), "0.30")), State.UNKNOWN)
    for looks, state in (([PollResult("running")], State.UNKNOWN), ([DONE], State.SUCCEEDED)):
        bench.provider.looks = list(looks)
        again = bench.store.recheck("local", job.id, bench.clock())
        assert again is not None
        assert again.state is State.RUNNING
        claimed = bench.store.claim(WORKER, {}, bench.clock())
        assert claimed is not None
        job = await bench.until(claimed, State.UNKNOWN, State.SUCCEEDED)
        assert job.state is state
    assert (job.bill, len(bench.provider.orders), job.error) == (ChargeState.BOOKED, 1, None)


async def test_an_order_without_a_name_at_the_provider_cannot_be_asked_after(bench: Bench, new_job: New) -> None:
    bench.provider.answers = [no(ErrorCode.UNAVAILABLE, "unknown")]
    job = await bench.until(bench.begin(priced(new_job(), "0.30")), State.UNKNOWN)
    again = bench.store.recheck("local", job.id, bench.clock())
    assert again is not None
    assert again.state is State.UNKNOWN


# -- turned away ------------------------------------------------------------------------------------------------


def busy(retry_after_s: float | None = None) -> ProviderError:
    return ProviderError(
        ErrorCode.RATE_LIMITED, "busy", provider="fal", accepted="no", status_code=429, retry_after_s=retry_after_s
    )


async def claimed_again(bench: Bench, wait_s: float) -> Job:
    """The job, once its wait is over and not before."""
    assert bench.store.claim(WORKER, {}, bench.clock()) is None
    bench.clock.turn(seconds=wait_s + 1)
    job = bench.store.claim(WORKER, {}, bench.clock())
    assert job is not None
    return job


async def test_an_order_that_came_too_soon_is_sent_again_to_the_same_provider(bench: Bench, new_job: New) -> None:
    bench.provider.answers = [busy(12), SubmittedOrder({"id": "r1"})]
    job = bench.begin(priced(new_job(), "0.30", "0.31"))
    job = await bench.take(await bench.take(job))
    assert (job.state, job.tries, job.bill, job.offer.provider) == (State.QUEUED, 1, ChargeState.HELD, "fal")
    job = await bench.until(await claimed_again(bench, 12), State.RUNNING)
    assert [offer.provider for offer, _ in bench.provider.orders] == ["fal", "fal"]


async def test_after_some_tries_the_next_offer_has_its_turn(bench: Bench, new_job: New) -> None:
    bench.provider.answers = [busy(), busy(), busy(), SubmittedOrder({"id": "r1"})]
    job = bench.begin(priced(new_job(), "0.30", "0.31"))
    for wait_s in (2, 4, 0):
        job = await bench.take(await bench.until(job, State.SUBMITTING))
        assert (job.state, job.bill) == (State.QUEUED, ChargeState.HELD)
        bench.clock.turn(seconds=max(0, wait_s - 0.1))
        if wait_s:  # twice as long each time
            assert bench.store.claim(WORKER, {}, bench.clock()) is None
        bench.clock.turn(seconds=1.1)
        job = bench.store.claim(WORKER, {}, bench.clock()) or job
    job = await bench.until(job, State.RUNNING)
    assert [offer.provider for offer, _ in bench.provider.orders] == ["fal", "fal", "fal", "fal1"]
    assert (job.tries, job.cost_micro) == (0, 310_000)


async def test_a_last_offer_waits_an_hour_for_a_queue_that_is_full(bench: Bench, new_job: New) -> None:
    bench.provider.answers = [busy(3) for _ in range(60)] + [SubmittedOrder({"id": "r1"})]
    began, job = bench.clock(), bench.begin(priced(new_job(), "0.30"))
    for tries in range(1, 61):
        job = await bench.take(await bench.until(job, State.SUBMITTING))
        assert (job.state, job.tries) == (State.QUEUED, tries)
        bench.clock.turn(seconds=61 if tries > 10 else 4.1)
        job = bench.store.claim(WORKER, {}, bench.clock()) or job
    assert (await bench.until(job, State.RUNNING)).offer.provider == "fal"
    assert bench.clock() - began > timedelta(minutes=50)


async def test_one_who_asks_to_wait_for_long_is_left_for_the_next_offer(bench: Bench, new_job: New) -> None:
    bench.provider.answers = [busy(3600)]
    job = await bench.until(bench.begin(priced(new_job(), "0.30", "0.31")), State.SUBMITTING)
    job = await bench.take(job)
    assert (job.state, job.offer.provider, job.tries) == (State.QUEUED, "fal1", 0)


# -- held work --------------------------------------------------------------------------------------------------


async def test_a_whole_film_outlives_the_process_that_held_it(bench: Bench, new_job: New, film: Any) -> None:
    """LTX v1 answers with the film: once it is on this disk it is never lost."""

    async def write(path: Any, tell: Any) -> tuple[()]:
        path.write_bytes(film.read_bytes())
        return ()

    class Held(Scripted):
        async def submit(self, offer: Any, uris: Mapping[str, str]) -> SubmittedOrder | DeferredVideo:
            return DeferredVideo(write)

    bench.steps = Steps(replace(bench.steps._context, adapters={"fal": Held()}))
    job = await bench.until(bench.begin(priced(new_job(), "0.30")), State.SAVING)
    bench.store.release_claims(WORKER, frozenset(), bench.clock(), died=True)
    bench.steps = Steps(replace(bench.steps._context, adapters={"fal": Held()}))
    again = bench.store.claim("w_other", {}, bench.clock())
    assert again is not None
    assert (again.state, again.fencing_token) == (State.SAVING, job.fencing_token + 1)
    job = await bench.until(again, State.SUCCEEDED)
    assert job.film is not None


async def test_held_work_that_breaks_off_after_the_order_is_unknown(bench: Bench, new_job: New) -> None:
    async def write(path: Any, tell: Any) -> tuple[()]:
        path.write_bytes(b"half")
        raise no(ErrorCode.UNAVAILABLE, "unknown")

    class Held(Scripted):
        async def submit(self, offer: Any, uris: Mapping[str, str]) -> SubmittedOrder | DeferredVideo:
            return DeferredVideo(write)

    bench.steps = Steps(replace(bench.steps._context, adapters={"fal": Held()}))
    job = await bench.until(bench.begin(priced(new_job(), "0.30")), State.RUNNING)
    with pytest.raises(LtxError) as caught:
        await bench.take(job)
    job = await bench.steps.fail(bench.store.get(job.id) or job, caught.value)
    assert (job.state, job.bill) == (State.UNKNOWN, ChargeState.HELD)


async def test_a_paid_film_that_is_held_is_not_stopped_by_a_wish_to_cancel(
    bench: Bench, new_job: New, film: Any
) -> None:
    async def write(path: Any, tell: Any) -> tuple[()]:
        bench.store.request_cancel("local", job.id, bench.clock())
        await anyio.sleep(0.05)
        path.write_bytes(film.read_bytes())
        return ()

    class Held(Scripted):
        async def submit(self, offer: Any, uris: Mapping[str, str]) -> SubmittedOrder | DeferredVideo:
            return DeferredVideo(write)

    async def soon(seconds: float) -> None:
        await anyio.sleep(0.001)

    bench.steps = Steps(replace(bench.steps._context, adapters={"fal": Held()}, sleep=soon))
    job = await bench.until(bench.begin(priced(new_job(), "0.30")), State.RUNNING)
    job = await bench.until(job, State.SUCCEEDED)
    assert (job.cancel, job.bill) == (CancelOutcome.NOT_POSSIBLE, ChargeState.BOOKED)
