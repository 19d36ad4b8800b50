"""One step of a job's life each: prepare, order, watch, save. A step ends in exactly one move, or hands the job back.

Only these call adapters. Whether a step may be repeated is the state's business: everything in `queued` and
`saving` may, the order itself never.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import anyio

from ltx_mcp.domain.errors import CallerError, ErrorCode, LtxError, Problem, ProviderError, SetupError
from ltx_mcp.domain.facts import ProviderFacts
from ltx_mcp.domain.job import Bill, Cancel, Film, Job, State, bill_after
from ltx_mcp.domain.plan import Adjustment
from ltx_mcp.domain.price import to_micro
from ltx_mcp.domain.request import Input
from ltx_mcp.jobs.files import Files, digest_of
from ltx_mcp.jobs.store import LostClaimError, Store
from ltx_mcp.media.worker import Media
from ltx_mcp.providers.base import Accepted, Cancels, Delivered, Polls, Provider, Seen, Uploads

logger = logging.getLogger(__name__)

PULSE_S = 0.5
LOOKS_A_PULSE = 5
POLL_S = 5.0
MOST_ATTEMPTS = 10
ENDS_THE_JOB = frozenset({ErrorCode.CONTENT_REFUSED, ErrorCode.REJECTED})
"""Refusals that another provider must not be tried after."""

Fetch = Callable[[str, Path], Awaitable[None]]
Write = Callable[[], Awaitable[Job]]


@dataclass(frozen=True)
class Tools:
    """What the steps work with; handed in so that tests can turn the clock."""

    store: Store
    files: Files
    media: Media
    facts: Mapping[str, ProviderFacts]
    adapters: Mapping[str, Provider]
    fetch: Fetch
    now: Callable[[], datetime]
    sleep: Callable[[float], Awaitable[None]] = anyio.sleep


class Steps:
    """The steps over one set of tools.

    `_held` is work only this process can finish; `_answers` are what providers said to orders and is not yet written.
    """

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._store = tools.store
        self._held: dict[str, Delivered] = {}
        self._answers: dict[tuple[str, int], Write] = {}

    async def take(self, job: Job) -> Job:
        """The next step. Raises LostClaimError when the job is no longer ours, LtxError when the step failed."""
        step = {
            State.QUEUED: self._prepare,
            State.SUBMITTING: self._order,
            State.RUNNING: self._watch,
            State.SAVING: self._save,
        }[job.state]
        return await step(job)

    async def fail(self, job: Job, error: LtxError) -> Job:
        """End the job with this error, its money by the rules; an order that broke half-way is unknown, not failed."""
        if job.state is State.SUBMITTING and not self._tools.facts[job.offer.provider].repeatable:
            problem = replace(Problem.of(error), code=ErrorCode.OUTCOME_UNKNOWN)
            return await self._answer(job, State.UNKNOWN, "unknown", error=problem)
        accepted = job.state in (State.RUNNING, State.SAVING)
        free = self._tools.facts[job.offer.provider].failure_is_free
        bill = bill_after(State.FAILED, error.code, accepted=accepted, failure_is_free=free)
        if error.code is ErrorCode.STORAGE_FAILED and not isinstance(error, SetupError):
            error = self._tools.files.failed(error)  # a child knows what went wrong, not which setting moves it
        return await self._move(job, State.FAILED, error=Problem.of(error), bill=bill)

    async def _move(self, job: Job, to: State, what: str = "", **changes: Any) -> Job:
        return await self._store.do(self._store.move, job, to, self._tools.now(), what, **changes)

    # -- queued: everything that can be repeated ----------------------------------------------------------------

    async def _prepare(self, job: Job) -> Job:
        if job.cancel_wanted:
            return await self._move(job, State.CANCELLED, cancel=Cancel.STOPPED, bill=Bill.RELEASED)
        if job.attempts >= MOST_ATTEMPTS:
            raise LtxError(ErrorCode.INTERNAL_ERROR, f"Every process that worked on it ended: {job.attempts} attempts.")
        for given in job.inputs:
            if given.job_id and not given.sha256:
                source = await self._store.do(self._store.get, given.job_id, job.caller)
                if source is not None and source.live:
                    return await self._move(job, State.QUEUED, "waiting", waits_for=source.id, holder="")
                job = await self._keep_inputs(job, given, await self._frame(given, source))
        for given in job.inputs:
            await self._upload(job, given)
        now = self._tools.now()
        return await self._move(job, State.SUBMITTING, sent_by=job.holder, ordered_at=now, progress=None)

    async def _frame(self, given: Input, source: Job | None) -> Input:
        """The picture another job's film shows at the wanted moment, kept like any other input."""
        if source is None or source.state is not State.SUCCEEDED:
            state = source.state if source else "gone"
            raise CallerError(
                ErrorCode.INPUT_FAILED,
                f"{given.role}: {given.job_id} is {state}, so it has no film to take a frame from.",
                "Order that shot again, then this one.",
            )
        files, media = self._tools.files, self._tools.media
        path = files.room() / f"{source.id}.{given.moment}.{source.fence}.part.png"
        try:
            facts = await media.take_frame(files.film(source.id), _moment(given.moment), path, "png", None)
            kept = replace(
                given,
                sha256=await self._store.do(digest_of, path),
                format="png",
                size_bytes=facts.size_bytes,
                width=facts.width,
                height=facts.height,
            )
            await self._store.do(files.keep_input, kept, path)
        finally:
            path.unlink(missing_ok=True)
        return kept

    async def _keep_inputs(self, job: Job, old: Input, new: Input) -> Job:
        inputs = tuple(new if given == old else given for given in job.inputs)
        return await self._store.do(self._store.note, job, inputs=inputs)

    async def _upload(self, job: Job, given: Input) -> None:
        """Send a medium ahead where the provider wants that, unless it lies there already."""
        adapter = self._tools.adapters[job.offer.provider]
        if not isinstance(adapter, Uploads):
            return
        now = self._tools.now()
        if await self._store.do(self._store.uploaded, job.offer.provider, adapter.account, given, now):
            return
        sent = await adapter.upload(self._tools.files.input(given), given.format)
        await self._store.do(
            self._store.keep_upload, job.offer.provider, adapter.account, given, sent.uri, sent.expires_at, now
        )

    # -- submitting: the one order ------------------------------------------------------------------------------

    async def _order(self, job: Job) -> Job:
        """Send the order, once, and write down what was said to it, as often as it takes."""
        sent = (job.id, job.fence)
        if sent not in self._answers:
            adapter = self._tools.adapters[job.offer.provider]
            uris = {given.role: await self._uri(job, adapter, given) for given in job.inputs}
            self._answers[sent] = partial(self._answer, job, State.UNKNOWN, "unknown", error=_no_answer(job))
            with anyio.CancelScope(shield=True):  # an answer that came must be written down, whoever stops us
                self._answers[sent] = await self._submit(job, adapter, uris)
                return await self._write_down(sent)
        return await self._write_down(sent)

    async def _write_down(self, sent: tuple[str, int]) -> Job:
        write = self._answers.pop(sent)
        try:
            return await write()
        except LtxError:
            self._answers[sent] = write
            raise

    async def _submit(self, job: Job, adapter: Provider, uris: Mapping[str, str]) -> Write:
        try:
            answer = await adapter.submit(job.offer, uris)
        except ProviderError as error:
            return self._refused(job, error)
        if isinstance(answer, Accepted):
            accepted = {"remote": answer.remote, "adjustments": answer.adjustments}
            charged = _micro(answer.charged_usd)
            return partial(self._answer, job, State.RUNNING, "accepted", **accepted, charged_micro=charged)
        self._held[job.id] = answer
        return partial(self._answer, job, State.RUNNING, "started")

    async def _uri(self, job: Job, adapter: Provider, given: Input) -> str:
        if isinstance(adapter, Uploads):
            now = self._tools.now()
            return await self._store.do(self._store.uploaded, job.offer.provider, adapter.account, given, now)
        return str(self._tools.files.input(given))

    async def _answer(self, job: Job, to: State, what: str, **changes: Any) -> Job:
        return await self._store.do(self._store.answer, job, to, self._tools.now(), what, **changes)

    def _refused(self, job: Job, error: ProviderError) -> Write:
        problem = Problem.of(error)
        if error.accepted == "unknown":
            unknown = replace(problem, code=ErrorCode.OUTCOME_UNKNOWN)
            return partial(self._answer, job, State.UNKNOWN, "unknown", error=unknown)
        if error.accepted == "no" and error.code not in ENDS_THE_JOB:
            return partial(self._store.do, self._store.move_on, job, problem, self._tools.now())
        free = error.accepted == "no" or self._tools.facts[job.offer.provider].failure_is_free
        bill = bill_after(State.FAILED, error.code, accepted=not free, failure_is_free=free)
        return partial(self._answer, job, State.FAILED, "failed", error=problem, bill=bill)

    # -- running: follow it to its end --------------------------------------------------------------------------

    async def _watch(self, job: Job) -> Job:
        adapter = self._tools.adapters[job.offer.provider]
        held = self._held.pop(job.id, None)
        if held is not None:
            return await self._hold(job, held)
        if job.remote is None:  # work we held and lost, with the store out of reach in between
            return await self._move(job, State.QUEUED, "again", progress=None, holder="")
        assert isinstance(adapter, Polls)
        remote = job.remote
        if job.cancel_wanted and job.cancel is None:
            asked = await adapter.cancel(remote) if isinstance(adapter, Cancels) else Cancel.NOT_POSSIBLE
            job = await self._store.do(self._store.note, job, cancel=asked)
        try:
            seen = await adapter.poll(remote)
        except ProviderError as error:
            job = await self._store.do(self._store.note, job, note=f"could not be asked: {error.message}")
            seen = Seen("waiting" if job.progress is None else "running", progress=job.progress, note=job.note)
        return await self._seen(job, seen)

    async def _seen(self, job: Job, seen: Seen) -> Job:
        charged: dict[str, Any] = {} if seen.charged_usd is None else {"charged_micro": _micro(seen.charged_usd)}
        if seen.status == "done":
            charged |= {"result_url": seen.result_url, "result_url_expires_at": seen.result_url_expires_at}
            return await self._move(job, State.SAVING, adjustments=job.adjustments + seen.adjustments, **charged)
        if seen.status == "cancelled":
            return await self._move(job, State.CANCELLED, bill=Bill.RELEASED, cancel=Cancel.STOPPED)
        if seen.status == "failed":
            problem = seen.problem or Problem(ErrorCode.UNAVAILABLE, "The provider could not make it.")
            free = self._tools.facts[job.offer.provider].failure_is_free
            bill = bill_after(State.FAILED, problem.code, accepted=True, failure_is_free=free)
            return await self._move(job, State.FAILED, error=problem, bill=bill, **charged)
        job = await self._store.do(
            self._store.note, job, progress=seen.progress, queue_position=seen.queue_position, note=seen.note
        )
        if self._overdue(job):
            return await self._move(job, State.UNKNOWN, error=_overdue_problem(job))
        await self._tools.sleep(POLL_S)
        return job

    def _overdue(self, job: Job) -> bool:
        limit = timedelta(seconds=self._tools.facts[job.offer.provider].give_up_after_s)
        return job.ordered_at is not None and self._tools.now() - job.ordered_at > limit

    async def _hold(self, job: Job, held: Delivered) -> Job:
        """Have the film written here, telling its progress, until it is whole, unwanted, or no longer ours."""
        part = self._tools.files.part(job)
        pulse = _Pulse(job)
        failure: LtxError | None = None
        adjustments: tuple[Adjustment, ...] = ()
        whole = False
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(self._tell, pulse, group.cancel_scope)
                try:
                    adjustments = await held.write(part, pulse.tell)
                    whole = True
                except LtxError as error:
                    failure = error
                group.cancel_scope.cancel()
            if failure is not None:
                raise failure
            if pulse.lost:
                raise LostClaimError
            if not whole:
                return await self._move(job, State.CANCELLED, cancel=Cancel.STOPPED, bill=Bill.RELEASED)
            return await self._move(pulse.job, State.SAVING, adjustments=job.adjustments + adjustments, progress=100.0)
        finally:
            if not whole:
                self._tools.files.drop_parts(job.id)

    async def _tell(self, pulse: "_Pulse", scope: anyio.CancelScope) -> None:
        """Write the progress down now and then, and learn from the row whether the film is still wanted."""
        beats = count(1)
        while not (pulse.lost or pulse.job.cancel_wanted):
            await self._tools.sleep(PULSE_S / LOOKS_A_PULSE)
            try:
                if next(beats) % LOOKS_A_PULSE == 0 or self._store.is_unwanted(pulse.job):
                    done = round(pulse.done * 100, 1)
                    pulse.job = await self._store.do(self._store.note, pulse.job, progress=done)
            except LostClaimError:
                pulse.lost = True
            except LtxError as error:
                logger.warning("%s: %s", pulse.job.id, error)  # the film is worth more than its progress
        scope.cancel()

    # -- saving: the film is made, now it is kept ---------------------------------------------------------------

    async def _save(self, job: Job) -> Job:
        files, media = self._tools.files, self._tools.media
        part = files.part(job)
        if not part.exists():
            await self._tools.fetch(job.result_url, part)
        measured = await media.measure_film(part)
        film = Film(
            duration=measured.duration,
            width=measured.width,
            height=measured.height,
            fps=measured.fps,
            frames=measured.frames,
            has_audio=measured.has_audio,
            size_bytes=measured.size_bytes,
        )
        await media.make_sheet(part, files.sheet(job.id))
        await self._store.do(files.keep_film, job, part, film)
        adjustments = job.adjustments + _differences(job, film)
        too_late = {"cancel": job.cancel or Cancel.NOT_POSSIBLE} if job.cancel_wanted else {}
        return await self._move(
            job,
            State.SUCCEEDED,
            film=film,
            adjustments=adjustments,
            progress=100.0,
            note="",
            bill=Bill.BOOKED,
            **too_late,
        )


@dataclass
class _Pulse:
    """What a render tells while it runs, and what its row tells back."""

    job: Job
    done: float = 0.0
    lost: bool = False

    def tell(self, done: float) -> None:
        self.done = done


def _micro(usd: Decimal | None) -> int | None:
    return None if usd is None else to_micro(usd)


def _moment(text: str) -> Any:
    return text if text in ("first", "last") else float(text)


def _no_answer(job: Job) -> Problem:
    return Problem(
        ErrorCode.OUTCOME_UNKNOWN,
        f"The order to {job.offer.provider} broke half-way; it may have been taken and charged.",
        "Do not order it again before looking at the provider's dashboard.",
    )


def _overdue_problem(job: Job) -> Problem:
    return Problem(
        ErrorCode.OUTCOME_UNKNOWN,
        f"{job.offer.provider} took the order but has not finished it in time; it may still come.",
        "check_job asks the provider again each time; do not order it again.",
    )


def _differences(job: Job, film: Film) -> tuple[Adjustment, ...]:
    """What the film itself shows to be other than ordered."""
    offer = job.offer
    pairs = (
        (
            "duration",
            f"{float(offer.duration):g}",
            f"{film.duration:g}",
            abs(film.duration - float(offer.duration)) > 0.1,
        ),
        ("resolution", f"{offer.width}x{offer.height}", f"{film.width}x{film.height}", True),
        ("fps", str(offer.fps), f"{film.fps:g}", True),
        ("generate_audio", _yes(offer.generate_audio), _yes(film.has_audio), True),
    )
    return tuple(
        Adjustment(name, asked, got, "film") for name, asked, got, matters in pairs if matters and asked != got
    )


def _yes(value: bool) -> str:
    return "true" if value else "false"
