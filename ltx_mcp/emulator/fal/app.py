"""An emulated fal.ai: the queue of queue.fal.run, uploads and the price list, for the LTX endpoints.

On one port the direct call of fal.run, POST to the same path, cannot be told from the queue's, so only the queue is
here. Real fal accepts an order unread, and only the result says what its model refused; here it is refused at once,
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
from ltx_mcp.emulator.emulator_state import EmulatedOrder, EmulatedPrice, Fault
from ltx_mcp.emulator.fal.endpoints import ENDPOINTS, OWNERS, read_order
from ltx_mcp.emulator.fal.errors import NAME, check_key, infra_error, refuse
from ltx_mcp.emulator.fal.files import Files
from ltx_mcp.emulator.fal.media import Find
from ltx_mcp.emulator.fal.webhooks import EmulatedWebhooks
from ltx_mcp.emulator.wire import Emulator, Handler, RequestRefused

KEPT_S = 3600
POLL_S, POLLS_PER_POSITION = 0.02, 10
ALIVE_S = 15
LOG_LINES = 8
SHORTEST_TIMEOUT_S = 0.1
MAX_PRICES = 50


def routes(emulator: Emulator) -> list[Route]:
    """fal's documented calls."""
    files = Files(emulator)
    queue = Queue(emulator, files.find)
    request = "/{owner}/{app}/requests/{request_id}"
    table: list[tuple[str, str, str, Handler]] = [
        ("poll", request + "/status", "GET", queue.status),
        ("stream", request + "/status/stream", "GET", queue.stream),
        ("cancel", request + "/cancel", "PUT", queue.cancel),
        ("result", request, "GET", queue.result),
        ("result", request + "/response", "GET", queue.result),
        *(("submit", f"/{owner}/{{path:path}}", "POST", queue.submit) for owner in OWNERS),
        ("prices", "/v1/models/pricing", "GET", queue.prices),
        ("keys", "/.well-known/jwks.json", "GET", queue.webhooks.keys),
    ]
    calls = [emulator.route(NAME, step, path, method, handler, refuse) for step, path, method, handler in table]
    return calls + files.routes()


@dataclass(frozen=True)
class Ending:
    """How an order ended without a video. One without `error` shows in the result only, not in the status."""

    answer: Response
    error: str = ""
    error_type: str = ""


@dataclass
class Queue:
    """The queue's calls."""

    emulator: Emulator
    find_file: Find
    alive_s: float = ALIVE_S

    def __post_init__(self) -> None:
        self.webhooks = EmulatedWebhooks(self.emulator)

    async def submit(self, request: Request) -> Response:
        """Accept an order: 200, at once, with the three addresses to use from here on."""
        state = self.emulator.state
        check_key(request, state)
        name = request.url.path.removeprefix("/")
        if name not in ENDPOINTS:
            return infra_error(404, message=f"Application '{name}' not found")
        timeout_s = _start_timeout(request)
        body = await read_json(request)
        edit = await read_order(ENDPOINTS[name], body, self.find_file, self.emulator.inputs)
        headers = {key: value for key, value in request.headers.items() if key.startswith("x-fal-")}
        order = state.place(
            NAME,
            name,
            body or {},
            edit.video,
            order_id=str(uuid4()),
            account=request.state.account,
            billed_s=edit.billed_s,
            units=edit.units,
            answer=edit.answer,
            start_timeout_s=timeout_s,
            headers=headers,
        )
        queued = {"status": "IN_QUEUE", "queue_position": state.position(order)}
        if url := request.query_params.get("fal_webhook"):
            self.webhooks.tell_later(order, url, lambda: self._status(order) == "COMPLETED", lambda: self._news(order))
            queued |= {"gateway_request_id": order.id}
        return JSONResponse(queued | self._addresses(order), headers=_id_header(order))

    async def status(self, request: Request) -> Response:
        """202 until it has ended."""
        order = self._order(request)
        body = self._status_body(order, _wants_logs(request))
        return JSONResponse(body, 200 if body["status"] == "COMPLETED" else 202, headers=_id_header(order))

    async def stream(self, request: Request) -> Response:
        """The same objects as events, each when it has changed."""
        order = self._order(request)
        events = self._events(order, _wants_logs(request))
        headers = _id_header(order) | {"cache-control": "no-cache"}
        return StreamingResponse(events, media_type="text/event-stream", headers=headers)

    async def result(self, request: Request) -> Response:
        """The video's address, or the model's own error."""
        order = self._order(request)
        if self._status(order) != "COMPLETED":
            return infra_error(400, "bad_request", "Request is still in progress", **_id_header(order))
        if self.emulator.state.ended_before(order, KEPT_S):
            return infra_error(404, message="Request not found")
        ending = self._ending(order)
        if ending:
            ending.answer.headers.update(_id_header(order))
            return ending.answer
        units = order.facts["billed_s"] if order.facts["units"] is None else order.facts["units"]
        headers = _id_header(order) | {"x-fal-billable-units": f"{units:.10g}"}
        return JSONResponse(self._video(order), headers=headers)

    def _video(self, order: EmulatedOrder) -> dict[str, Any]:
        url = self.emulator.video_url(order)
        video = {"file_name": f"{order.media_id}.mp4", "content_type": "video/mp4", "url": url}
        return {"video": video, **order.facts["answer"]}

    def _news(self, order: EmulatedOrder) -> dict[str, Any]:
        """What a webhook says of a completed order, beside its ids."""
        ending = self._ending(order)
        if ending is None:
            return {"status": "OK", "payload": self._video(order)}
        error = ending.error or f"Invalid status code: {ending.answer.status_code}"
        return {"status": "ERROR", "error": error, "payload": json.loads(bytes(ending.answer.body))}

    async def cancel(self, request: Request) -> Response:
        """Out of the queue while it waits; once it runs, only a request."""
        check_key(request, self.emulator.state)
        order = self._find(request)
        if order is None:
            return JSONResponse({"status": "NOT_FOUND"}, 404)
        if self._status(order) == "COMPLETED":
            return JSONResponse({"status": "ALREADY_COMPLETED"}, 400, headers=_id_header(order))
        if self.emulator.state.status(order) == "waiting":
            order.cancelled_at = self.emulator.state.now()
            return JSONResponse({"status": "OK"}, headers=_id_header(order))
        return JSONResponse({"status": "CANCELLATION_REQUESTED"}, 202, headers=_id_header(order))

    async def prices(self, request: Request) -> Response:
        """The platform's price list, which knows a unit and no resolutions. The usual figures are those of the model
        pages at their smallest size; that a unit of 2.3 is a second is assumed."""
        check_key(request, self.emulator.state)
        names = [name for name in request.query_params.get("endpoint_id", "").split(",") if name]
        unknown = [name for name in names if name not in ENDPOINTS]
        if unknown or not 0 < len(names) <= MAX_PRICES:
            status, kind = (404, "not_found") if unknown else (400, "validation_error")
            return JSONResponse({"error": {"type": kind, "message": f"endpoint_id: {unknown or names}"}}, status)
        usual = {name: EmulatedPrice(ENDPOINTS[name].unit_price, ENDPOINTS[name].unit) for name in names}
        current = usual | self.emulator.state.prices
        prices = [{"endpoint_id": name, **asdict(current[name])} for name in names]
        return JSONResponse({"prices": prices, "next_cursor": None, "has_more": False})

    def _find(self, request: Request) -> EmulatedOrder | None:
        order = self.emulator.state.find(NAME, request.path_params["request_id"], request.state.account)
        app = "{owner}/{app}".format(**request.path_params)
        return order if order and order.endpoint.startswith(f"{app}/") else None

    def _order(self, request: Request) -> EmulatedOrder:
        check_key(request, self.emulator.state)
        order = self._find(request)
        if order is None:
            raise RequestRefused(infra_error(404, message="Request not found"))
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

    def _missed_start(self, order: EmulatedOrder) -> bool:
        """Whether it did not start within the time its X-Fal-Request-Timeout gave."""
        limit_s = order.facts["start_timeout_s"]
        return limit_s is not None and limit_s < min(self.emulator.state.wait_s, self.emulator.state.age_s(order))

    def _status(self, order: EmulatedOrder) -> str:
        if order.fault_kind == "unknown_state":
            return "PAUSED_BY_OPERATOR"
        status = self.emulator.state.status(order)
        if status not in ("waiting", "running") or self._missed_start(order):
            return "COMPLETED"
        return "IN_QUEUE" if status == "waiting" else "IN_PROGRESS"

    def _ending(self, order: EmulatedOrder) -> Ending | None:
        """How a completed order failed, if it did."""
        if order.cancelled_at is not None:
            return Ending(infra_error(499), "Request was cancelled by the client", "client_cancelled")
        if self._missed_start(order):
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
        body: dict[str, Any] = {"status": status} | self._addresses(order)
        if status == "IN_QUEUE":
            return body | {"queue_position": self.emulator.state.position(order)}
        body["logs"] = self._logs(order) if logs else None
        if status == "COMPLETED":
            ending = self._ending(order)
            body["metrics"] = {} if ending else {"inference_time": self.emulator.state.work_s}
            if ending and ending.error:
                body |= {"error": ending.error, "error_type": ending.error_type}
        return body

    def _log_times(self, order: EmulatedOrder) -> list[float]:
        """After how many seconds each of the log lines so far was written."""
        state = self.emulator.state
        times = [state.wait_s + state.work_s * line / LOG_LINES for line in range(1, LOG_LINES + 1)]
        return [after_s for after_s in times if after_s <= state.age_s(order)]

    def _logs(self, order: EmulatedOrder) -> list[dict[str, str]]:
        return [
            {
                "message": f"step {line}/{LOG_LINES}",
                "level": "INFO",
                "source": "USER",
                "timestamp": (order.placed_at + timedelta(seconds=after_s)).isoformat(timespec="milliseconds"),
            }
            for line, after_s in enumerate(self._log_times(order), 1)
        ]

    async def _events(self, order: EmulatedOrder, logs: bool) -> AsyncIterator[str]:
        """Polls the status often, and the position, which costs more, less often."""
        seen, sent, polls, sent_at = None, None, 0, monotonic()
        while True:
            current = (self._status(order), len(self._log_times(order)) if logs else 0, polls // POLLS_PER_POSITION)
            if current != seen:
                seen, body = current, self._status_body(order, logs)
                if body != sent:
                    sent, sent_at = body, monotonic()
                    yield f"data: {json.dumps(body)}\n\n"
                if body["status"] == "COMPLETED":
                    return
            if monotonic() - sent_at >= self.alive_s:
                sent_at = monotonic()
                yield ": keep-alive\n\n"
            polls += 1
            await anyio.sleep(POLL_S)


def _start_timeout(request: Request) -> float | None:
    """X-Fal-Request-Timeout in seconds. Raises RequestRefused."""
    given = request.headers.get("x-fal-request-timeout")
    if given is None:
        return None
    try:
        seconds = float(given)
    except ValueError:
        seconds = 0.0
    if not seconds > SHORTEST_TIMEOUT_S:
        raise RequestRefused(infra_error(400, "bad_request", "Invalid X-Fal-Request-Timeout"))
    return seconds


def _wants_logs(request: Request) -> bool:
    return request.query_params.get("logs", "0").lower() in ("1", "true")


def _id_header(order: EmulatedOrder) -> dict[str, str]:
    return {"x-fal-request-id": order.id}
