"""Replicas of a service that come and go behind HAProxy while they are called: what a chaos run of a service kills."""

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import httpx
from anyio.abc import TaskGroup

from bench.fleet import Answer, Died, Tally, read_answer
from bench.rolling import PROBE, PROBED, ready
from tests.server.auth.people import message_of, to_message
from tests.server.auth.service import ACCEPT, OLDER
from tests.service.replicas import Balancer, Replica

GENTLY = 0.4
"""How many of those that end are asked to, by SIGTERM; the others are killed."""
ENDS_WITHIN_S, LOOK_S = 60.0, 0.1
LEFT = 2
NOBODY, BROKE_OFF = 503, (502, 504)
"""What the balancer says when it has no replica to ask, and when one did not answer."""
NOBODY_SERVES = "nobody serves"
PAUSE_S = (0.5, 1.5)
"""How long a caller waits whom the balancer told that nobody serves."""
JUST_BEFORE_S = 1.0
"""So long before a call a replica may have been killed that it was still given to."""


@dataclass
class Replicas:
    """Each has a home of its own, at a port that stays. `kills` are the moments of kill -9; `ends_s` when some were
    asked to end, and when they did; `stuck` how many of those had to be killed; `broken` are calls, with their time and
    why."""

    env: Mapping[str, str]
    folder: Path
    balancer: Balancer
    group: TaskGroup
    rng: random.Random
    tally: Tally = field(default_factory=Tally)
    started: int = 0
    stuck: int = 0
    kills: list[datetime] = field(default_factory=list)
    ends_s: list[tuple[float, float]] = field(default_factory=list)
    broken: list[tuple[float, float, str]] = field(default_factory=list)
    _kills_s: list[float] = field(default_factory=list)
    _ports: list[int] = field(default_factory=list)
    _standing: dict[int, Replica] = field(default_factory=dict)
    _changing: int = 0
    _web: httpx.AsyncClient = field(
        default_factory=lambda: httpx.AsyncClient(timeout=None, limits=httpx.Limits(), trust_env=False)
    )

    async def start(self, replicas: int) -> None:
        """Put so many in place of those there are, and wait until all take calls."""
        await self.end()
        async with anyio.create_task_group() as group:
            for place in range(replicas):
                group.start_soon(self._start, place)
        for replica in self._standing.values():
            await ready(replica.port)
        if not self._ports:
            self._ports = [self._standing[place].port for place in range(replicas)]
            await anyio.to_thread.run_sync(self.balancer.start, self._ports, PROBED, PROBE)

    async def strike(self) -> None:
        """End a random one, and put a fresh one in its place when it is gone; meanwhile others may be struck, but not
        all."""
        if len(self._standing) > LEFT:
            place = self.rng.choice(sorted(self._standing))
            self.group.start_soon(self._replace, place, self._standing.pop(place), self.rng.random() < GENTLY)
            await anyio.sleep(0)

    async def end(self) -> None:
        """Kill all there are."""
        with anyio.CancelScope(shield=True):
            while self._changing:
                await anyio.sleep(LOOK_S)
            for replica in self._standing.values():
                self._kill(replica)
        self._standing = {}

    async def call(self, tool: str, arguments: Mapping[str, Any]) -> Answer:
        """One call, at whichever replica gets it. Raises Died."""
        began = time.monotonic()
        try:
            return await self.tally.count(tool, self._call(tool, arguments))
        except Died as died:
            self.broken.append((began, time.monotonic(), str(died)))
            raise

    def unexplained(self, excuse: Callable[[float, float], bool]) -> list[str]:
        """Why calls broke during which no replica was killed, and for whose time there is no other excuse."""
        return [
            why
            for began, ended, why in self.broken
            if not any(began - JUST_BEFORE_S <= kill <= ended for kill in self._kills_s) and not excuse(began, ended)
        ]

    async def _call(self, tool: str, arguments: Mapping[str, Any]) -> Answer:
        """By a client of either protocol, whose connection may be any other's."""
        began = time.monotonic()
        method, params, headers = to_message("tools/call", {"name": tool, "arguments": dict(arguments)}, extensions={})
        if self.rng.random() < 0.5:
            headers = {"MCP-Protocol-Version": OLDER}
            del params["_meta"]
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        try:
            answer = await self._web.post(f"{self.balancer.address}/mcp", json=body, headers=ACCEPT | headers)
        except httpx.TransportError as error:
            raise Died(type(error).__name__) from error
        if answer.status_code == NOBODY:
            await anyio.sleep(self.rng.uniform(*PAUSE_S))
            raise Died(NOBODY_SERVES)
        if answer.status_code in BROKE_OFF:
            raise Died(f"HTTP {answer.status_code}")
        took_s = time.monotonic() - began
        try:
            return read_answer(message_of(answer), took_s)
        except (ValueError, KeyError):
            return Answer("json_rpc", f"HTTP {answer.status_code}: {answer.text[:200]}", {}, took_s)

    async def _replace(self, place: int, replica: Replica, is_asked: bool) -> None:
        self._changing += 1
        try:
            if is_asked:
                await self._ask_to_end(replica)
            self._kill(replica, is_news=not is_asked)
            await self._start(place)
        finally:
            self._changing -= 1

    async def _ask_to_end(self, replica: Replica) -> None:
        began = time.monotonic()
        replica.end()
        with anyio.move_on_after(ENDS_WITHIN_S) as patience:
            while replica.process.poll() is None:
                await anyio.sleep(LOOK_S)
        self.ends_s.append((began, time.monotonic()))
        self.stuck += patience.cancelled_caught

    def _kill(self, replica: Replica, *, is_news: bool = True) -> None:
        if is_news:
            self.kills.append(datetime.now(UTC))
            self._kills_s.append(time.monotonic())
        replica.close()

    async def _start(self, place: int) -> None:
        self.started += 1
        port = self._ports[place] if self._ports else 0
        env = dict(self.env) | {"LTX_MCP_HOME": str(self.folder / f"home{place}")}
        log = self.folder / f"replica{place}.log"
        self._standing[place] = await anyio.to_thread.run_sync(Replica, env, log, port)

    @property
    def logs(self) -> list[Path]:
        """What they said."""
        return sorted(self.folder.glob("replica*.log"))
