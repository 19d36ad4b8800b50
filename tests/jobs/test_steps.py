"""A job's life with a provider that is really asked: accepted, refused, unknown, followed, saved. The film is real.

The provider here is scripted in memory, because what is tested is what the steps make of its answers.
"""

import shutil
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio
import pytest

from ltx_mcp.domain.catalog import InputSpec, ProviderSpec
from ltx_mcp.domain.errors import ErrorCode, JobError, LtxError, ProviderError
from ltx_mcp.domain.job import CancelOutcome, ChargeState, Job, State
from ltx_mcp.domain.offer import Offer
from ltx_mcp.domain.request import Input
from ltx_mcp.jobs.files import FileStore
from ltx_mcp.jobs.steps.context import StepContext, WorkInProgress
from ltx_mcp.jobs.steps.steps import Steps
from ltx_mcp.jobs.store.database import Database
from ltx_mcp.jobs.store.rows import LostClaimError
from ltx_mcp.jobs.store.store import Store
from ltx_mcp.jobs.store.upload_cache import UploadCache
from ltx_mcp.media.client import MediaClient
from ltx_mcp.media.messages import RenderOrder
from ltx_mcp.net.flow import Bounds
from ltx_mcp.providers.base import DeferredVideo, PollResult, SubmittedOrder, Uploaded
from tests.conftest import Clock
from tests.jobs.test_store import New, priced

pytestmark = pytest.mark.anyio

WORKER = "w_test"
PICTURES = {"image": InputSpec(accepts=("png", "jpeg"), ways=("upload",))}


@dataclass
class Scripted:
    """A provider that answers what the test wrote down, and remembers what it was asked."""

    answers: list[Any] = field(default_factory=list)
    looks: list[Any] = field(default_factory=list)
    account: str = "account"
    orders: list[tuple[Offer, dict[str, str]]] = field(default_factory=list)
    uploaded: list[Path] = field(default_factory=list)
    cancelled: list[Mapping[str, Any]] = field(default_factory=list)

    async def submit(self, offer: Offer, uris: Mapping[str, str]) -> SubmittedOrder | DeferredVideo:
        self.orders.append((offer, dict(uris)))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        assert isinstance(answer, SubmittedOrder)
        return answer

    async def upload(self, path: Path, format: str) -> Uploaded:
        self.uploaded.append(path)
        return Uploaded(f"https://cdn.example/{path.name}")

    async def poll(self, remote: Mapping[str, Any]) -> PollResult:
        look = self.looks.pop(0)
        if isinstance(look, Exception):
            raise look
        assert isinstance(look, PollResult)
        return look

    async def cancel(self, remote: Mapping[str, Any]) -> CancelOutcome:
        self.cancelled.append(remote)
        return CancelOutcome.ASKED


@dataclass
class Bench:
    """A store, steps over it, and the scripted provider behind two names."""

    store: Store
    steps: Steps
    files: FileStore
    provider: Scripted
    clock: Clock
    fetched: list[str]
    comes: list[bytes] = field(default_factory=list)
    work: dict[tuple[str, int], WorkInProgress] = field(default_factory=dict)

    def begin(self, new: Any) -> Job:
        self.store.place(new, self.clock())
        job = self.store.claim(WORKER, {}, self.clock())
        assert job is not None
        return job

    async def until(self, job: Job, *states: State) -> Job:
        """Step on until one of these states."""
        while job.state not in states:
            job = await self.take(job)
        return job

    async def take(self, job: Job) -> Job:
        """One step of a job's claim."""
        return await self.steps.take(job, self.work.setdefault((job.id, job.fencing_token), WorkInProgress()))


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real film, half a second long."""
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    order = RenderOrder("a pond", 1920, 1080, 25, 0.48, True)

    async def draw() -> None:
        await MediaClient().render(order, path)

    anyio.run(draw)
    return path


@pytest.fixture
async def bench(store: Store, database: Database, home: Path, clock: Clock, film: Path) -> Any:
    fetched: list[str] = []

    async def fetch(url: str, out: Path, *, provider: str, is_loopback: bool, bounds: Bounds) -> None:
        fetched.append(url)
        if made.comes:
            out.write_bytes(made.comes.pop(0))
        else:
            shutil.copyfile(film, out)

    async def sleep(seconds: float) -> None:
        clock.turn(seconds=seconds)
        await anyio.lowlevel.checkpoint()

    provider, files, media = Scripted(), FileStore(home), MediaClient()
    names = ("fal", "fal1")
    specs = {name: ProviderSpec(name=name, title=name, give_up_after_s=600, inputs=PICTURES) for name in names}
    tools = StepContext(
        store, UploadCache(database), files, media, specs, dict.fromkeys(names, provider), fetch, clock, sleep
    )
    made = Bench(store, Steps(tools), files, provider, clock, fetched)
    yield made
    await media.close()


def no(code: ErrorCode, accepted: Any = "no") -> ProviderError:
    return ProviderError(code, "it said no", provider="fal", accepted=accepted, detail="their words")


DONE = PollResult("done", result_url="https://media.example/film.mp4?signature=s")


async def test_an_order_is_accepted_followed_fetched_and_booked(bench: Bench, new_job: New) -> None:
    bench.provider.answers = [SubmittedOrder({"id": "r1"}, charged_usd=Decimal("0.29"))]
    bench.provider.looks = [PollResult("waiting", queue_position=3), PollResult("running", progress=40.0), DONE]
    job = await bench.until(bench.begin(priced(new_job(), "0.30")), State.SUCCEEDED)
    assert (job.bill, job.cost_micro, job.charged_micro) == (ChargeState.BOOKED, 300_000, 290_000)
    assert job.film is not None
    assert (job.film.width, job.film.frames, job.film.has_audio) == (1920, 12, True)
    assert bench.files.video(job.id).exists()
    assert bench.files.sheet(job.id).exists()
    assert len(bench.provider.orders) == 1


async def test_the_result_url_is_kept_before_the_download(bench: Bench, new_job: New) -> None:
    bench.provider.answers, bench.provider.looks = [SubmittedOrder({"id": "r1"})], [DONE]
    job = await bench.until(bench.begin(priced(new_job(), "0.30")), State.SAVING)
    assert (job.result_url, bench.fetched) == (DONE.result_url, [])


async def test_a_film_that_differs_from_the_order_is_told(bench: Bench, new_job: New) -> None:
    bench.provider.answers, bench.provider.looks = [SubmittedOrder({"id": "r1"})], [DONE]
    job = await bench.until(bench.begin(priced(new_job(), "0.30")), State.SUCCEEDED)
    assert [(each.field, each.asked, each.got, each.by) for each in job.adjustments] == [
        ("duration", "6", "0.48", "film")
    ]


async def test_the_intent_is_in_the_store_before_the_provider_is_asked(bench: Bench, new_job: New) -> None:
    job = await bench.take(bench.begin(priced(new_job(), "0.30")))
    assert (job.state, job.submitted_by, bench.provider.orders) == (State.SUBMITTING, WORKER, [])


async def test_a_sure_no_tries_the_next_offer_once(bench: Bench, new_job: New) -> None:
    bench.provider.answers = [no(ErrorCode.OUT_OF_CREDIT), SubmittedOrder({"id": "r2"})]
    job = await bench.until(bench.begin(priced(new_job(), "0.30", "0.32")), State.SUBMITTING)
    job = await bench.take(job)
    assert (job.state, job.lease_owner, job.offer.provider) == (State.QUEUED, "", "fal1")
    again = bench.store.claim(WORKER, {}, bench.clock())
    assert again is not None
    job = await bench.until(again, State.RUNNING)
    assert [offer.provider for offer, _ in bench.provider.orders] == ["fal", "fal1"]
    assert job.cost_micro == 320_000


@pytest.mark.parametrize("code", [ErrorCode.OUT_OF_CREDIT, ErrorCode.RATE_LIMITED])
async def test_a_sure_no_that_comes_late_ends_what_was_unknown_and_frees_its_money(
    bench: Bench, new_job: New, code: ErrorCode
) -> None:
    bench.provider.answers = [no(code)]
    job = await bench.until(bench.begin(priced(new_job(), "0.30", "0.32")), State.SUBMITTING)
    bench.store.release_claims(WORKER, frozenset(), bench.clock(), died=True)
    job = await bench.take(job)
    assert (job.state, job.bill) == (State.FAILED, ChargeState.RELEASED)
    assert job.error is not None
    assert job.error.code is code
    assert bench.store.budget(bench.clock()).held == 0


async def test_an_account_that_is_refused_is_not_asked_for_another_model(bench: Bench, new_job: New) -> None:
    new = priced(new_job(), "0.30", "0.31", "0.32")
    same = replace(new.offers[1], provider="fal")
    bench.provider.answers = [no(ErrorCode.KEY_REJECTED)]
    job = bench.begin(replace(new, offers=(new.offers[0], same, replace(new.offers[2], provider="fal1"))))
    job = await bench.take(await bench.until(job, State.SUBMITTING))
    assert (job.offer_index, job.offer.provider) == (2, "fal1")


@pytest.mark.parametrize("code", [ErrorCode.CONTENT_REFUSED, ErrorCode.REJECTED])
async def test_no_other_provider_is_a_way_around_a_filter(bench: Bench, new_job: New, code: ErrorCode) -> None:
    bench.provider.answers = [no(code)]
    job = await bench.until(bench.begin(priced(new_job(), "0.30", "0.32")), State.FAILED)
    assert (job.bill, len(bench.provider.orders)) == (ChargeState.RELEASED, 1)
    assert job.error == JobError(code, "it said no", "", "their words")


async def test_an_unclear_answer_is_unknown_and_keeps_the_money(bench: Bench, new_job: New) -> None:
    bench.provider.answers = [no(ErrorCode.UNAVAILABLE, "unknown")]
    job = await bench.until(bench.begin(priced(new_job(), "0.30", "0.32")), State.UNKNOWN)
    assert (job.bill, len(bench.provider.orders)) == (ChargeState.HELD, 1)
    assert job.error is not None
    assert job.error.code is ErrorCode.OUTCOME_UNKNOWN


async def test_a_failed_look_is_not_a_failed_job(bench: Bench, new_job: New) -> None:
    bench.provider.answers = [SubmittedOrder({"id": "r1"})]
    bench.provider.looks = [no(ErrorCode.BAD_REPLY), no(ErrorCode.UNAVAILABLE), DONE]
    job = await bench.until(bench.begin(priced(new_job(), "0.30")), State.SUCCEEDED)
    assert job.state is State.SUCCEEDED


async def test_a_failed_film_is_booked_when_failures_are_charged(bench: Bench, new_job: New) -> None:
    bench.provider.answers = [SubmittedOrder({"id": "r1"})]
    bench.provider.looks = [PollResult("failed", problem=JobError(ErrorCode.CONTENT_REFUSED, "filtered"))]
    job = await bench.until(bench.begin(priced(new_job(), "0.30")), State.FAILED)
    assert (job.bill, job.error) == (ChargeState.BOOKED, JobError(ErrorCode.CONTENT_REFUSED, "filtered"))


async def test_an_order_that_never_ends_becomes_unknown_in_time(bench: Bench, new_job: New) -> None:
    bench.provider.answers = [SubmittedOrder({"id": "r1"})]
    bench.provider.looks = [PollResult("running")] * 1000
    job = await bench.until(bench.begin(priced(new_job(), "0.30")), State.UNKNOWN)
    assert job.bill is ChargeState.HELD
    assert 600 < (bench.clock() - (job.ordered_at or datetime.min)).total_seconds() < 620


async def test_a_wish_to_cancel_is_passed_on_once_and_the_film_still_comes(bench: Bench, new_job: New) -> None:
    bench.provider.answers = [SubmittedOrder({"id": "r1"})]
    bench.provider.looks = [PollResult("running"), PollResult("running"), DONE]
    job = await bench.until(bench.begin(priced(new_job(), "0.30")), State.RUNNING)
    bench.store.request_cancel("local", job.id, bench.clock())
    job = await bench.until(await bench.take(job), State.SUCCEEDED)
    assert (job.cancel, bench.provider.cancelled) == (CancelOutcome.ASKED, [{"id": "r1"}])


async def test_a_cancel_that_the_provider_confirms_releases_the_money(bench: Bench, new_job: New) -> None:
    bench.provider.answers, bench.provider.looks = [SubmittedOrder({"id": "r1"})], [PollResult("cancelled")]
    job = await bench.until(bench.begin(priced(new_job(), "0.30")), State.CANCELLED)
    assert (job.bill, job.cancel) == (ChargeState.RELEASED, CancelOutcome.STOPPED)


async def test_a_medium_is_uploaded_once_and_its_address_ordered_with(bench: Bench, new_job: New, film: Path) -> None:
    photo = Input(role="image", sha256="abc", format="png")
    bench.files.keep_input(photo, film)
    for prompt in ("one", "two"):
        bench.provider.answers = [SubmittedOrder({"id": prompt})]
        new = replace(priced(new_job(prompt=prompt), "0.30"), inputs=(photo,))
        await bench.until(bench.begin(new), State.RUNNING)
    assert len(bench.provider.uploaded) == 1
    assert [uris for _, uris in bench.provider.orders] == [{"image": "https://cdn.example/abc.png"}] * 2


async def test_a_job_cancelled_while_it_was_prepared_is_never_sent(bench: Bench, new_job: New) -> None:
    job = bench.begin(priced(new_job(), "0.30"))
    bench.store.request_cancel("local", job.id, bench.clock())
    with pytest.raises(LostClaimError):
        await bench.take(job)
    assert bench.provider.orders == []


async def test_what_is_not_a_film_fails_the_job_with_a_reason(bench: Bench, new_job: New) -> None:
    bench.provider.answers, bench.provider.looks = [SubmittedOrder({"id": "r1"})], [DONE]
    job = await bench.until(bench.begin(priced(new_job(), "0.30")), State.SAVING)
    bench.comes = [b"<html>sorry</html>"] * 9
    with pytest.raises(LtxError) as caught:
        await bench.take(job)
    assert caught.value.code is ErrorCode.BAD_REPLY
    failed = await bench.steps.fail(bench.store.get(job.id) or job, caught.value)
    assert (failed.state, failed.bill) == (State.FAILED, ChargeState.BOOKED)


async def test_a_page_in_the_films_place_is_not_taken_for_the_end(bench: Bench, new_job: New) -> None:
    bench.provider.answers, bench.provider.looks = [SubmittedOrder({"id": "r1"})], [DONE]
    bench.comes = [b"<html>sorry</html>"] * 2
    job = await bench.until(bench.begin(priced(new_job(), "0.30")), State.SUCCEEDED)
    assert (job.film is not None, len(bench.fetched)) == (True, 3)


async def test_an_answer_that_cannot_be_written_is_kept_and_the_order_never_sent_again(
    home: Path, new_job: New, clock: Clock
) -> None:
    """Another process holds the write lock while the provider answers."""
    database = Database.open(home, busy_timeout_s=0.05)
    blocker = sqlite3.connect(home / "jobs.sqlite", isolation_level=None)

    class Blocked(Scripted):
        async def submit(self, offer: Offer, uris: Mapping[str, str]) -> SubmittedOrder | DeferredVideo:
            blocker.execute("BEGIN IMMEDIATE")
            return await super().submit(offer, uris)

    provider = Blocked(answers=[SubmittedOrder({"id": "r1"})])
    store, media = Store(database), MediaClient()
    specs = {"fal": ProviderSpec(name="fal", title="fal")}
    steps = Steps(
        StepContext(store, UploadCache(database), FileStore(home), media, specs, {"fal": provider}, no_fetch, clock)
    )
    store.place(priced(new_job(), "0.30"), clock())
    job, work = store.claim(WORKER, {}, clock()), WorkInProgress()
    assert job is not None
    job = await steps.take(job, work)
    for _ in range(2):
        with pytest.raises(LtxError) as caught:
            await steps.take(job, work)
        assert caught.value.code is ErrorCode.STORAGE_FAILED
    blocker.execute("ROLLBACK")
    blocker.close()
    job = await steps.take(job, work)
    database.close()
    assert (job.state, job.provider_ref, len(provider.orders)) == (State.RUNNING, {"id": "r1"}, 1)


async def no_fetch(url: str, out: Path, *, provider: str, is_loopback: bool, bounds: Bounds) -> None:
    raise AssertionError(url)


async def test_a_render_outlives_a_store_that_is_out_of_reach_for_a_while(
    home: Path, new_job: New, clock: Clock, film: Path
) -> None:
    """The write lock is held by somebody else while the film is drawn and its progress should be told."""
    database = Database.open(home, busy_timeout_s=0.01)
    blocker = sqlite3.connect(home / "jobs.sqlite", isolation_level=None)

    async def write(path: Path, tell: Any) -> tuple[()]:
        blocker.execute("BEGIN IMMEDIATE")
        await anyio.sleep(0.1)
        blocker.execute("ROLLBACK")
        shutil.copyfile(film, path)
        return ()

    class Held(Scripted):
        async def submit(self, offer: Offer, uris: Mapping[str, str]) -> SubmittedOrder | DeferredVideo:
            return DeferredVideo(write)

    async def often(seconds: float) -> None:
        await anyio.sleep(0.001)

    store, media = Store(database), MediaClient()
    specs = {"fal": ProviderSpec(name="fal", title="fal")}
    steps = Steps(
        StepContext(
            store, UploadCache(database), FileStore(home), media, specs, {"fal": Held()}, no_fetch, clock, often
        )
    )
    store.place(priced(new_job(), "0"), clock())
    job, work = store.claim(WORKER, {}, clock()), WorkInProgress()
    assert job is not None
    while job.state is not State.SUCCEEDED:
        job = await steps.take(job, work)
    await media.close()
    blocker.close()
    database.close()


async def test_an_order_that_breaks_half_way_is_unknown_and_never_sent_again(bench: Bench, new_job: New) -> None:
    bench.provider.answers = [RuntimeError("a bug in the adapter, after the bytes left")]
    job = await bench.until(bench.begin(priced(new_job(), "0.30", "0.31")), State.SUBMITTING)
    with pytest.raises(RuntimeError):
        await bench.take(job)
    again = await bench.take(job)
    assert (again.state, again.bill, len(bench.provider.orders)) == (State.UNKNOWN, ChargeState.HELD, 1)


async def test_a_job_whose_every_holder_died_is_given_up(bench: Bench, new_job: New) -> None:
    bench.store.place(priced(new_job(), "0.30"), bench.clock())
    for _ in range(10):
        assert bench.store.claim(WORKER, {}, bench.clock()) is not None
        bench.store.release_claims(WORKER, frozenset(), bench.clock(), died=True)
    job = bench.store.claim(WORKER, {}, bench.clock())
    assert job is not None
    with pytest.raises(LtxError, match="10 attempts"):
        await bench.take(job)
