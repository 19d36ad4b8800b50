"""What an adapter is: it translates one offer into one service's words and that service's words back.

Capabilities are separate protocols: an adapter has only the methods its service can do, and the steps ask
with isinstance. The wire itself is in the other files of this folder.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

from ltx_mcp.domain.errors import Problem
from ltx_mcp.domain.job import Cancel
from ltx_mcp.domain.plan import Adjustment, Offer

Tell = Callable[[float], None]
"""Called with the part done, 0 to 1, as often as the work likes."""


@dataclass(frozen=True)
class Accepted:
    """The service took the order. `remote` is all that is needed to find it again, as JSON."""

    remote: dict[str, Any]
    charged_usd: Decimal | None = None
    adjustments: tuple[Adjustment, ...] = ()


@dataclass(frozen=True)
class Delivered:
    """Held work: whoever holds this can have the film written to a path; nobody else can."""

    write: Callable[[Path, Tell], Awaitable[tuple[Adjustment, ...]]]


@dataclass(frozen=True)
class Uploaded:
    """Where a medium lies at the service, and until when (None: not known)."""

    uri: str
    expires_at: datetime | None = None


@dataclass(frozen=True)
class Seen:
    """One look at an order. `progress` is 0 to 100 where the service counts."""

    status: Literal["waiting", "running", "done", "failed", "cancelled"]
    progress: float | None = None
    queue_position: int | None = None
    note: str = ""
    result_url: str = ""
    result_url_expires_at: datetime | None = None
    charged_usd: Decimal | None = None
    adjustments: tuple[Adjustment, ...] = ()
    problem: Problem | None = None


class Provider(Protocol):
    """Every adapter can be ordered from."""

    async def submit(self, offer: Offer, uris: Mapping[str, str]) -> Accepted | Delivered:
        """Place the one order. `uris` by role, in the way the facts chose. Raises ProviderError; see `accepted`."""
        ...


@runtime_checkable
class Uploads(Protocol):
    """A service with an upload call of its own; `account` tells whose uploads may be reused."""

    account: str

    async def upload(self, path: Path, format: str) -> Uploaded:
        """Send a medium. Repeatable; costs nothing."""
        ...


@runtime_checkable
class Polls(Protocol):
    """A service that can be asked how an order stands."""

    async def poll(self, remote: Mapping[str, Any]) -> Seen:
        """Look once. A raised ProviderError is a failed look, never a failed job."""
        ...


@runtime_checkable
class Cancels(Protocol):
    """A service that can be asked to stop."""

    async def cancel(self, remote: Mapping[str, Any]) -> Cancel:
        """Ask it to stop and say what it answered."""
        ...
