"""What an adapter is: it translates one offer into one service's words and that service's words back.

Capabilities are separate protocols: an adapter has only the methods its service can do, and the steps check them
with isinstance. What goes over the wire is in the other files of this folder.
"""

import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

from ltx_mcp.domain.catalog import ProviderSpec
from ltx_mcp.domain.errors import JobError
from ltx_mcp.domain.job import CancelOutcome
from ltx_mcp.domain.offer import Adjustment, Offer
from ltx_mcp.domain.unit_price import UnitPrice
from ltx_mcp.media.client import MediaClient
from ltx_mcp.media.messages import ReportProgress
from ltx_mcp.net.flow import WIDEST, Bounds
from ltx_mcp.net.provider_client import ProviderClient

MAX_ID_CHARS = 8_192
"""The longest id or address that is accepted from a provider."""
NO_ORDER = "00000000-0000-4000-8000-000000000000"
"""An id that no order has, of the form that orders have."""
CHECK_S = 5.0
"""How long a service may take to say whether it knows the key."""


@dataclass(frozen=True)
class AdapterContext:
    """What an adapter is made from. `urls` and `options` are by the names the facts give them, without a last slash."""

    facts: ProviderSpec
    client: ProviderClient
    key: str = field(repr=False)
    urls: Mapping[str, str]
    options: Mapping[str, str]
    now: Callable[[], datetime]
    media: MediaClient

    @property
    def account(self) -> str:
        """A name for whose key it is, which does not give the key away."""
        return hashlib.sha256(self.key.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class SubmittedOrder:
    """The service accepted the order. `remote` is all that is needed to find it again, as JSON."""

    remote: dict[str, Any]
    charged_usd: Decimal | None = None
    adjustments: tuple[Adjustment, ...] = ()


@dataclass(frozen=True)
class DeferredVideo:
    """Held work: only who holds this can have the video written to a path."""

    write: Callable[[Path, ReportProgress], Awaitable[tuple[Adjustment, ...]]]


@dataclass(frozen=True)
class Uploaded:
    """Where a media file lies at the service, and until when (None: not known)."""

    uri: str
    expires_at: datetime | None = None


@dataclass(frozen=True)
class PollResult:
    """The answer to one poll. `progress` is 0 to 100 where the service counts; a failure that is charged 0 is free.
    `units` are what the service counted for its bill, where it names no price."""

    status: Literal["waiting", "running", "done", "failed", "cancelled"]
    progress: float | None = None
    queue_position: int | None = None
    note: str = ""
    result_url: str = ""
    result_url_expires_at: datetime | None = None
    charged_usd: Decimal | None = None
    units: Decimal | None = None
    adjustments: tuple[Adjustment, ...] = ()
    problem: JobError | None = None


@dataclass(frozen=True)
class SignedNews:
    """What somebody who may be the service says about the order `order_id`. `text` is what the signature is of;
    `sent_at`: seconds since 1970; `is_about`: whether this `remote` is the order's."""

    text: bytes
    signature: bytes
    sent_at: int
    order_id: str
    is_about: Callable[[Mapping[str, Any]], bool]


ReadNews = Callable[[Mapping[str, str], bytes], SignedNews | None]
"""Reads headers, whose names are in small letters, and a body; None for what does not have the service's form. The file
of a provider that SupportsWebhook has it as `read_news`."""


@dataclass(frozen=True)
class KeyCheck:
    """What a service said when it was asked about an order that does not exist. `problem`: None where it did not refuse
    the key; `at`: the service's own time."""

    problem: JobError | None = None
    at: datetime | None = None


def read_id(value: Any) -> str:
    """An id or address as a service gave it; empty where it is none that can be kept and sent again."""
    text = str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
    return text if text.isprintable() and text.strip() and len(text) <= MAX_ID_CHARS else ""


WRAPPERS = ("data", "job", "result", "response")
"""Names of what an answer may be wrapped in."""


def find_id(answer: Any, *names: str) -> tuple[Mapping[str, Any], str]:
    """The part of an answer that names the order, and its id; both empty where there is none. An answer may be wrapped
    once, in a list of one or under one of WRAPPERS."""
    if isinstance(answer, list) and len(answer) == 1:
        answer = answer[0]
    if not isinstance(answer, dict):
        return {}, ""
    parts = [each for each in (answer, *(answer.get(name) for name in WRAPPERS)) if isinstance(each, dict)]
    found = ((part, read_id(part.get(name))) for part in parts for name in names)
    return next(((part, order_id) for part, order_id in found if order_id), ({}, ""))


def to_number(value: Decimal) -> int | float:
    """Seconds as JSON: a whole number where they are one."""
    return int(value) if value == value.to_integral_value() else float(value)


class Provider(Protocol):
    """Every adapter can be ordered from."""

    async def submit(self, offer: Offer, uris: Mapping[str, str]) -> SubmittedOrder | DeferredVideo:
        """Place the one order. `uris` by role, in the way the facts chose. Raises ProviderError; see `accepted`."""


@runtime_checkable
class SupportsUpload(Protocol):
    """A service with an upload call of its own; `account` says whose uploads may be reused."""

    account: str

    async def upload(self, path: Path, mime: str) -> Uploaded:
        """Send a file of this media type. Repeatable; costs nothing."""


@runtime_checkable
class SupportsPoll(Protocol):
    """A service that can be asked how an order stands."""

    async def poll(self, remote: Mapping[str, Any]) -> PollResult:
        """Poll once. A raised ProviderError is a failed poll, never a failed job."""


@runtime_checkable
class SupportsLookup(Protocol):
    """A service whose orders can be found again by a name alone, as its dashboard shows it."""

    def remote_of(self, offer: Offer, remote_id: str) -> dict[str, Any]:
        """The `remote` of an order with this id."""


@runtime_checkable
class SupportsStream(Protocol):
    """A service that reports by itself how an order stands."""

    def stream_status(self, remote: Mapping[str, Any]) -> AsyncIterator[PollResult]:
        """Each change as it comes, the end last. Raises ProviderError when the stream breaks."""


@runtime_checkable
class SupportsDownload(Protocol):
    """A service whose videos are fetched by a call of its own, not from a public address."""

    async def download(self, remote: Mapping[str, Any], path: Path, bounds: Bounds = WIDEST) -> str:
        """Write the video to `path`, or give the address it lies at. Raises ProviderError; expired when it is gone."""


@runtime_checkable
class SupportsPricing(Protocol):
    """A service that can be asked for its prices, where `tells_prices`: a setting may rule it out."""

    @property
    def tells_prices(self) -> bool:
        """Whether it may be asked with the settings there are."""

    async def prices(self) -> Mapping[str, UnitPrice]:
        """What it says about each endpoint. Raises ProviderError."""


@runtime_checkable
class SupportsKeyCheck(Protocol):
    """A service that answers a question about an order nobody placed: nothing is ordered, and nothing costs. `asked`
    names which of its addresses that is."""

    asked: str

    async def check(self) -> KeyCheck:
        """Ask it, with the key. Raises ProviderError where no answer came."""


@runtime_checkable
class SupportsWebhook(Protocol):
    """A service that tells by itself that an order has ended, if the order says where."""

    def with_webhook(self, url: str) -> Provider:
        """The same adapter, whose order says that this address is to be told."""


@runtime_checkable
class SupportsCancel(Protocol):
    """A service that can be asked to stop."""

    async def cancel(self, remote: Mapping[str, Any]) -> CancelOutcome:
        """Ask it to stop and say what it answered."""
