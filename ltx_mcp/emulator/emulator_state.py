"""What the emulated providers share: a clock that can be advanced, the orders they took, the faults that are due.

No HTTP here. Nothing is ordered from anybody and nothing costs anything.
"""

import itertools
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from ltx_mcp.media.messages import EditOrder

Status = Literal["waiting", "running", "done", "failed", "cancelled"]


@dataclass(frozen=True)
class VideoSpec:
    """The video an order leads to; `duration` in seconds. `edit` says from which video it is made, and how, an empty
    path standing for one that lies elsewhere; `reframed` is the path of one that is only shown in another shape;
    `audio_path` and `image_path` are what it is drawn from."""

    width: int
    height: int
    fps: float
    duration: float
    audio: bool = True
    edit: EditOrder | None = None
    reframed: str | None = None
    audio_path: str = ""
    image_path: str = ""


@dataclass
class Fault:
    """Something that goes wrong on purpose, `times` times, at one step of one provider (`*`: of every one).

    Steps and kinds: docs/emulator.md. An order keeps its fault until it ends.
    """

    provider: str
    step: str
    kind: str
    times: int = 1
    options: dict[str, Any] = field(default_factory=dict)

    def refusal(self, replies: Mapping[str, tuple[int, str]], failure: str) -> tuple[int, str]:
        """Status and message of the refusal this fault asks for: those in `replies` for its kind, else the status in
        its options with the message `failure`; a message in its options overrules both."""
        status, message = replies.get(self.kind, (self.options.get("status", 500), failure))
        return status, self.options.get("message") or message


@dataclass
class EmulatedOrder:
    """One accepted order, as it was sent. `fields` are the body's fields, `files` the names and sizes of its files.

    `account` is empty for the dummy key.
    Among the `facts` is `billed_s`, the seconds that it costs, and `units` where its provider counts something else.
    """

    id: str
    provider: str
    endpoint: str
    fields: dict[str, Any]
    files: dict[str, dict[str, Any]]
    video: VideoSpec
    placed_at: datetime
    media_id: str
    account: str = ""
    fault: Fault | None = None
    cancelled_at: datetime | None = None
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def fault_kind(self) -> str:
        """The kind of its fault; empty where it has none."""
        return self.fault.kind if self.fault else ""


@dataclass(frozen=True)
class EmulatedPrice:
    """What a price call says about one endpoint, where a test or a person set it."""

    unit_price: float
    unit: str = "second"
    currency: str = "USD"


@dataclass(frozen=True)
class Call:
    """One request that came in; `authorized` says whether any credential came with it, `account` whose key it was."""

    provider: str
    step: str
    method: str
    path: str
    status: int
    authorized: bool
    at: datetime
    account: str = ""


class EmulatorState:
    """The state behind all emulated providers. An order waits `wait_s`, then runs `work_s`, by the emulator's clock.
    `prices` are by endpoint; `limits` are the most orders that a provider has in flight before it says 429. `accounts`
    are further keys that every provider accepts, by whose they are. `webhook_key` are the bytes of the private key that
    signs webhooks."""

    def __init__(self, *, wait_s: float = 0.5, work_s: float = 1.5, keys: Mapping[str, str] | None = None) -> None:
        self.wait_s, self.work_s = wait_s, work_s
        self.keys = dict(keys or {})
        self.accounts: dict[str, str] = {}
        self.webhook_key = secrets.token_bytes(32)
        self.orders: list[EmulatedOrder] = []
        self.calls: list[Call] = []
        self.faults: list[Fault] = []
        self.uploads: dict[str, dict[str, Any]] = {}
        self.prices: dict[str, EmulatedPrice] = {}
        self.limits: dict[str, int] = {}
        self._offset = timedelta()
        self._numbers = itertools.count(1)

    def now(self) -> datetime:
        """The emulator's time."""
        return datetime.now(UTC) + self._offset

    @property
    def advanced_s(self) -> float:
        """How far the clock was advanced, in seconds."""
        return self._offset.total_seconds()

    def advance(self, seconds: float) -> None:
        """Advance the clock."""
        self._offset += timedelta(seconds=seconds)

    def account_of(self, provider: str, key: object, usual: str) -> str | None:
        """Whose key this is: empty for the provider's dummy key, else one of `accounts`; None for nobody's."""
        if key == self.keys.get(provider, usual):
            return ""
        return next((account for account, theirs in self.accounts.items() if theirs == key), None)

    def number(self) -> int:
        """A number that nothing else here has."""
        return next(self._numbers)

    def place(
        self,
        provider: str,
        endpoint: str,
        fields: Mapping[str, Any],
        video: VideoSpec,
        *,
        order_id: str,
        account: str = "",
        files: Mapping[str, dict[str, Any]] | None = None,
        billed_s: float | None = None,
        **facts: Any,
    ) -> EmulatedOrder:
        """Accept an order; the provider has checked it. `billed_s`: the seconds that it costs; None: those of its
        video."""
        fault = self.take_fault(provider, "order")
        if fault and fault.kind == "smaller_film":
            width, height = video.width // 4 * 2, video.height // 4 * 2
            video = replace(video, width=width, height=height, duration=max(1.0, video.duration / 2))
        order = EmulatedOrder(
            order_id,
            provider,
            endpoint,
            dict(fields),
            dict(files or {}),
            video,
            self.now(),
            f"{self.number():06d}",
            account,
        )
        order.fault = fault
        order.facts = facts | {"billed_s": video.duration if billed_s is None else billed_s}
        self.orders.append(order)
        return order

    def find(self, provider: str, order_id: str, account: str = "") -> EmulatedOrder | None:
        """An order of this account at this provider; to others it is not there."""
        named = (provider, order_id, account)
        return next((each for each in self.orders if (each.provider, each.id, each.account) == named), None)

    def by_media(self, media_id: str) -> EmulatedOrder | None:
        """The order a video belongs to."""
        return next((each for each in self.orders if each.media_id == media_id), None)

    def age_s(self, order: EmulatedOrder) -> float:
        """Seconds since it was accepted."""
        return (self.now() - order.placed_at).total_seconds()

    def status(self, order: EmulatedOrder) -> Status:
        """Where an order stands by the clock and its fault."""
        if order.cancelled_at is not None:
            return "cancelled"
        age_s = self.age_s(order)
        if age_s < self.wait_s:
            return "waiting"
        if age_s < self.wait_s + self.work_s or order.fault_kind == "never_finishes":
            return "running"
        return "failed" if order.fault_kind in ("fails", "content") else "done"

    def is_in_flight(self, order: EmulatedOrder) -> bool:
        """Whether it has not ended yet."""
        return self.status(order) in ("waiting", "running")

    def finished_at(self, order: EmulatedOrder) -> datetime:
        """When it ended, or will."""
        return order.cancelled_at or order.placed_at + timedelta(seconds=self.wait_s + self.work_s)

    def ended_before(self, order: EmulatedOrder, seconds: float) -> bool:
        """Whether its end is longer ago than this."""
        return self.now() > self.finished_at(order) + timedelta(seconds=seconds)

    def position(self, order: EmulatedOrder) -> int:
        """How many orders of the same provider wait before this one."""
        before = [each for each in self.orders if each.provider == order.provider and each.placed_at < order.placed_at]
        return sum(self.status(each) == "waiting" for each in before)

    def is_full(self, provider: str) -> bool:
        """Whether it has as many orders in flight as its limit allows."""
        in_flight = sum(self.is_in_flight(each) for each in self.orders if each.provider == provider)
        return in_flight >= self.limits.get(provider, 10**9)

    def take_fault(self, provider: str, step: str) -> Fault | None:
        """The fault that is due at this step, used up once."""
        for fault in self.faults:
            if fault.provider in (provider, "*") and fault.step == step and fault.times > 0:
                fault.times -= 1
                return fault
        return None

    def reset(self) -> None:
        """Forget orders, calls, uploads, faults, prices and limits; the clock stays advanced."""
        for recorded in (self.orders, self.calls, self.faults):
            recorded.clear()
        for table in (self.uploads, self.prices, self.limits):
            table.clear()
