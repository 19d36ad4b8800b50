"""An emulated fal.ai: the queue of queue.fal.run, uploads and the price list, for the LTX-2.3 endpoints.

On one port the direct call of fal.run, POST to the same path, cannot be told from the queue's, so only the queue is
here. Real fal takes an order unread, and what its model refuses is told by the result; here it is refused at once,
and the order fault `refused` does it as fal does.
"""

import json
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass
from datetime import timedelta
from time import monotonic
from typing import Any
from uuid import uuid4

import anyio
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from ltx_mcp.emulator.checks import read_json
from ltx_mcp.emulator.emulator_state import EmulatedOrder, Fault, Told
from ltx_mcp.emulator.fal.errors import KEY, NAME, FalRefusal, check_key, infra_error, refuse
from ltx_mcp.emulator.fal.files import Files, guarded
from ltx_mcp.emulator.fal.inputs import ENDPOINTS, read_order
from ltx_mcp.emulator.fal.media import Find
from ltx_mcp.emulator.wire import Emulator, Handler

__all__ = ["KEY", "NAME", "routes", "settings"]

KEPT_S = 3600
LOOK_S, LOOKS_PER_POSITION = 0.02, 10
ALIVE_S = 15
LOG_LINES = 8
SHORTEST_TIMEOUT_S = 0.1
MAX_PRICES = 50


def settings(base_url: str) -> dict[str, str]:
    """The environment that points ltx-mcp here."""
    addresses = (f"LTX_MCP_FAL_{name}_URL" for name in ("QUEUE", "REST", "API"))
    return {"FAL_KEY": KEY} | dict.fromkeys(addresses, base_url)


def routes(emulator: Emulator) -> list[Route]:
    """fal's documented calls."""
    files = Files(emulator)
    queue = Queue(emulator, files.find)
    request = "/fal-ai/{app}/requests/{request_id}"
    table: list[tuple[str, str, str, Handler]] = [
        ("poll", request + "/status", "GET", queue.status),
        ("stream", request + "/status/stream", "GET", queue.stream),
        ("cancel", request + "/cancel", "PUT", queue.cancel),
        ("result", request, "GET", queue.result),
        ("result", request + "/response", "GET", queue.result),
        ("submit", "/fal-ai/{path:path}", "POST", queue.submit),
        ("prices", "/v1/models/pricing", "GET", queue.prices),
    ]
    made = [emulator.route(NAME, step, path, method, guarded(handler), refuse) for step, path, method, handler in table]
    return made + files.routes()


@dataclass(frozen=True)
class Ending:
    """How an order ended without a film. One that the status does not tell shows in the result only."""

    answer: Response
    error: str = ""
    error_type: str = ""


@dataclass
class Queue:
    """The queue's calls. An order's fal id is its id in the world."""

    emulator: Emulator
    find_file: Find
    alive_s: float = ALIVE_S

    async def submit(self, request: Request) -> Response:
        """Take an order: 200, at once, with the three addresses to use from here on."""
        world = self.emulator.world
        check_key(request, world)
        name = f"fal-ai/{request.path_params['path']}"
        if name not in ENDPOINTS:
            return infra_error(404, message=f"Application '{name}' not found")
        timeout_s = _start_timeout(request)
        body = await read_json(request)
        asked = await read_order(ENDPOINTS[name], body, self.find_file, self.emulator.inputs)
        headers = {key: value for key, value in request.headers.items() if key.startswith("x-fal-")}
        order = world.place(
            NAME,
            name,
            body or {},
            asked.film,
            order_id=str(uuid4()),
            billed_s=asked.billed_s,
            start_timeout_s=timeout_s,
            headers=headers,
        )
        told = {"status": "IN_QUEUE", "queue_position": world.position(order)} | self._addresses(order)
        return JSONResponse(told, headers=_named(order))

    async def status(self, request: Request) -> Response:
        """202 until it has ended."""
        order = self._order(request)
        told = self._status_body(order, _wants_logs(request))
        return JSONResponse(told, 200 if told["status"] == "COMPLETED" else 202, headers=_named(order))

    async def stream(self, request: Request) -> Response:
        """The same objects as events, each when it has changed."""
        order = self._order(request)
        events = self._events(order, _wants_logs(request))
        headers = _named(order) | {"cache-control": "no-cache"}
        return StreamingResponse(events, media_type="text/event-stream", headers=headers)

    async def result(self, request: Request) -> Response:
        """The film's address, or the model's own error."""
        order = self._order(request)
        if self._status(order) != "COMPLETED":
            return infra_error(400, "bad_request", "Request is still in progress", **_named(order))
        if (self.emulator.world.now() - self.emulator.world.finished_at(order)).total_seconds() > KEPT_S:
            return infra_error(404, message="Request not found")
        ending = self._ending(order)
        if ending:
            ending.answer.headers.update(_named(order))
            return ending.answer
        name = f"{order.media_id}.mp4"
        video = {"file_name": name, "content_type": "video/mp4", "url": f"{self.emulator.base_url}/media/{name}"}
        units = f"{order.facts['billed_s']:g}"
        return JSONResponse({"video": video}, headers=_named(order) | {"x-fal-billable-units": units})

    async def cancel(self, request: Request) -> Response:
        """Out of the queue while it waits; once it runs, only a wish."""
        check_key(request, self.emulator.world)
        order = self._find(request)
        if order is None:
            return JSONResponse({"status": "NOT_FOUND"}, 404)
        if self._status(order) == "COMPLETED":
            return JSONResponse({"status": "ALREADY_COMPLETED"}, 400, headers=_named(order))
        if self.emulator.world.state(order) == "waiting":
            order.cancelled_at = self.emulator.world.now()
            return JSONResponse({"status": "OK"}, headers=_named(order))
        return JSONResponse({"status": "CANCELLATION_REQUESTED"}, 202, headers=_named(order))

    async def prices(self, request: Request) -> Response:
        """The platform's price list, which knows a unit and no resolutions. Usual are the figures of the model pages at
        their smallest size; that a unit is a second of it is assumed."""
        check_key(request, self.emulator.world)
        names = [name for name in request.query_params.get("endpoint_id", "").split(",") if name]
        unknown = [name for name in names if name not in ENDPOINTS]
        if unknown or not 0 < len(names) <= MAX_PRICES:
            status, kind = (404, "not_found") if unknown else (400, "validation_error")
            return JSONResponse({"error": {"type": kind, "message": f"endpoint_id: {unknown or names}"}}, status)
        told = {name: Told(ENDPOINTS[name].usd_per_second) for name in names} | self.emulator.world.prices
        prices = [{"endpoint_id": name, **asdict(told[name])} for name in names]
        return JSONResponse({"prices": prices, "next_cursor": None, "has_more": False})

    def _find(self, request: Request) -> EmulatedOrder | None:
        order = self.emulator.world.find(NAME, request.path_params["request_id"])
        return order if order and order.endpoint.split("/")[1] == request.path_params["app"] else None

    def _order(self, request: Request) -> EmulatedOrder:
        check_key(request, self.emulator.world)
        order = self._find(request)
        if order is None:
            raise FalRefusal(infra_error(404, message="Request not found"))
        return order

    def _addresses(self, order: EmulatedOrder) -> dict[str, str]:
        app = "/".join(order.endpoint.split("/")[:2])
        response_url = f"{self.emulator.base_url}/{app}/requests/{order.id}"
        return {
            "request_id": order.id,
            "response_url": response_url,
            "status_url": f"{response_url}/status",
            "cancel_url": f"{response_url}/cancel",
        }

    def _overslept(self, order: EmulatedOrder) -> bool:
        """Whether it did not start within the time its X-Fal-Request-Timeout gave."""
        limit_s = order.facts["start_timeout_s"]
        return limit_s is not None and limit_s < min(self.emulator.world.wait_s, self.emulator.world.age_s(order))

    def _status(self, order: EmulatedOrder) -> str:
        if order.fault and order.fault.kind == "unknown_state":
            return "PAUSED_BY_OPERATOR"
        state = self.emulator.world.state(order)
        if state not in ("waiting", "running") or self._overslept(order):
            return "COMPLETED"
        return "IN_QUEUE" if state == "waiting" else "IN_PROGRESS"

    def _ending(self, order: EmulatedOrder) -> Ending | None:
        """How a completed order failed, if it did."""
        if order.cancelled_at is not None:
            return Ending(infra_error(499), "Request was cancelled by the client", "client_cancelled")
        if self._overslept(order):
            answer = infra_error(504, **{"X-Fal-Request-Timeout-Type": "user"})
            return Ending(answer, "Request timed out", "request_timeout")
        fault = order.fault or Fault(NAME, "order", "")
        match fault.kind:
            case "content":
                return Ending(refuse(fault), "Invalid status code: 422", "content_policy_violation")
            case "refused":
                options = {"status": 422, "type": "value_error", **fault.options}
                return Ending(refuse(Fault(NAME, "order", "status", options=options)))
            case "fails":
                options = {"type": "runner_server_error", "message": "The runner failed", **fault.options}
                answer = refuse(Fault(NAME, "order", "status", options=options))
                return Ending(answer, options["message"], options["type"])
        return None

    def _status_body(self, order: EmulatedOrder, logs: bool) -> dict[str, Any]:
        """The status object."""
        status = self._status(order)
        told: dict[str, Any] = {"status": status} | self._addresses(order)
        if status == "IN_QUEUE":
            return told | {"queue_position": self.emulator.world.position(order)}
        told["logs"] = self._logs(order) if logs else None
        if status == "COMPLETED":
            ending = self._ending(order)
            told["metrics"] = {} if ending else {"inference_time": self.emulator.world.work_s}
            if ending and ending.error:
                told |= {"error": ending.error, "error_type": ending.error_type}
        return told

    def _log_lines(self, order: EmulatedOrder) -> int:
        world = self.emulator.world
        worked_s = world.age_s(order) - world.wait_s
        if worked_s <= 0:
            return 0
        return LOG_LINES if worked_s >= world.work_s else int(LOG_LINES * worked_s / world.work_s)

    def _logs(self, order: EmulatedOrder) -> list[dict[str, str]]:
        world = self.emulator.world
        lines = range(1, self._log_lines(order) + 1)
        written_at = [world.wait_s + world.work_s * line / LOG_LINES for line in lines]
        return [
            {
                "message": f"step {line}/{LOG_LINES}",
                "level": "INFO",
                "source": "USER",
                "timestamp": (order.placed_at + timedelta(seconds=after_s)).isoformat(timespec="milliseconds"),
            }
            for line, after_s in zip(lines, written_at, strict=True)
        ]

    async def _events(self, order: EmulatedOrder, logs: bool) -> AsyncIterator[str]:
        """Looks often whether the state is another, and more seldom at the position, which costs more."""
        seen, told, looks, wrote_at = None, None, 0, monotonic()
        while True:
            look = (self._status(order), self._log_lines(order) if logs else 0, looks // LOOKS_PER_POSITION)
            if look != seen:
                seen, now = look, self._status_body(order, logs)
                if now != told:
                    told, wrote_at = now, monotonic()
                    yield f"data: {json.dumps(told)}\n\n"
                if now["status"] == "COMPLETED":
                    return
            if monotonic() - wrote_at >= self.alive_s:
                wrote_at = monotonic()
                yield ": keep-alive\n\n"
            looks += 1
            await anyio.sleep(LOOK_S)


def _start_timeout(request: Request) -> float | None:
    """X-Fal-Request-Timeout in seconds. Raises FalRefusal."""
    given = request.headers.get("x-fal-request-timeout")
    if given is None:
        return None
    try:
        seconds = float(given)
    except ValueError:
        seconds = 0.0
    if not seconds > SHORTEST_TIMEOUT_S:
        raise FalRefusal(infra_error(400, "bad_request", "Invalid X-Fal-Request-Timeout"))
    return seconds


def _wants_logs(request: Request) -> bool:
    return request.query_params.get("logs", "0").lower() in ("1", "true")


def _named(order: EmulatedOrder) -> dict[str, str]:
    return {"x-fal-request-id": order.id}
