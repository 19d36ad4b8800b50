"""Netwrck's resale of LTX 2.3 as its two pages describe it: inline answers, and jobs to poll.

Assumed where they are silent: a failed poll is 200 `{"status": "failed", "error": "text"}`, an unknown job 404, a
prompt refused for its content 400, every error `{"error": "text"}`; unknown fields are kept and not refused, an empty
prompt or null is a wrong value, and a job can be polled for as long as the emulator runs.
"""

from collections.abc import Mapping
from decimal import ROUND_CEILING, Decimal
from typing import Any
from uuid import uuid4

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ltx_mcp.emulator.checks import decode_data_uri, has_key, image_kind, public_address, read_json, retry_headers
from ltx_mcp.emulator.emulator_state import EmulatedOrder, Fault, VideoSpec
from ltx_mcp.emulator.wire import Emulator, RequestRefused

NAME = "netwrck"
KEY = "emulated-netwrck-key"

TEXT, IMAGE = "/api/ltx-text-to-video", "/api/ltx-2.3-image-to-video"
SIZES = {"1080p": (1920, 1080), "1440p": (2560, 1440), "2160p": (3840, 2160)}
USD_PER_SECOND = {"1080p": Decimal("0.048"), "1440p": Decimal("0.096"), "2160p": Decimal("0.192")}
CHOICES: dict[str, tuple[Any, ...]] = {
    "duration": (6, 8, 10, 12, 14, 16, 18, 20),
    "resolution": tuple(SIZES),
    "aspect_ratio": ("16:9", "9:16"),
    "fps": (24, 25, 48, 50),
    "response_mode": ("inline", "polling"),
}
DEFAULTS: dict[str, Any] = {
    "duration": 6,
    "resolution": "1080p",
    "fps": 25,
    "generate_audio": True,
    "response_mode": "inline",
}
POLICY = "The request was refused by the content policy"
FAILED = "Generation failed"
REFUSALS = {"locked": (402, "Insufficient credits"), "content": (400, POLICY), "refuse": (400, "Invalid parameters")}


def routes(emulator: Emulator) -> list[Route]:
    """The two orders and the poll."""
    api = _NetwrckApi(emulator)
    return [
        emulator.route(NAME, "submit", TEXT, "POST", api.submit, refuse),
        emulator.route(NAME, "submit", IMAGE, "POST", api.submit, refuse),
        emulator.route(NAME, "poll", "/api/fal/status/{job_id}", "GET", api.poll, refuse),
    ]


def refuse(fault: Fault) -> Response:
    """The refusal a fault asks for, in this provider's words."""
    status, message = fault.refusal(REFUSALS, FAILED)
    return _error(status, message, fault.options.get("retry_after"))


class _NetwrckApi:
    """The handlers; the key comes in the body of an order, and in the address of a poll."""

    def __init__(self, emulator: Emulator) -> None:
        self._emulator, self._state = emulator, emulator.state

    async def submit(self, request: Request) -> Response:
        """Accept an order; answer at once, or hold the request until the video is there."""
        body = await read_json(request)
        if body is None:
            return _error(400, "Invalid JSON body")
        self._check_key(request, body.pop("api_key", None))
        path = request.url.path
        if wrong := find_mistake(body, from_image=path == IMAGE):
            return _error(400, wrong)
        asked = DEFAULTS | {"aspect_ratio": "16:9" if path == TEXT else "auto"} | body
        video = await self._video_spec(asked)
        order = self._state.place(
            NAME, path, body, video, order_id=f"job_{uuid4().hex[:12]}", account=request.state.account
        )
        cost = USD_PER_SECOND[asked["resolution"]] * Decimal(str(asked["duration"]))
        charge = {"credits_charged": int((cost * 100).to_integral_value(ROUND_CEILING)), "cost_usd": float(cost)}
        if asked["response_mode"] == "polling":
            return JSONResponse({"job_id": order.id, "status": "in_progress", **charge}, 202)
        await self._emulator.wait_for_end(request, order)
        if self._state.status(order) != "done":
            return _error(500, _reason(order))
        return JSONResponse({"result": {"video": self._inline_video(order)}, **charge})

    async def poll(self, request: Request) -> Response:
        """Where a job stands."""
        self._check_key(request, request.query_params.get("api_key"))
        order = self._state.find(NAME, request.path_params["job_id"], request.state.account)
        if order is None:
            return _error(404, "Job not found")
        if order.fault_kind == "unknown_state":
            return JSONResponse({"status": "hibernating"})
        match self._state.status(order):
            case "waiting" | "running":
                return JSONResponse({"status": "in_progress"})
            case "done":
                video = {"url": self._emulator.video_url(order), "content_type": "video/mp4"}
                return JSONResponse({"status": "completed", "result": {"video": video}})
        return JSONResponse({"status": "failed", "error": _reason(order)})

    async def _video_spec(self, asked: Mapping[str, Any]) -> VideoSpec:
        width, height = SIZES[asked["resolution"]]
        ratio = asked["aspect_ratio"]
        if ratio == "9:16" or (ratio == "auto" and await self._is_upright(asked["image_url"])):
            width, height = height, width
        return VideoSpec(width, height, int(asked["fps"]), asked["duration"], asked["generate_audio"])

    async def _is_upright(self, uri: str) -> bool:
        """Whether an image given as data is higher than wide; addresses are not fetched, and count as wide."""
        data = decode_data_uri(uri)
        facts = await self._emulator.inputs.probe_image(await self._emulator.inputs.keep(data[1])) if data else None
        return facts is not None and facts.height > facts.width

    def _inline_video(self, order: EmulatedOrder) -> dict[str, Any]:
        """What inline mode says about a video; only the page on videos from text shows a file name."""
        video = order.video
        named = {"file_name": "output.mp4"} if order.endpoint == TEXT else {}
        return {
            "url": self._emulator.video_url(order),
            "content_type": "video/mp4",
            **named,
            "duration": float(video.duration),
            "width": video.width,
            "height": video.height,
            "fps": video.fps,
        }

    def _check_key(self, request: Request, key: object) -> None:
        """Raises RequestRefused."""
        if not has_key(request, self._state, NAME, key, KEY):
            raise RequestRefused(_error(401, "Missing or invalid API key"))


def find_mistake(body: dict[str, Any], *, from_image: bool) -> str | None:
    """What is wrong with a body, in words; None where the pages allow it all."""
    asked = DEFAULTS | body
    prompt = body.get("prompt")
    if not isinstance(prompt, str) or not prompt.strip():
        return "Missing prompt"
    if from_image and "image_url" not in body:
        return "Missing image_url"
    for name, values in CHOICES.items():
        allowed = ("auto", *values) if from_image and name == "aspect_ratio" else values
        if name in asked and asked[name] not in allowed:
            return f"Invalid {name}: must be one of {', '.join(map(str, allowed))}"
    if not isinstance(asked["generate_audio"], bool):
        return "Invalid generate_audio: must be true or false"
    if asked["duration"] > 10 and (asked["fps"] != 25 or asked["resolution"] != "1080p"):
        return "Durations over 10s require 25fps and 1080p"
    images = [name for name in ("image_url", "end_image_url") if from_image and name in body]
    return next((wrong for name in images if (wrong := _wrong_image(name, body[name]))), None)


def _wrong_image(name: str, value: Any) -> str | None:
    if isinstance(value, str) and public_address(value, lenient=True):
        return None
    data = decode_data_uri(value) if isinstance(value, str) else None
    if data is None:
        return f"Invalid {name}: must be a public URL or a base64 data URI"
    if image_kind(data[1][:32]) is None:
        return f"Invalid {name}: must be PNG, JPEG, WebP, AVIF or HEIF"
    return None


def _reason(order: EmulatedOrder) -> str:
    return POLICY if order.fault_kind == "content" else FAILED


def _error(status: int, message: str, retry_after_s: float | None = None) -> Response:
    return JSONResponse({"error": message}, status, retry_headers(retry_after_s))
