"""A sender beside a store, a file that it reads, and jobs that end."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import anyio
import pytest
from sqlalchemy import text

from ltx_mcp.domain.job import Job, State
from ltx_mcp.jobs.store.database import Database
from ltx_mcp.jobs.store.rows import NewJob
from ltx_mcp.jobs.store.store import Store
from ltx_mcp.jobs.webhooks.sender import WebhookSender
from tests.conftest import Clock
from tests.webhooks.receiver import Receiver, receiving


@dataclass
class Bench:
    """`file` is what senders read; `noted` what they made of each try."""

    database: Database
    store: Store
    clock: Clock
    file: Path
    new_job: Callable[..., NewJob]
    noted: list[tuple[str, str]]

    def write(self, *parts: str) -> None:
        """What the file says from now on."""
        self.file.write_text("\n".join(parts), encoding="utf-8")

    def sender(self, **options: Any) -> WebhookSender:
        def note(webhook: str, outcome: str) -> None:
            self.noted.append((webhook, outcome))

        return WebhookSender(self.database, self.file, lambda name: "", self.clock, note=note, **options)

    @asynccontextmanager
    async def sending(self, **options: Any) -> AsyncIterator[WebhookSender]:
        """A sender at work, once it has registered what the file says."""
        sender = self.sender(**options)
        async with anyio.create_task_group() as group:
            group.start_soon(sender.run)
            yield sender
            await sender.stop(0)

    def unknown(self) -> Job:
        """A job that the provider took, and whose outcome is not known."""
        self.store.place(self.new_job(prompt="lost"), self.clock())
        job = self._claimed()
        job = self.store.transition(job, State.SUBMITTING, self.clock(), submitted_by="w", ordered_at=self.clock())
        return self.store.record_submission(job, State.UNKNOWN, self.clock(), "lost", provider_ref={"id": "r"})

    def taken_up(self, job: Job) -> Job:
        """It, claimed by a worker."""
        claimed = self._claimed()
        assert claimed.id == job.id
        return claimed

    def _claimed(self) -> Job:
        facts = {(offer.provider, "") for offer in self.new_job().offers}
        job = self.store.claim("w", {}, self.clock(), facts, frozenset())
        assert job is not None
        return job

    def cancel(self, caller: str = "local", request_key: str = "") -> Job:
        """A job that has ended."""
        placed = self.store.place(self.new_job(caller, request_key), self.clock()).job
        ended = self.store.request_cancel(caller, placed.id, self.clock())
        assert ended is not None
        assert ended.state is State.CANCELLED
        return ended

    def rows(self) -> list[Any]:
        with self.database.read() as connection:
            columns = "webhook, job_id, state, outcome, answer, tries, next_at, ended_at"
            return list(connection.execute(text(f"SELECT {columns} FROM deliveries ORDER BY ended_at, webhook, state")))

    def waits_until(self, due: datetime) -> bool:
        """Whether the only delivery is due then."""
        (row,) = self.rows()
        return bool(row.next_at == round(due.timestamp() * 1e6))

    def is_disabled(self, webhook: str) -> bool:
        with self.database.read() as connection:
            query = text("SELECT disabled_at FROM webhooks WHERE name = :name")
            return connection.execute(query, {"name": webhook}).scalar_one() is not None

    def outcomes(self) -> list[tuple[str, str]]:
        return [(row.outcome, row.answer) for row in self.rows()]


@pytest.fixture
def bench(database: Database, store: Store, clock: Clock, tmp_path: Path, new_job: Callable[..., NewJob]) -> Bench:
    return Bench(database, store, clock, tmp_path / "webhooks.toml", new_job, [])


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as made:
        yield made
