"""Jobs: the interface that the server and the terminal call. It places jobs and waits for them; the runner does the
work."""

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from pathlib import Path

import anyio
from anyio.abc import TaskGroup

from ltx_mcp import telemetry
from ltx_mcp.domain.arguments import EstimateCost, ListJobs, OrderArguments
from ltx_mcp.domain.confirmation import ConfirmationPrompt, ConfirmationReply
from ltx_mcp.domain.job import Event, Job, State
from ltx_mcp.domain.job_set import JobSet, jobs_of, one_take_needed
from ltx_mcp.domain.plan import Catalog, Plan
from ltx_mcp.domain.price import to_micro
from ltx_mcp.jobs.accounts import why_not_served
from ltx_mcp.jobs.bucket.files import open_files
from ltx_mcp.jobs.cancellation import Cancellation
from ltx_mcp.jobs.config import JobsConfig
from ltx_mcp.jobs.confirmation import ConfirmationStore
from ltx_mcp.jobs.following import Followed, Following
from ltx_mcp.jobs.gauges import Gauges
from ltx_mcp.jobs.handover import idle_lock
from ltx_mcp.jobs.keeping import Keeping
from ltx_mcp.jobs.operator import OperatorView
from ltx_mcp.jobs.overview import OverviewReader
from ltx_mcp.jobs.placement import Placement, make_reader
from ltx_mcp.jobs.prices import PriceBook, PriceWatch
from ltx_mcp.jobs.recovery import Recovery, RecoveryStore
from ltx_mcp.jobs.retention import Retention
from ltx_mcp.jobs.runner import HandOver, Runner
from ltx_mcp.jobs.spend import Spend, Spender, read_spend
from ltx_mcp.jobs.steps.context import StepContext
from ltx_mcp.jobs.steps.steps import Steps
from ltx_mcp.jobs.store.budget import Budget, Budgets
from ltx_mcp.jobs.store.change_notifier import ChangeNotifier
from ltx_mcp.jobs.store.database import Database
from ltx_mcp.jobs.store.paging import Page, read_page
from ltx_mcp.jobs.store.rows import PlacedJob, PlacedSet
from ltx_mcp.jobs.store.same import Repeat
from ltx_mcp.jobs.store.store import Store
from ltx_mcp.jobs.store.transitions import cancel_is_decided, is_job_id, no_such_job
from ltx_mcp.jobs.store.upload_cache import UploadCache
from ltx_mcp.jobs.waits import Waits
from ltx_mcp.jobs.webhooks.incoming import IncomingProviders, IncomingWebhooks
from ltx_mcp.jobs.webhooks.receipt import Receipt
from ltx_mcp.jobs.webhooks.sender import WebhookSender
from ltx_mcp.jobs.webhooks.view import WebhooksView
from ltx_mcp.jobs.workers.heartbeat import HeartbeatLiveness
from ltx_mcp.jobs.workers.liveness import FileLockLiveness, Liveness, is_locked
from ltx_mcp.jobs.workers.ownerless import Ownerless, alive_workers, find_ownerless
from ltx_mcp.net.download import Downloads
from ltx_mcp.providers.adapters import make_adapters

logger = logging.getLogger(__name__)

CANCEL_S = 3.0
MAX_FOLDER_AGE = timedelta(hours=1)
TOLD_S, LAST_TRIES_S = 1.5, 20.0
"""How long a process that ends still tells webhooks: one that is told to end, and one that has no more to do."""
REFUSALS = ("next_offer", "offer_left_out")
Sleep = Callable[[float], Awaitable[None]]


class Jobs:
    """One open home."""

    def __init__(self, config: JobsConfig, database: Database, now: Callable[[], datetime], sleep: Sleep) -> None:
        self._config = config
        self._now = now
        self._sleep = sleep
        self._database = database
        self._files = open_files(config.home, config.video_store, config.lookup)
        self._media = self._files.make_media()
        self._store = Store(database, budget_usd=config.budget_usd, limits_of=config.limits_of)
        self._liveness: Liveness = (
            HeartbeatLiveness(database) if database.kind.shared else FileLockLiveness(config.home)
        )
        self._watch = ChangeNotifier(self._store.revisions, database.kind.tick_s)
        self._adapters = make_adapters(config.catalog.providers, config.lookup, now, self._media)
        self._incoming = self._open_incoming()
        self._price_book = PriceBook(database)
        self._prices = PriceWatch(self._price_book, self._adapters.by_name, now)
        self._context = StepContext(
            self._store,
            UploadCache(database),
            self._files,
            self._media,
            {each.name: each for each in config.catalog.providers},
            self._adapters.by_name,
            Downloads().fetch,
            now,
            sleep,
            loopback_providers=self._adapters.loopback,
            check_way=self._adapters.check_way,
            team_adapter=self._adapters.find,
            price_book=self._price_book,
            webhook_url=self._incoming.url_for,
        )
        self._steps = Steps(self._context)
        self._slots = {each.name: each.slots for each in config.catalog.providers if each.slots}
        repeatable = frozenset(each.name for each in config.catalog.providers if each.repeatable)
        self._runner = Runner(self._store, self._steps, self._liveness, self._slots, repeatable, now, self._wake)
        self._placement = self._make_placement()
        self._sender = WebhookSender(database, config.webhooks_file, config.lookup, now, note=telemetry.webhook_told)
        self._clearing = anyio.CancelScope()
        gauges = Gauges(database, config.home, tuple(self._adapters.by_name), config.budget_usd)
        self._gauges = telemetry.GaugeSource(lambda: gauges.read(now()))
        self.waits = Waits()
        self.following = Following(self._store, self._watch, self.waits, self.queue_ahead)

    @classmethod
    async def open(
        cls, config: JobsConfig, now: Callable[[], datetime] = lambda: datetime.now(UTC), sleep: Sleep = anyio.sleep
    ) -> "Jobs":
        """Open the home of `config`, or create it. Raises SetupError(storage_failed)."""
        where = (config.home, config.database_url, config.database_connections)
        return cls(config, await anyio.to_thread.run_sync(Database.open, *where), now, sleep)

    def _open_incoming(self) -> IncomingWebhooks:
        config = self._config
        providers = IncomingProviders(config.webhooks_file, config.lookup)
        specs = {each.name: each for each in config.catalog.providers}
        where = (config.lookup, config.public_url, self._adapters.loopback)
        return IncomingWebhooks(providers, specs, *where, self._store, self._now)

    def _make_placement(self) -> Placement:
        config, confirmations = self._config, ConfirmationStore(self._database)
        reader, place = make_reader(config, self._media), self._runner.place
        shared = (config.catalog, self._store, place, confirmations, self._files, reader, self._now)
        return Placement(*shared, config.limits_of, config.lookup)

    def _wake(self, job: Job) -> None:
        self._watch.wake()
        self._prices.wake()
        if not job.live:
            self._sender.wake()

    async def start(self, group: TaskGroup) -> None:
        """Start working in the background."""
        await self._store.run_in_thread(self._liveness.begin)
        await self._store.run_in_thread(self._liveness.sweep)
        await self._store.run_in_thread(telemetry.observe, self._gauges)
        with telemetry.apart():
            group.start_soon(self.work)
            if self._config.keep_days is not None:
                retention = Retention(self._database, self._files, self._config.keep_days)
                group.start_soon(self._clear_old, retention)

    async def _clear_old(self, retention: Retention) -> None:
        with self._clearing:
            await retention.run(self._now, self._sleep)

    async def work(self, *, until_idle: bool = False) -> None:
        """Work until `stop`, or until nothing is left to do."""
        if not self._liveness.worker:
            await self._store.run_in_thread(self._liveness.begin)
        await self._store.run_in_thread(self._files.sweep, datetime.now(UTC) - MAX_FOLDER_AGE)
        async with anyio.create_task_group() as group:
            group.start_soon(self._prices.run)
            group.start_soon(self._sender.run)
            await self._runner.run(until_idle=until_idle)
            await self._sender.stop(LAST_TRIES_S if until_idle else TOLD_S)
            group.cancel_scope.cancel()

    async def is_reachable(self) -> bool:
        """Whether the database answers; if it is silent, this waits."""
        return bool(await self._database.kind.quick_read("SELECT 1", ()))

    async def stop(self, hand_over: HandOver | None = None) -> int:
        """Stop working, release the claimed jobs and close everything; returns how many live jobs are left to other
        processes. `hand_over` is called when there are any.
        """
        self._clearing.cancel()
        telemetry.forget(self._gauges)
        with anyio.CancelScope(shield=True):
            left = await self._runner.stop(hand_over)
            await self._sender.stop(TOLD_S)
            await self._prices.stop()
            await self._adapters.close()
            await self._media.close()
            self._database.close()
        return left

    async def order(self, arguments: OrderArguments, caller: str) -> PlacedJob:
        """The job of this request for one take: placed now, or the one it already has; see Placement. Nobody is asked
        to confirm. Raises CallerError or SetupError."""
        ordered = await self.order_or_ask(arguments, caller, None, can_ask=False)
        assert isinstance(ordered, PlacedJob)
        return ordered

    async def order_or_ask(
        self,
        arguments: OrderArguments,
        caller: str,
        answer: ConfirmationReply | None,
        *,
        can_ask: bool,
        repeat: Repeat = Repeat.RETRY,
    ) -> PlacedJob | PlacedSet | ConfirmationPrompt:
        """As `order`, and the set of a request for several takes; with `can_ask` it may return the question that a
        person must answer first."""
        await self._refresh_prices()
        ordered = await self._placement.order(arguments, caller, answer, can_ask=can_ask, repeat=repeat)
        if not isinstance(ordered, ConfirmationPrompt) and ordered.fresh:
            for job in jobs_of(ordered.followed):
                logger.info("%s placed with %s", job.id, job.offer.provider)
                self._runner.begin(job)
        else:
            self._runner.wake()
        self._prices.wake()
        return ordered

    async def find(self, name: str, caller: str | None) -> Job | JobSet:
        """What `job_…`, `set_…` or `set_…/2` names, of this caller; None: of any. Raises CallerError(job_not_found)."""
        found = await self._store.run_in_thread(self._store.find, name, caller) if is_job_id(name) else None
        if found is None:
            raise no_such_job(name)
        return found

    async def get(self, name: str, caller: str | None) -> Job:
        """One job of this caller (None: of any), also a take by its name. Raises CallerError(job_not_found), or for a
        complete set CallerError(invalid_request)."""
        found = await self.find(name, caller)
        if isinstance(found, JobSet):
            raise one_take_needed(found)
        return found

    async def named(self, prefix: str, caller: str, limit: int) -> Sequence[Job]:
        """This caller's jobs whose id, or name within a set, starts with `prefix`; an exact match comes first."""
        return await self._store.run_in_thread(self._store.named, prefix, caller, limit) if is_job_id(prefix) else ()

    async def get_rechecked(self, name: str, caller: str) -> Job | JobSet:
        """What a name stands for, of this caller; jobs whose outcome is unknown are polled once more, if the provider
        can be asked. Raises CallerError(job_not_found)."""
        found = await self.find(name, caller)
        for job in jobs_of(found):
            if job.state is State.UNKNOWN:
                await self._store.run_in_thread(self._store.recheck, caller, job.id, self._now())
                found = await self.find(name, caller)
        if any(job.state is State.RUNNING and not job.lease_owner for job in jobs_of(found)):
            self._runner.wake()
        return found

    async def cancel(self, name: str, caller: str) -> Job | JobSet:
        """Request that a job, or all takes of a set, be cancelled and wait for the outcome: most providers answer
        within a second."""
        found = await self.find(name, caller)
        if isinstance(found, JobSet):
            newest_first = [take.id for take in reversed(found.takes)]
            await self._store.run_in_thread(self.cancelling.request, caller, newest_first)
            return await self._cancelled(found)
        await self._store.run_in_thread(self._store.request_cancel, caller, found.id, self._now())
        return await self._cancelled(found)

    async def _cancelled(self, followed: Followed) -> Followed:
        """Once the outcome of a request to cancel is known, or after CANCEL_S."""
        self._runner.wake()
        self._sender.wake()
        for job in jobs_of(followed):
            self._steps.wake(job.id)
        with anyio.move_on_after(CANCEL_S):
            await self.following.until(await self.following.reload(followed), cancel_is_decided)
        return await self.following.reload(followed)

    @property
    def cancelling(self) -> Cancellation:
        """Cancels many jobs at once."""
        return Cancellation(self._database, self._steps.wake, self._watch.change, self._now)

    async def take_webhook(self, provider: str, job_id: str, headers: Mapping[str, str], body: bytes) -> Receipt:
        """A provider says, or somebody who claims to be it, that the order of a job has ended: have it asked."""
        receipt = await self._incoming.take(provider, job_id, headers, body)
        if receipt is Receipt.TAKEN:
            self._runner.wake()  # its round wakes the job; woken from here too, it would be asked about twice
        return receipt

    def blocked_reason(self, job: Job) -> str:
        """The key or address that this process lacks for a live job without a lease owner; empty if none."""
        at = (job.offer.provider, job.account)
        return "" if not job.live or job.lease_owner or self._steps.can_serve(*at) else self.why_not_served(*at)

    def why_not_served(self, provider: str, account: str) -> str:
        """What this process lacks for an account."""
        return why_not_served(self._config.catalog, provider, account, self._config.lookup)

    @property
    def keeping(self) -> Keeping:
        """What can be done with kept videos."""
        return Keeping(self._database, self._context, self._now)

    @property
    def person(self) -> Recovery:
        """What only a person may settle, not an agent."""
        return Recovery(RecoveryStore(self._database), self._config.catalog, self._adapters.find, self._now)

    @property
    def operator(self) -> OperatorView:
        """What only an operator sees."""
        return OperatorView(self._database)

    def overview(self) -> OverviewReader:
        """What reads how this service does, for an operator."""
        limit = None if self._config.budget_usd is None else to_micro(self._config.budget_usd)
        return OverviewReader(self._database, self.home, limit, self._config.limits_of, self._now)

    @property
    def webhooks(self) -> WebhooksView:
        """What an operator sees of the webhooks."""
        return WebhooksView(self._database)

    async def page(self, arguments: ListJobs, caller: str) -> Page:
        """One page of this caller's jobs. Raises CallerError for a cursor that no page gave."""
        return await read_page(self._store, self._watch, self.waits, arguments, caller)

    async def quotes(self, arguments: EstimateCost, caller: str) -> Plan:
        """What could be ordered for this, and why everything else cannot; see Placement."""
        await self._refresh_prices()
        return await self._placement.quotes(arguments, caller)

    async def budget(self) -> Budget:
        """Today's budget of all callers together."""
        return (await self.budgets(None)).total

    async def budgets(self, caller: str | None) -> Budgets:
        """Today's budgets that `caller` may spend from."""
        return await self._store.run_in_thread(self._store.budgets, self._now(), caller)

    async def spend(self, caller: str | None, last: date | None = None, days: int = 1, by: Spender = "") -> Spend:
        """What this caller (None: everybody, `by` caller or team) ordered on the `days` UTC days up to and including
        `last` (None: today), and the budgets on that last day: the caller's, or that of everybody."""
        at = self._now() if last is None else datetime.combine(last, time(), UTC)
        budgets = await self._store.run_in_thread(self._store.budgets, at, caller)
        read = partial(read_spend, self._database, caller, at.date(), days, budgets.shown, by)
        return replace(await self._store.run_in_thread(read), budgets=budgets)

    @property
    def catalog(self) -> Catalog:
        """What can be bought here, at the prices that the last order or quote used."""
        return self._placement.catalog

    def catalog_of(self, caller: str) -> Catalog:
        """The same for one caller."""
        return self._placement.catalog_of(caller)

    async def queue_ahead(self, job: Job) -> int:
        """How many jobs must end before this queued one can start."""
        slots = self._slots.get(job.offer.provider)
        if job.state is not State.QUEUED or job.blocked_by or slots is None:
            return 0
        return max(0, await self._store.run_in_thread(self._store.count_ahead, job) - slots + 1)

    async def history(self, job_id: str, caller: str) -> Sequence[Event]:
        """All that happened to a job of this caller."""
        return await self._store.run_in_thread(self._store.history, (await self.get(job_id, caller)).id)

    async def refusals(self, job: Job) -> tuple[str, ...]:
        """Why earlier offers were definitely rejected or left out before the one that is tried now."""
        if job.offer_index == 0:
            return ()
        events = await self._store.run_in_thread(self._store.history, job.id)
        return tuple(str(event.detail.get("message", "")) for event in events if event.what in REFUSALS)

    @property
    def loopback_providers(self) -> frozenset[str]:
        """The providers that run on this machine; their videos may be on it too."""
        return self._adapters.loopback

    def film(self, job: Job) -> Path | None:
        """The video file on this machine, if there is one."""
        return self._files.kept_video(job)

    @property
    def home(self) -> Path:
        """The folder everything is kept in."""
        return self._config.home

    async def ownerless(self) -> Ownerless:
        """The live jobs in the database that nobody works on; none while a `work --until-idle` process runs."""
        live = await self._store.run_in_thread(self._store.live)
        if not live or await self._store.run_in_thread(is_locked, idle_lock(self.home)):
            return Ownerless()
        alive = await self._store.run_in_thread(alive_workers, self._database, self.home)
        return find_ownerless(live, alive, self._steps.can_serve, self._slots, self._now())

    async def is_idle(self) -> bool:
        """Whether the database has no live job."""
        return not await self._store.run_in_thread(self._store.live)

    async def _refresh_prices(self) -> None:
        """Plan with the prices that any process has read from the providers."""
        prices = await self._price_book.run_in_thread(self._price_book.read, self._now())
        self._placement.catalog = replace(self._placement.catalog, unit_prices=prices)
