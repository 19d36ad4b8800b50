"""The control addresses, where tests and people see what was ordered and set clock, times, prices and faults; and who
may use them: no page of another site."""

from collections import Counter
from dataclasses import asdict
from typing import Annotated, Literal, TypeVar
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import Scope

from ltx_mcp.emulator.emulator_state import EmulatedPrice, EmulatorState, Fault
from ltx_mcp.emulator.fal.endpoints import ENDPOINTS
from ltx_mcp.emulator.wire import KINDS, ORDER_KINDS
from ltx_mcp.net.address import is_loopback_host

MAX_BODY_BYTES = 1_000_000
MAX_SHOWN_CHARS = 80
MAX_SHOWN_ERRORS = 5
MAX_PRICE = 10_000
YEAR_S = 366 * 86_400
MAX_ADVANCE_S = 100 * YEAR_S
"""How far the clock may be advanced altogether."""

Seconds = Annotated[float, Field(ge=0, le=YEAR_S)]
M = TypeVar("M", bound=BaseModel)


class _ControlModel(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class ClockChange(_ControlModel):
    """How far the clock is advanced."""

    advance_s: Annotated[float, Field(ge=0, le=10 * YEAR_S)]


class TimesChange(_ControlModel):
    """How long orders wait and are worked on."""

    wait_s: Seconds | None = None
    work_s: Seconds | None = None


class NewPrice(_ControlModel):
    """What fal's price call says about one endpoint from now on."""

    endpoint: str
    unit_price: Annotated[float, Field(ge=0, le=MAX_PRICE)]
    unit: Annotated[str, Field(max_length=MAX_SHOWN_CHARS)] = "second"
    currency: Annotated[str, Field(max_length=MAX_SHOWN_CHARS)] = "USD"


class FaultOptions(_ControlModel):
    """The options a fault may have; see docs/emulator.md."""

    status: Annotated[int, Field(ge=200, le=599)] | None = None
    type: str | None = None
    message: str | None = None
    retry_after: Annotated[float, Field(ge=0, le=YEAR_S)] | None = None
    body: str | None = None
    seconds: Annotated[float, Field(ge=0, le=3600)] | None = None
    duration: Annotated[float, Field(ge=1, le=60)] | None = None


class NewFault(_ControlModel):
    """A fault to come."""

    provider: str
    step: Literal[
        "submit", "upload", "put", "poll", "stream", "result", "cancel", "download", "media", "prices", "order"
    ]
    kind: str
    times: Annotated[int, Field(ge=1, le=1_000_000)] = 1
    options: FaultOptions = Field(default_factory=FaultOptions)


class ControlApi:
    """The handlers."""

    def __init__(self, state: EmulatorState) -> None:
        self._state = state

    def routes(self) -> list[Route]:
        """Every control address."""
        change, table = ["POST"], ["GET", "POST", "DELETE"]
        return [
            Route("/control/orders", self.orders),
            Route("/control/calls", self.calls),
            Route("/control/clock", self.clock, methods=change),
            Route("/control/times", self.times, methods=change),
            Route("/control/prices", self.prices, methods=table),
            Route("/control/faults", self.faults, methods=table),
            Route("/control/reset", self.reset, methods=change),
        ]

    async def orders(self, request: Request) -> Response:
        """Every order, as it was sent."""
        listed = [
            {
                "id": order.id,
                "provider": order.provider,
                "endpoint": order.endpoint,
                "account": order.account,
                "fields": order.fields,
                "files": order.files,
                "state": self._state.status(order),
                "placed_at": order.placed_at.isoformat(),
            }
            for order in self._state.orders
        ]
        return JSONResponse({"orders": listed, "counts": Counter(order.provider for order in self._state.orders)})

    async def calls(self, request: Request) -> Response:
        """Every request that came in."""
        return JSONResponse([asdict(call) | {"at": call.at.isoformat()} for call in self._state.calls])

    async def clock(self, request: Request) -> Response:
        """Advance the clock."""
        change = await _read(request, ClockChange)
        if self._state.advanced_s + change.advance_s > MAX_ADVANCE_S:
            raise _unreadable(f"advance_s: the clock can be turned by {MAX_ADVANCE_S:,} seconds altogether")
        self._state.advance(change.advance_s)
        return JSONResponse({"now": self._state.now().isoformat()})

    async def times(self, request: Request) -> Response:
        """Set how long orders take."""
        change, state = await _read(request, TimesChange), self._state
        state.wait_s = state.wait_s if change.wait_s is None else change.wait_s
        state.work_s = state.work_s if change.work_s is None else change.work_s
        return JSONResponse({"wait_s": state.wait_s, "work_s": state.work_s})

    async def faults(self, request: Request) -> Response:
        """The faults that are due, one more of them, or none."""
        if request.method == "DELETE":
            self._state.faults.clear()
        if request.method == "POST":
            self._state.faults.append(await self._read_fault(request))
        return JSONResponse([asdict(fault) for fault in self._state.faults])

    async def prices(self, request: Request) -> Response:
        """The prices that differ from the usual ones, one more of them, or none."""
        if request.method == "DELETE":
            self._state.prices.clear()
        if request.method == "POST":
            new = await _read(request, NewPrice)
            if new.endpoint not in ENDPOINTS:
                raise _unreadable(f"endpoint: allowed are {', '.join(ENDPOINTS)}")
            self._state.prices[new.endpoint] = EmulatedPrice(new.unit_price, new.unit, new.currency)
        return JSONResponse({endpoint: asdict(price) for endpoint, price in self._state.prices.items()})

    async def reset(self, request: Request) -> Response:
        """Forget everything but the clock."""
        self._state.reset()
        return JSONResponse({})

    async def _read_fault(self, request: Request) -> Fault:
        new = await _read(request, NewFault)
        kinds, providers = (ORDER_KINDS if new.step == "order" else KINDS), {*self._state.keys, "media", "*"}
        if new.provider not in providers:
            raise _unreadable(f"provider: allowed are {', '.join(sorted(providers))}")
        if new.kind not in kinds:
            raise _unreadable(f"kind: allowed at {new.step} are {', '.join(sorted(kinds))}")
        if new.kind == "body" and new.options.body is None:
            raise _unreadable("options.body: needed for a fault of kind body, a text")
        return Fault(new.provider, new.step, new.kind, new.times, new.options.model_dump(exclude_none=True))


async def _read(request: Request, model: type[M]) -> M:
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > MAX_BODY_BYTES:
            raise _unreadable(f"the body: at most {MAX_BODY_BYTES:,} bytes are allowed", 413)
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        raise _unreadable(_describe(error, model)) from error


def _unreadable(reason: str, status: int = 400) -> HTTPException:
    """A 4xx that names the field and what is allowed."""
    return HTTPException(status, f"cannot be read: {reason}")


def _describe(error: ValidationError, model: type[BaseModel]) -> str:
    """The first fields that are wrong, each with what is allowed; nothing of what was given but short names."""
    lines = []
    for each in error.errors(include_url=False, include_input=False)[:MAX_SHOWN_ERRORS]:
        name = ".".join(str(part)[:MAX_SHOWN_CHARS] for part in each["loc"]) or "the body"
        fields = (FaultOptions if name.startswith("options.") else model).model_fields
        allowed = f"; allowed are {', '.join(fields)}" if each["type"] == "extra_forbidden" else ""
        lines.append(f"{name}: {each['msg'][: 2 * MAX_SHOWN_CHARS]}{allowed}")
    return "; ".join(lines)


# -- who may use them -------------------------------------------------------------------------------------------------


def refuse_strangers(scope: Scope, *, is_media: bool) -> Response | None:
    """A page of another site is refused by what its browser says about it, and by the name it found this machine under.
    `is_media`: a video or an uploaded file, which a page may show and cannot read."""
    headers = Headers(scope=scope)
    host = headers.get("host", "")
    if not _is_this_machine(host):
        return PlainTextResponse("Host: only names of this machine are served, such as localhost", 421)
    if is_media and scope["method"] in ("GET", "HEAD"):
        return None
    origin = headers.get("origin")
    if origin is not None and origin != f"{scope['scheme']}://{host}":
        return PlainTextResponse("Origin: pages of other sites are not served", 403)
    if headers.get("sec-fetch-site") in ("cross-site", "same-site"):
        return PlainTextResponse("Sec-Fetch-Site: pages of other sites are not served", 403)
    return None


def _is_this_machine(host: str) -> bool:
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    return name.endswith(".localhost") or is_loopback_host(name)
