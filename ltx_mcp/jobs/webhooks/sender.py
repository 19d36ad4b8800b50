"""The loop that tells webhooks of the ends of jobs: claims what is due, sends it, and notes what became of it.

A receiver that is slow or dead keeps no job and no other webhook waiting.
"""

import json
import logging
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
from anyio.abc import TaskGroup

from ltx_mcp.domain.errors import LtxError, SetupError
from ltx_mcp.jobs.callers import user_of
from ltx_mcp.jobs.operator_files.operator_file import ReadAgain
from ltx_mcp.jobs.store.database import Database
from ltx_mcp.jobs.webhooks.file import Webhook, Webhooks, read_webhooks
from ltx_mcp.jobs.webhooks.outbox import Delivery, Due, Outbox, Outcome
from ltx_mcp.jobs.webhooks.signing import make_headers
from ltx_mcp.net.post import NotPostedError, Posted, inside_policy, make_resolver, post, public_policy
from ltx_mcp.net.ssrf import EgressPolicy

logger = logging.getLogger(__name__)

TRY_S = 15.0
AT_A_TIME = 8
"""How many deliveries of one webhook are under way at a time, in one process."""
LOOK_S, RETRY_S, IDLE_S = 3.0, 5.0, 60.0
CLEAN_EVERY = timedelta(hours=1)
GONE = 410
HEADERS = {"Content-Type": "application/json"}


def make_body(delivery: Delivery) -> bytes:
    """What a webhook is told: the same at every try."""
    data = {
        "job_id": delivery.job_id,
        "state": delivery.state,
        "user": user_of(delivery.caller),
        "request_key": delivery.request_key,
    }
    at = delivery.ended_at.astimezone(UTC).isoformat().replace("+00:00", "Z")
    message = {"type": f"job.{delivery.state}", "timestamp": at, "data": data}
    return json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode()


class WebhookSender:
    """Tells the webhooks of a file, in one process. Without a file it only removes what is old. `note` is told of each
    try by the name of the webhook: delivered, failed, given_up or disabled."""

    def __init__(
        self,
        database: Database,
        path: Path | None,
        lookup: Callable[[str], str],
        now: Callable[[], datetime],
        *,
        policy: EgressPolicy | None = None,
        note: Callable[[str, str], None] = lambda webhook, outcome: None,
    ) -> None:
        self._outbox = Outbox(database)
        self._path = path
        self._lookup = lookup
        self._now = now
        self._policy = policy
        self._note = note
        self._policies: tuple[EgressPolicy, EgressPolicy] | None = None
        self._file: ReadAgain[Webhooks] | None = None
        self._registered: Webhooks | None = None
        self._said = ""
        self._under_way: Counter[str] = Counter()
        self._cleaned_at: datetime | None = None
        self._wanted = anyio.Event()
        self._is_stopping = False
        self._running: anyio.CancelScope | None = None
        self._group: TaskGroup | None = None
        self._ended = anyio.Event()

    def wake(self) -> None:
        """Look now: a job has ended."""
        self._wanted.set()

    async def run(self) -> None:
        """Tell what is due, until `stop`."""
        if self._running is not None or self._is_stopping:
            return
        try:
            with anyio.CancelScope() as self._running:
                async with anyio.create_task_group() as self._group:
                    while (pause_s := await self._round()) is not None:
                        with anyio.move_on_after(pause_s):
                            await self._wanted.wait()
                        self._wanted = anyio.Event()
        finally:
            self._group = None
            self._ended.set()

    async def stop(self, within_s: float) -> None:
        """Tell what is due now, as far as it takes no longer than this; what is cut short is due at once elsewhere."""
        self._is_stopping = True
        self.wake()
        if self._running is None:
            return
        with anyio.move_on_after(within_s):
            await self._ended.wait()
        self._running.cancel()
        await self._ended.wait()

    async def _round(self) -> float | None:
        """Start all that is due and has room; returns how long to wait for more, None when all is told at the end."""
        try:
            hooks = await self._hooks()
            has_more = [await self._take_up(hooks[due.webhook], due) for due in await self._due(hooks)]
            if self._is_stopping:
                return LOOK_S if any(has_more) or self._under_way.total() else None
            self._clean_at_times(hooks.keys())
        except LtxError as error:
            logger.info("webhooks have to wait: %s", error)
            return None if self._is_stopping else RETRY_S
        except Exception:  # it runs beside the jobs, and its fault must not end them
            logger.exception("webhooks could not be told")
            return None if self._is_stopping else RETRY_S
        return LOOK_S if self._path else IDLE_S

    async def _hooks(self) -> Mapping[str, Webhook]:
        """The webhooks of the file, which are registered when it has changed."""
        if self._path is None:
            return {}
        if self._file is None:
            self._file = await self._outbox.run_in_thread(self._open, self._path)
        if self._file is None:
            return {}
        found = self._file.now()
        if found is not self._registered:
            gone = await self._outbox.run_in_thread(self._outbox.register, found.outgoing)
            self._registered = found
            if gone:
                logger.info("no longer told, because the file has them no more: %s", ", ".join(gone))
                self._cleaned_at = None
        return found.outgoing

    def _open(self, path: Path) -> ReadAgain[Webhooks] | None:
        try:
            return ReadAgain(path, lambda: read_webhooks(path, self._lookup))
        except SetupError as error:
            if self._said != str(error):
                logger.error("%s Nobody is told of ended jobs from here.", error)
                self._said = str(error)
            return None

    async def _due(self, hooks: Mapping[str, Webhook]) -> list[Due]:
        if not hooks:
            return []
        now = self._now()
        seen = await self._outbox.read_due()
        return [each for each in seen if each.webhook in hooks and each.is_now(now)]

    async def _take_up(self, hook: Webhook, due: Due) -> bool:
        """Start what there is room for; whether there may be more."""
        if due.is_disabled:
            return await self._outbox.run_in_thread(self._outbox.put_aside, hook.name)
        room = AT_A_TIME - self._under_way[hook.name]
        if room <= 0 or self._group is None:
            return True
        claimed = await self._outbox.run_in_thread(self._outbox.claim, hook.name, self._now(), room)
        self._under_way[hook.name] += len(claimed)
        for delivery in claimed:
            self._group.start_soon(self._tell, hook, delivery)
        return len(claimed) == room

    async def _tell(self, hook: Webhook, delivery: Delivery) -> None:
        try:
            if hook.wants(delivery.caller, delivery.state):
                await self._settle(hook, delivery, await self._send(hook, delivery))
            else:
                await self._outbox.run_in_thread(self._outbox.not_wanted, delivery)
        except LtxError as error:
            logger.info("webhook %s: what became of %s could not be noted: %s", hook.name, delivery.job_id, error)
        except anyio.get_cancelled_exc_class():
            await self._give_back(delivery)
            raise
        except Exception:  # its fault must not end the others
            logger.exception("webhook %s: %s could not be told", hook.name, delivery.job_id)
        finally:
            self._under_way[hook.name] -= 1
            self.wake()

    async def _send(self, hook: Webhook, delivery: Delivery) -> Posted | str:
        """The answer, or why there is none."""
        body = make_body(delivery)
        headers = {**HEADERS, **make_headers(delivery.message_id, self._now(), body, hook.keys)}
        try:
            return await post(hook.url, body, headers, self._policy_of(hook), TRY_S)
        except NotPostedError as error:
            return str(error)

    def _policy_of(self, hook: Webhook) -> EgressPolicy:
        if self._policies is None:
            resolver = make_resolver()
            self._policies = (self._policy or public_policy(resolver), inside_policy(resolver))
        return self._policies[hook.allow_private]

    async def _settle(self, hook: Webhook, delivery: Delivery, answer: Posted | str) -> None:
        outbox, run = self._outbox, self._outbox.run_in_thread
        said = answer if isinstance(answer, str) else f"HTTP {answer.status_code}"
        status_code, wait_s = (0, None) if isinstance(answer, str) else (answer.status_code, answer.retry_after_s)
        if 200 <= status_code < 300:
            await run(outbox.delivered, delivery, said)
            outcome = Outcome.DELIVERED
        elif status_code == GONE and await run(outbox.disable, hook, self._now()):
            await run(outbox.not_told, delivery, said)
            outcome = Outcome.DISABLED
        else:
            outcome = await run(outbox.failed, delivery, said, self._now(), wait_s or 0)
        _log(hook.name, delivery, outcome, said)
        self._note(hook.name, outcome or "failed")

    async def _give_back(self, delivery: Delivery) -> None:
        with anyio.CancelScope(shield=True):
            try:
                await self._outbox.run_in_thread(self._outbox.give_back, delivery, self._now())
            except LtxError as error:
                logger.info("%s is told again later: %s", delivery.job_id, error)

    def _clean_at_times(self, told: Collection[str]) -> None:
        """Beside the messages, which need not wait for it."""
        if self._group and (self._cleaned_at is None or self._now() - self._cleaned_at >= CLEAN_EVERY):
            self._cleaned_at = self._now()
            self._group.start_soon(self._clean, self._now(), told)

    async def _clean(self, now: datetime, told: Collection[str]) -> None:
        try:
            while not self._is_stopping and await self._outbox.run_in_thread(self._outbox.clean, now, told) > 0:
                pass
        except LtxError as error:
            logger.info("old deliveries could not be removed: %s", error)
        except Exception:  # it runs beside the jobs, too
            logger.exception("old deliveries could not be removed")


def _log(webhook: str, delivery: Delivery, outcome: Outcome, said: str) -> None:
    """No address: it may hold a secret."""
    what = (webhook, delivery.job_id, delivery.state)
    if outcome is Outcome.DISABLED:
        logger.warning("webhook %s answers %s and is disabled; ltx-mcp webhooks replay enables it", webhook, said)
    elif outcome is Outcome.GIVEN_UP:
        logger.warning("webhook %s was not told that %s is %s, and is not tried any more: %s", *what, said)
    elif outcome is Outcome.WAITING:
        logger.info("webhook %s could not be told yet that %s is %s: %s", *what, said)
    else:
        logger.info("webhook %s was told that %s is %s", *what)
