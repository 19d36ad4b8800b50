"""What the steps of a job work with, passed in so that tests can replace the clock and the providers."""

import logging
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any, Protocol, Unpack, cast

import anyio

from ltx_mcp.domain.catalog import ProviderSpec
from ltx_mcp.domain.errors import ErrorCode, JobError, ProviderError
from ltx_mcp.domain.job import CancelOutcome, ChargeState, Job, JobChanges, State
from ltx_mcp.domain.offer import Offer, row_of
from ltx_mcp.domain.quoting import one_line
from ltx_mcp.domain.unit_price import UnitPrices, charge_of, confirms_seconds, raised
from ltx_mcp.jobs.files import FileStore
from ltx_mcp.jobs.filesystem import check_space
from ltx_mcp.jobs.prices import PriceBook
from ltx_mcp.jobs.store.rows import LostClaimError
from ltx_mcp.jobs.store.store import Store
from ltx_mcp.jobs.store.transitions import price_drift
from ltx_mcp.jobs.store.upload_cache import UploadCache
from ltx_mcp.media.client import MediaClient
from ltx_mcp.net.address import read_address
from ltx_mcp.net.flow import Bounds
from ltx_mcp.net.redact import redact
from ltx_mcp.providers.base import DeferredVideo, PollResult, Provider, SupportsDownload

logger = logging.getLogger(__name__)


class FetchVideo(Protocol):
    """Downloads what `out` does not have yet of the video at `url`; one attempt. Raises ProviderError."""

    async def __call__(self, url: str, out: Any, *, provider: str, is_loopback: bool, bounds: Bounds) -> None: ...


@dataclass
class WorkInProgress:
    """What only the process that has claimed a job knows about it, from step to step.

    `uris` are the inputs of the order by role, once they are ready to be sent. `unwritten` records the answer to the
    order until that has succeeded. `deferred` is a video that no other process can fetch. The next
    span of it being tracked begins at `tracking_since_ns`; 0: now."""

    uris: Mapping[str, str] | None = None
    unwritten: Callable[[], Awaitable[Job]] | None = None
    deferred: DeferredVideo | None = None
    polls: int = 0
    broken_streams: int = 0
    late_failures: int = 0
    breaks: int = 0
    tracking_since_ns: int = 0


class WakeSignals:
    """Wakes the sleep of one job, because somebody requested its cancellation."""

    def __init__(self, sleep: Callable[[float], Awaitable[None]]) -> None:
        self._sleep = sleep
        self._events: dict[str, anyio.Event] = {}

    def wake(self, job_id: str) -> None:
        """End the job's sleep now, if it sleeps in this process."""
        if job_id in self._events:
            self._events[job_id].set()

    async def sleep_until_woken(self, job_id: str, seconds: float) -> None:
        """Sleep for `seconds`, or until `wake`."""
        event = self._events.setdefault(job_id, anyio.Event())

        async def sleep() -> None:
            await self._sleep(seconds)
            group.cancel_scope.cancel()

        try:
            async with anyio.create_task_group() as group:
                group.start_soon(sleep)
                await event.wait()
                group.cancel_scope.cancel()
        finally:
            self._events.pop(job_id, None)


@dataclass
class StepContext:
    """`adapters` are those of the operator's accounts by provider, `team_adapter` gives that of a team's. Providers of
    `loopback_providers` run on this machine; `chance` returns numbers from 0 to 1; `check_way` raises ProviderError for
    an account of a provider that cannot be reached; `price_book` has the prices that providers report."""

    store: Store
    uploads: UploadCache
    files: FileStore
    media: MediaClient
    specs: Mapping[str, ProviderSpec]
    adapters: Mapping[str, Provider]
    fetch: FetchVideo
    now: Callable[[], datetime]
    sleep: Callable[[float], Awaitable[None]] = anyio.sleep
    chance: Callable[[], float] = random.random
    loopback_providers: frozenset[str] = frozenset()
    check_way: Callable[[str, str], None] = lambda provider, account: None
    team_adapter: Callable[[str, str], Provider | None] = lambda provider, account: None
    price_book: PriceBook | None = None
    wake_signals: WakeSignals = field(init=False)
    drifting: set[tuple[str, str]] = field(default_factory=set, init=False)

    def __post_init__(self) -> None:
        self.wake_signals = WakeSignals(self.sleep)

    def find_adapter(self, provider: str, account: str) -> Provider | None:
        """The adapter of an account; None where it cannot be served from here."""
        return self.team_adapter(provider, account) if account else self.adapters.get(provider)

    def adapter(self, job: Job) -> Provider:
        """The adapter of the account that the job's row names, whatever the operator has written since."""
        adapter = self.find_adapter(job.offer.provider, job.account)
        assert adapter is not None  # else this process would not have claimed it
        return adapter

    def spec(self, job: Job) -> ProviderSpec:
        """The provider that the job's current offer is for."""
        return self.specs[job.offer.provider]

    async def transition(self, job: Job, to: State, what: str = "", **changes: Unpack[JobChanges]) -> Job:
        """The transition by the lease owner."""
        moved = await self.store.run_in_thread(self.store.transition, job, to, self.now(), what, **changes)
        self.watch_price(job, changes)
        return moved

    async def fail_over(self, job: Job, problem: JobError, now: datetime) -> Job:
        """After a definite rejection: the next offer, at its price when the job was placed or a newer, higher one."""
        known = await self._known_prices()
        tried = job.offer_index + 1
        offers = (*job.offers[:tried], *(self._raised(offer, known) for offer in job.offers[tried:]))
        return await self.store.run_in_thread(self.store.fail_over, job, problem, now, offers)

    async def charged(self, job: Job, units: Decimal) -> Decimal | None:
        """USD for the units that the provider counted for a finished order; None without a trusted price."""
        row, key = row_of(job.offer, self.spec(job)), _price_key(job.offer)
        if self.price_book is None or row is None:
            return None
        price = (await self._known_prices()).get(key)
        if price is not None and not price.is_confirmed and confirms_seconds(job.offer, units):
            await self.price_book.run_in_thread(self.price_book.confirm, *key, self.now())
        return charge_of(job.offer, row, price, units)

    def _raised(self, offer: Offer, known: UnitPrices) -> Offer:
        row = row_of(offer, self.specs[offer.provider])
        return offer if row is None else raised(offer, row, known.get(_price_key(offer)))

    async def _known_prices(self) -> UnitPrices:
        return {} if self.price_book is None else await self.price_book.run_in_thread(self.price_book.read, self.now())

    def watch_price(self, job: Job, changes: Mapping[str, Any]) -> None:
        """Log when a provider charges another price than was quoted: once for each of its models."""
        drift = price_drift(job, changes)
        if drift is None or (drift["provider"], drift["model"]) in self.drifting:
            return
        self.drifting.add((drift["provider"], drift["model"]))
        logger.warning(
            "%s: %s (%s) charged %s USD, quoted %s; the prices as of %s may be outdated: ltx-mcp jobs --spend",
            job.id,
            drift["provider"],
            drift["model"],
            drift["charged_usd"],
            drift["quoted_usd"],
            drift["as_of"],
        )

    async def stopped(self, job: Job) -> Job:
        """The end of a job that was cancelled in time: its price is released."""
        released: JobChanges = {"cancel": CancelOutcome.STOPPED, "bill": ChargeState.RELEASED}
        return await self.transition(job, State.CANCELLED, **released)

    async def update(self, job: Job, **changes: Unpack[JobChanges]) -> Job:
        """Change fields of a job's row; values that it has already are not written again."""
        news = cast(JobChanges, {name: value for name, value in changes.items() if getattr(job, name) != value})
        return await self.store.run_in_thread(self.store.update, job, **news) if news else job

    async def wait(self, job: Job, trouble: str, seconds: float, **changes: Unpack[JobChanges]) -> Job:
        """Record what failed and when it is tried again, and sleep until then. Raises LostClaimError."""
        again: JobChanges = {"status_message": trouble, "run_after": self.now() + timedelta(seconds=seconds)}
        job = await self.update(job, **(again | changes))
        await self.wake_signals.sleep_until_woken(job.id, seconds)
        return await self.reloaded(job)

    async def reloaded(self, job: Job) -> Job:
        """The job as its row is now. Raises LostClaimError when it is no longer ours."""
        latest = await self.store.run_in_thread(self.store.get, job.id)
        ours = (job.fencing_token, job.lease_owner, True)
        if latest is None or (latest.fencing_token, latest.lease_owner, latest.live) != ours:
            raise LostClaimError
        return latest

    async def fetch_video(self, job: Job, part: Path) -> bool:
        """Append what is missing of a job's video to `part`; one attempt. False if its provider cannot be asked for it.
        Raises ProviderError or SetupError."""
        provider, url = job.offer.provider, job.result_url
        bounds = Bounds(job.offer.max_bytes, job.offer.expected_bytes, partial(check_space, part.parent))
        adapter = self.downloader(job)
        if not url:
            if adapter is None or job.provider_ref is None:
                return False
            url = await adapter.download(job.provider_ref, part, bounds)
        if url:
            url, is_loopback = self.video_address(job, url), provider in self.loopback_providers
            await self.fetch(url, part, provider=provider, is_loopback=is_loopback, bounds=bounds)
        return True

    def downloader(self, job: Job) -> SupportsDownload | None:
        """The adapter that can download this job's video by a call of its own, if there is one."""
        adapter: object = self.find_adapter(job.offer.provider, job.account)
        return adapter if isinstance(adapter, SupportsDownload) and job.provider_ref is not None else None

    def expiry(self, job: Job, seen: PollResult) -> datetime | None:
        """When the URL of a video expires: as the provider says, else as its TOML says."""
        lives_s = self.spec(job).film_lives_s
        by_facts = self.now() + timedelta(seconds=lives_s) if lives_s and seen.result_url else None
        return seen.result_url_expires_at or by_facts

    def video_address(self, job: Job, url: str) -> str:
        """The checked URL of a job's video. Raises ProviderError(bad_reply) for what is none: the adapter has checked
        it already, but a row of an older version may hold anything."""
        if address := self.is_address(job, url):
            return address
        provider = job.offer.provider
        raise ProviderError(
            ErrorCode.BAD_REPLY,
            f"{provider} said that it is done, but gave no address of a film.",
            "It was made and paid: ask the provider's support for it.",
            provider=provider,
            accepted="yes",
            detail=one_line(redact(url)),
        )

    def is_address(self, job: Job, url: str) -> str:
        """`url` if this job's provider may use it; else empty."""
        return read_address(url, is_loopback=job.offer.provider in self.loopback_providers)

    def age_s(self, job: Job) -> float:
        """Seconds since it was ordered."""
        return (self.now() - job.ordered_at).total_seconds() if job.ordered_at else 0.0


def _price_key(offer: Offer) -> tuple[str, str]:
    return offer.provider, offer.endpoint
