"""What tests and people tell the emulator, each input within bounds; and who may: no page of another site."""

import ipaddress
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import Scope

from ltx_mcp.emulator.emulator_state import EmulatorState, Fault, Told
from ltx_mcp.emulator.fal.inputs import ENDPOINTS
from ltx_mcp.emulator.wire import KINDS, ORDER_KINDS

MAX_BODY_BYTES = 1_000_000
MAX_SHOWN_CHARS = 80
MAX_SHOWN_ERRORS = 5
MAX_PRICE = 10_000
YEAR_S = 366 * 86_400
MAX_TURN_S = 100 * YEAR_S
"""How far the clock may be turned altogether."""

Seconds = Annotated[float, Field(ge=0, le=YEAR_S)]
M = TypeVar("M", bound=BaseModel)
Handler = Callable[[Request], Awaitable[Response]]


class _Told(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class ClockChange(_Told):
    """How far the clock is turned."""

    advance_s: Annotated[float, Field(ge=0, le=10 * YEAR_S)]


class TimesChange(_Told):
    """How long orders wait and are worked on."""

    wait_s: Seconds | None = None
    work_s: Seconds | None = None


class NewPrice(_Told):
    """What fal's price call says of one endpoint from now on."""

    endpoint: str
    unit_price: Annotated[float, Field(ge=0, le=MAX_PRICE)]
    unit: Annotated[str, Field(max_length=MAX_SHOWN_CHARS)] = "second"
    currency: Annotated[str, Field(max_length=MAX_SHOWN_CHARS)] = "USD"


class FaultOptions(_Told):
    """What a fault may be told besides; see docs/emulator.md."""

    status: Annotated[int, Field(ge=200, le=599)] | None = None
    type: str | None = None
    message: str | None = None
    retry_after: Annotated[float, Field(ge=0, le=YEAR_S)] | None = None
    body: str | None = None
    seconds: Annotated[float, Field(ge=0, le=3600)] | None = None
    duration: Annotated[float, Field(ge=1, le=60)] | None = None


class NewFault(_Told):
    """A fault to come."""

    provider: str
    step: Literal[
        "submit", "upload", "put", "poll", "stream", "result", "cancel", "download", "media", "prices", "order"
    ]
    kind: str
    times: Annotated[int, Field(ge=1, le=1_000_000)] = 1
    options: dict[str, Any] = Field(default_factory=dict)


class _BadControlError(Exception):
    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


def explained(handler: Handler) -> Handler:
    """What cannot be read is a 4xx that names the field and what is allowed."""

    async def answered(request: Request) -> Response:
        try:
            return await handler(request)
        except _BadControlError as error:
            return PlainTextResponse(f"cannot be read: {error}", error.status)

    return answered


async def turn_clock(request: Request, world: EmulatorState) -> Response:
    """POST /control/clock."""
    told = await _read(request, ClockChange)
    if world.turned_s + told.advance_s > MAX_TURN_S:
        raise _BadControlError(f"advance_s: the clock can be turned by {MAX_TURN_S:,} seconds altogether")
    world.advance(told.advance_s)
    return JSONResponse({"now": world.now().isoformat()})


async def set_times(request: Request, world: EmulatorState) -> Response:
    """POST /control/times."""
    told = await _read(request, TimesChange)
    world.wait_s = world.wait_s if told.wait_s is None else told.wait_s
    world.work_s = world.work_s if told.work_s is None else told.work_s
    return JSONResponse({"wait_s": world.wait_s, "work_s": world.work_s})


async def read_fault(request: Request, world: EmulatorState) -> Fault:
    """POST /control/faults."""
    told = await _read(request, NewFault)
    kinds, providers = (ORDER_KINDS if told.step == "order" else KINDS), {*world.keys, "media", "*"}
    if told.provider not in providers:
        raise _BadControlError(f"provider: allowed are {', '.join(sorted(providers))}")
    if told.kind not in kinds:
        raise _BadControlError(f"kind: allowed at {told.step} are {', '.join(sorted(kinds))}")
    try:
        FaultOptions.model_validate(told.options)
    except ValidationError as error:
        raise _BadControlError(_said(error, FaultOptions, "options.")) from error
    if told.kind == "body" and "body" not in told.options:
        raise _BadControlError("options.body: needed for a fault of kind body, a text")
    given = {name: value for name, value in told.options.items() if value is not None}
    return Fault(told.provider, told.step, told.kind, told.times, given)


async def set_price(request: Request, world: EmulatorState) -> Response:
    """GET, POST and DELETE /control/prices: what differs from the usual."""
    if request.method == "DELETE":
        world.prices.clear()
    if request.method == "POST":
        told = await _read(request, NewPrice)
        if told.endpoint not in ENDPOINTS:
            raise _BadControlError(f"endpoint: allowed are {', '.join(ENDPOINTS)}")
        world.prices[told.endpoint] = Told(told.unit_price, told.unit, told.currency)
    return JSONResponse({endpoint: asdict(told) for endpoint, told in world.prices.items()})


async def _read(request: Request, model: type[M]) -> M:
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > MAX_BODY_BYTES:
            raise _BadControlError(f"the body: at most {MAX_BODY_BYTES:,} bytes are allowed", 413)
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        raise _BadControlError(_said(error, model)) from error


def _said(error: ValidationError, model: type[BaseModel], before: str = "") -> str:
    """The first fields that are wrong, each with what is allowed; nothing of what was given but short names."""
    lines = []
    for each in error.errors(include_url=False, include_input=False)[:MAX_SHOWN_ERRORS]:
        name = ".".join(str(part)[:MAX_SHOWN_CHARS] for part in each["loc"]) or "the body"
        allowed = f"; allowed are {', '.join(model.model_fields)}" if each["type"] == "extra_forbidden" else ""
        lines.append(f"{before}{name}: {each['msg'][: 2 * MAX_SHOWN_CHARS]}{allowed}")
    return "; ".join(lines)


# -- who may ----------------------------------------------------------------------------------------------------------


def refuse_strangers(scope: Scope, *, is_shown: bool) -> Response | None:
    """A page of another site is refused by what its browser says of it, and by the name it found this machine under.
    `is_shown`: a film or a file, which a page may show and not read."""
    headers = Headers(scope=scope)
    host = headers.get("host", "")
    if not _is_this_machine(host):
        return PlainTextResponse("Host: only names of this machine are served, such as localhost", 421)
    if is_shown and scope["method"] in ("GET", "HEAD"):
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
        return name == "localhost" or name.endswith(".localhost") or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
