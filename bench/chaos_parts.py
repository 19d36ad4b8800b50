"""What stands around the replicas of a chaos run of a service, and fails: database, pool, bucket and balancer."""

import random
import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path

import anyio
import anyio.to_thread

from bench.fleet import Answer
from bench.postgres import Postgres, postgres
from bench.table import Row, count, seconds
from tests.bucket.seaweed import S3Server
from tests.service.pgbouncer import PgBouncer
from tests.service.replicas import Balancer

POOL_SIZE = 8
MINUTES = 10
AFTERWARDS_S = 5.0
"""So long after a part is back a server may still hold a connection that is dead."""
EXPECTED = "storage_failed"


@dataclass(frozen=True)
class Part:
    """Something that goes away and comes back, so often in MINUTES, each time for so long. `fails_calls`: a call that
    needs it meanwhile is refused."""

    name: str
    times: int
    least_s: float
    most_s: float
    stop: Callable[[], None]
    start: Callable[[], None]
    fails_calls: bool = True


@dataclass(frozen=True)
class Outage:
    """When a part was away, by the monotonic clock."""

    part: Part
    began_s: float
    ended_s: float


@dataclass
class Parts:
    """All of them. `url` is the database's own address, `pooled_url` that of the servers."""

    url: str
    pooled_url: str
    films: str
    bucket: S3Server
    balancer: Balancer
    parts: list[Part]
    outages: list[Outage] = field(default_factory=list)

    @property
    def settings(self) -> dict[str, str]:
        """What every replica is given."""
        return self.bucket.env | {
            "LTX_MCP_DATABASE_URL": self.pooled_url,
            "LTX_MCP_DATABASE_CONNECTIONS": "4",
            "LTX_MCP_VIDEO_STORE": self.films,
            "LTX_MCP_PUBLIC_URL": self.balancer.address,
            "LTX_MCP_SIGNING_KEY": secrets.token_urlsafe(32),
        }

    async def trouble(self, seed: int, time_s: float) -> None:
        """Take each of them away, and bring it back, at random moments within a time."""
        async with anyio.create_task_group() as group:
            for part in self.parts:
                group.start_soon(self._trouble, part, random.Random(f"{seed} {part.name}"), time_s)

    async def _trouble(self, part: Part, rng: random.Random, time_s: float) -> None:
        began = anyio.current_time()
        times = max(1, round(part.times * time_s / 60 / MINUTES))
        for number in range(times):
            await anyio.sleep_until(began + time_s / times * (number + rng.uniform(0.1, 0.6)))
            away_s = rng.uniform(part.least_s, part.most_s)
            gone = anyio.current_time()
            await anyio.to_thread.run_sync(part.stop)
            await anyio.sleep(away_s)
            await anyio.to_thread.run_sync(part.start)
            self.outages.append(Outage(part, gone, anyio.current_time()))

    def excuse(self, answer: Answer) -> bool:
        """Whether a part was away on which this answer may depend."""
        return answer.code == EXPECTED and self.was_away(answer.at_s - answer.took_s, answer.at_s)

    def was_away(self, began_s: float, ended_s: float) -> bool:
        """Whether a part was away meanwhile that calls need."""
        return any(
            each.part.fails_calls and each.began_s <= ended_s and began_s <= each.ended_s + AFTERWARDS_S
            for each in self.outages
        )

    def rows(self) -> list[Row]:
        """How often and how long each was away."""
        rows = []
        for part in self.parts:
            away_s = [each.ended_s - each.began_s for each in self.outages if each.part is part]
            rows += [
                Row(f"{part.name}: times it went away", [len(away_s)], count),
                Row("  for", away_s or [0.0], seconds),
            ]
        return rows


@contextmanager
def parts(folder: Path) -> Iterator[Parts]:
    """Everything is started, and gone afterwards."""
    with ExitStack() as stack:
        server = stack.enter_context(postgres())
        url = server.fresh()
        bouncer = PgBouncer(url, POOL_SIZE)
        stack.callback(bouncer.close)
        bouncer.start()
        bucket = S3Server()
        stack.callback(bucket.close)
        balancer = Balancer(folder)
        stack.callback(balancer.close)
        yield Parts(url, bouncer.url, bucket.new_address(), bucket, balancer, _parts(server, bouncer, bucket))


def _parts(server: Postgres, bouncer: PgBouncer, bucket: S3Server) -> list[Part]:
    modes = cycle(("immediate", "fast"))
    return [
        Part("PostgreSQL", 2, 2, 6, lambda: server.stop(next(modes)), server.start),
        Part("PgBouncer", 8, 0, 3, bouncer.kill, bouncer.start),
        Part("the bucket", 5, 1, 8, bucket.kill, bucket.start),
    ]
