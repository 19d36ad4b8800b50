"""The surroundings of a chaos run as a service has them: replicas behind HAProxy, PgBouncer before PostgreSQL, films in
a bucket, webhooks. What is judged of such a run beside the rest."""

import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import anyio
import anyio.to_thread
from anyio.abc import TaskGroup
from sqlalchemy import Engine

from bench.chaos_books import connect
from bench.chaos_bucket import fetch_films
from bench.chaos_hooks import Hooks, check_letters, count_waiting, read_outbox, rows_of
from bench.chaos_judge import Evidence, Verdict, judge
from bench.chaos_parts import Part, Parts, parts
from bench.chaos_replicas import NOBODY_SERVES, Replicas
from bench.table import Row, count, seconds

DRAINED_WITHIN_S = 30
"""What orchestrators give a process before they kill it: calls are ended, and an order on its way is waited for."""
CALM_S = 300.0
REPLAY_EVERY_S = 20.0
"""Longer than a try takes, so that none is begun anew that is under way."""
MAX_SHOWN = 5
MADE = "tiny.mp4"


@dataclass
class Service:
    """One run's. `fleet` is there once the replicas were made."""

    folder: Path
    parts: Parts
    hooks: Hooks
    engine: Engine
    fleet: Replicas = field(init=False)

    def replicas(self, env: Mapping[str, str], group: TaskGroup, rng: random.Random) -> Replicas:
        """Those that are killed; `env` is what servers of any run are given."""
        all_of_it = {**env, **self.parts.settings, **self.hooks.settings}
        self.fleet = Replicas(all_of_it, self.folder, self.parts.balancer, group, rng)
        return self.fleet

    async def tell(self) -> float:
        """Have what was not told yet told now; how long that took, in seconds."""
        began = anyio.current_time()
        await anyio.to_thread.run_sync(self.hooks.recover)
        with anyio.move_on_after(CALM_S):
            while await anyio.to_thread.run_sync(count_waiting, self.engine):
                await anyio.to_thread.run_sync(self.hooks.replay, self.fleet.env)
                with anyio.move_on_after(REPLAY_EVERY_S):
                    while await anyio.to_thread.run_sync(count_waiting, self.engine):
                        await anyio.sleep(1)
        return anyio.current_time() - began

    def rows(self) -> list[Row]:
        """What was done to it, and what callers noticed of that beside refusals."""
        took_s = [ended - asked for asked, ended in self.fleet.ends_s]
        late = [
            ended - asked
            for asked, ended in self.fleet.ends_s
            if ended - asked > DRAINED_WITHIN_S and not self.parts.was_away(asked, ended)
        ]
        return [
            Row("replicas ended by SIGTERM", [len(took_s)], count),
            Row("  from the signal to the end", took_s or [0.0], seconds),
            Row(f"  in more than {DRAINED_WITHIN_S} s, though nothing else was away", [len(late)], count, 0),
            Row("  that did not end", [self.fleet.stuck], count, 0),
            *self.parts.rows(),
            *rows_of(self.hooks.letters()),
            Row("calls that nobody took, though nothing was away", [self._unexplained[NOBODY_SERVES]], count),
            Row("calls that broke off, though nothing was killed or away", [len(self._broken_off)], count, 0),
        ]

    @property
    def _unexplained(self) -> Counter[str]:
        return Counter(self.fleet.unexplained(self.parts.was_away))

    @property
    def _broken_off(self) -> list[str]:
        return [why for why in self._unexplained.elements() if why != NOBODY_SERVES]

    def notes(self) -> list[str]:
        """Why calls broke."""
        told = Counter(why for _, _, why in self.fleet.broken)
        return [f"Calls broke by: {_shown(told)}; unexplained: {_shown(self._unexplained)}."]

    def judge(self, title: str, seen: Evidence, rows: Sequence[Row], notes: Sequence[str]) -> Verdict:
        """Every promise of any run, with films as they lie in the bucket, and those of a service."""
        films = self.folder / "fetched"
        made = self.folder / "films" / MADE
        unwhole = fetch_films(self.parts.films, self.parts.bucket.env, seen.books, made, films)
        checks = {
            "films in the bucket that are not whole": unwhole,
            **check_letters(self.hooks.letters(), read_outbox(self.engine), seen.books),
        }
        return judge(title, replace(seen, videos=films), [*rows, *self.rows()], [*notes, *self.notes()], checks)


@contextmanager
def service(folder: Path) -> Iterator[Service]:
    """Everything around the replicas is started, and gone afterwards."""
    hooks = Hooks(folder)
    try:
        hooks.prepare()
        with parts(folder) as around:
            around.parts.append(
                Part("the receiver of webhooks", 20, 0.5, 3, hooks.kill, hooks.start, fails_calls=False)
            )
            yield Service(folder, around, hooks, connect(around.url, folder))
    finally:
        hooks.close()


def _shown(reasons: Counter[str]) -> str:
    return ", ".join(f"{number} {why}" for why, number in reasons.most_common(MAX_SHOWN)) or "none"
