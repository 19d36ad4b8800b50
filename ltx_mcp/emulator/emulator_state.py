"""What the emulated providers share: a clock that can be turned, the orders they took, the faults they were told of.

No HTTP here. Nothing is ordered from anybody and nothing costs anything.
"""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from ltx_mcp.media.messages import EditOrder

State = Literal["waiting", "running", "done", "failed", "cancelled"]


@dataclass(frozen=True)
class FilmSpec:
    """The film an order leads to; `duration` in seconds. `edit` says of which film it is made, and how, an empty path
    standing for one that lies elsewhere; `sound` and `picture` are paths of what it is drawn from."""

    width: int
    height: int
    fps: float
    duration: float
    audio: bool = True
    edit: EditOrder | None = None
    sound: str = ""
    picture: str = ""


@dataclass
class Fault:
    """Something that goes wrong on purpose, `times` times, at one step of one provider (`*`: of every one).

    `step` is submit, upload, put, poll, stream, result, cancel, download or order; an order carries its fault with
    it until it ends. Kinds: see docs/emulator.md.
    """

    provider: str
    step: str
    kind: str
    times: int = 1
    options: dict[str, Any] = field(default_factory=dict)


@dataclass
class EmulatedOrder:
    """One accepted order, as it was sent. `fields` are the body's fields, `files` the names and sizes of its files.

    Among the `facts` is `billed_s`, the seconds that it costs.
    """

    id: str
    provider: str
    endpoint: str
    fields: dict[str, Any]
    files: dict[str, dict[str, Any]]
    film: FilmSpec
    placed_at: datetime
    media_id: str
    fault: Fault | None = None
    cancelled_at: datetime | None = None
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Told:
    """What a price call says of one endpoint, where it was told to say something else than usual."""

    unit_price: float
    unit: str = "second"
    currency: str = "USD"


@dataclass(frozen=True)
class Call:
    """One request that came in; `authorized` says whether any credential came with it."""

    provider: str
    step: str
    method: str
    path: str
    status: int
    authorized: bool
    at: datetime


class EmulatorState:
    """The state behind all emulated providers. An order waits `wait_s`, then runs `work_s`, by the world's clock.
    `prices` are told by endpoint; `limits` are the most orders that a provider has under way before it says 429."""

    def __init__(self, *, wait_s: float = 0.5, work_s: float = 1.5, keys: Mapping[str, str] | None = None) -> None:
        self.wait_s, self.work_s = wait_s, work_s
        self.keys = dict(keys or {})
        self.orders: list[EmulatedOrder] = []
        self.calls: list[Call] = []
        self.faults: list[Fault] = []
        self.uploads: dict[str, dict[str, Any]] = {}
        self.prices: dict[str, Told] = {}
        self.limits: dict[str, int] = {}
        self._offset = timedelta()
        self._numbers = itertools.count(1)

    def now(self) -> datetime:
        """The world's time."""
        return datetime.now(UTC) + self._offset

    @property
    def turned_s(self) -> float:
        """How far the clock was turned, in seconds."""
        return self._offset.total_seconds()

    def advance(self, seconds: float) -> None:
        """Turn the clock forward."""
        self._offset += timedelta(seconds=seconds)

    def number(self) -> int:
        """A number no other thing of this world has."""
        return next(self._numbers)

    def place(
        self,
        provider: str,
        endpoint: str,
        fields: Mapping[str, Any],
        film: FilmSpec,
        *,
        order_id: str,
        files: Mapping[str, dict[str, Any]] | None = None,
        billed_s: float | None = None,
        **facts: Any,
    ) -> EmulatedOrder:
        """Take an order. What makes it refused is decided before, by the provider that is asked.

        `billed_s`: the seconds that it costs; None: those of its film.
        """
        fault = self.take(provider, "order")
        if fault and fault.kind == "smaller_film":
            width, height = film.width // 4 * 2, film.height // 4 * 2
            film = replace(film, width=width, height=height, duration=max(1.0, film.duration / 2))
        order = EmulatedOrder(
            order_id, provider, endpoint, dict(fields), dict(files or {}), film, self.now(), f"{self.number():06d}"
        )
        order.fault = fault
        order.facts = facts | {"billed_s": film.duration if billed_s is None else billed_s}
        self.orders.append(order)
        return order

    def find(self, provider: str, order_id: str) -> EmulatedOrder | None:
        """An order of this provider."""
        return next((each for each in self.orders if (each.provider, each.id) == (provider, order_id)), None)

    def by_media(self, media_id: str) -> EmulatedOrder | None:
        """The order a film belongs to."""
        return next((each for each in self.orders if each.media_id == media_id), None)

    def age_s(self, order: EmulatedOrder) -> float:
        """Seconds since it was taken."""
        return (self.now() - order.placed_at).total_seconds()

    def state(self, order: EmulatedOrder) -> State:
        """Where an order stands by the clock and its fault."""
        if order.cancelled_at is not None:
            return "cancelled"
        kind = order.fault.kind if order.fault else ""
        age_s = self.age_s(order)
        if age_s < self.wait_s:
            return "waiting"
        if age_s < self.wait_s + self.work_s or kind == "never_finishes":
            return "running"
        return "failed" if kind in ("fails", "content") else "done"

    def finished_at(self, order: EmulatedOrder) -> datetime:
        """When it ended, or will."""
        return order.cancelled_at or order.placed_at + timedelta(seconds=self.wait_s + self.work_s)

    def position(self, order: EmulatedOrder) -> int:
        """How many orders of the same provider wait before this one."""
        before = [each for each in self.orders if each.provider == order.provider and each.placed_at < order.placed_at]
        return sum(self.state(each) == "waiting" for each in before)

    def is_full(self, provider: str) -> bool:
        """Whether it has as many orders under way as its limit lets it."""
        under_way = (each for each in self.orders if each.provider == provider)
        return sum(self.state(each) in ("waiting", "running") for each in under_way) >= self.limits.get(provider, 10**9)

    def take(self, provider: str, step: str) -> Fault | None:
        """The fault that is due at this step, used up once."""
        for fault in self.faults:
            if fault.provider in (provider, "*") and fault.step == step and fault.times > 0:
                fault.times -= 1
                return fault
        return None

    def reset(self) -> None:
        """Forget orders, calls, uploads, faults, prices and limits; the clock keeps its turn."""
        for kept in (self.orders, self.calls, self.faults):
            kept.clear()
        for told in (self.uploads, self.prices, self.limits):
            told.clear()
