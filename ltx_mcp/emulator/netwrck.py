"""Netwrck's resale of LTX 2.3 as its two pages describe it: inline answers, and jobs to poll.

Assumed where they are silent: a failed poll is 200 `{"status": "failed", "error": "text"}`, an unknown job 404, a
prompt refused for its content 400, every error `{"error": "text"}`; unknown fields are kept and not refused, an empty
prompt or null is a wrong value, and a job can be polled for as long as the emulator runs.
"""

import io
from collections.abc import Mapping
from decimal import ROUND_CEILING, Decimal
from typing import Any
from uuid import uuid4

import anyio
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ltx_mcp.emulator.checks import decode_data_uri, image_kind, public_address, read_json
from ltx_mcp.emulator.emulator_state import EmulatedOrder, Fault, FilmSpec
from ltx_mcp.emulator.wire import Emulator

NAME = "netwrck"
KEY = "emulated-netwrck-key"

TEXT, PICTURE = "/api/ltx-text-to-video", "/api/ltx-2.3-image-to-video"
SIZES = {"1080p": (1920, 1080), "1440p": (2560, 1440), "2160p": (3840, 2160)}
USD_PER_SECOND = {"1080p": Decimal("0.048"), "1440p": Decimal("0.096"), "2160p": Decimal("0.192")}
DURATIONS = (6, 8, 10, 12, 14, 16, 18, 20)
RATES = (24, 25, 48, 50)
MODES = ("inline", "polling")
DEFAULTS: dict[str, Any] = {
    "duration": 6,
    "resolution": "1080p",
    "fps": 25,
    "generate_audio": True,
    "response_mode": "inline",
}
POLICY = "The request was refused by the content policy"
FAILED = "Generation failed"


def settings(base_url: str) -> dict[str, str]:
    """The environment that points ltx-mcp here."""
    return {"NETWRCK_API_KEY": KEY, "LTX_MCP_NETWRCK_URL": base_url}


def routes(emulator: Emulator) -> list[Route]:
    """The two orders and the poll."""
    api = _NetwrckApi(emulator)
    return [
        emulator.route(NAME, "submit", TEXT, "POST", api.submit, refuse),
        emulator.route(NAME, "submit", PICTURE, "POST", api.submit, refuse),
        emulator.route(NAME, "poll", "/api/fal/status/{job_id}", "GET", api.poll, refuse),
    ]


def refuse(fault: Fault) -> Response:
    """The refusal a fault asks for, in this provider's words."""
    worded = {"locked": (402, "Insufficient credits"), "content": (400, POLICY), "refuse": (400, "Invalid parameters")}
    status, message = worded.get(fault.kind, (fault.options.get("status", 500), FAILED))
    return _error(status, fault.options.get("message") or message, fault.options.get("retry_after"))


class _NetwrckApi:
    """The handlers; the key comes in the body of an order, and in the address of a poll."""

    def __init__(self, emulator: Emulator) -> None:
        self._emulator, self._world = emulator, emulator.world

    async def submit(self, request: Request) -> Response:
        """Take an order; answer at once, or hold the request until the film is there."""
        body = await read_json(request)
        if body is None:
            return _error(400, "Invalid JSON body")
        if not self._knows(body.pop("api_key", None)):
            return _error(401, "Missing or invalid API key")
        path = request.url.path
        if wrong := find_mistake(body, picture=path == PICTURE):
            return _error(400, wrong)
        asked = _filled(body, path)
        order = self._world.place(NAME, path, body, _film(asked), order_id=f"job_{uuid4().hex[:12]}")
        cost = USD_PER_SECOND[asked["resolution"]] * Decimal(str(asked["duration"]))
        charge = {"credits_charged": int((cost * 100).to_integral_value(ROUND_CEILING)), "cost_usd": float(cost)}
        if asked["response_mode"] == "polling":
            return JSONResponse({"job_id": order.id, "status": "in_progress", **charge}, 202)
        return await self._inline(request, order, charge)

    async def poll(self, request: Request) -> Response:
        """Where a job stands."""
        if not self._knows(request.query_params.get("api_key")):
            return _error(401, "Missing or invalid API key")
        order = self._world.find(NAME, request.path_params["job_id"])
        if order is None:
            return _error(404, "Job not found")
        if order.fault and order.fault.kind == "unknown_state":
            return JSONResponse({"status": "hibernating"})
        match self._world.state(order):
            case "waiting" | "running":
                return JSONResponse({"status": "in_progress"})
            case "done":
                video = {"url": self._url(order), "content_type": "video/mp4"}
                return JSONResponse({"status": "completed", "result": {"video": video}})
        return JSONResponse({"status": "failed", "error": _reason(order)})

    async def _inline(self, request: Request, order: EmulatedOrder, charge: Mapping[str, Any]) -> Response:
        while self._world.state(order) in ("waiting", "running"):
            if await request.is_disconnected():
                return Response(status_code=499)
            await anyio.sleep(0.02)
        if self._world.state(order) != "done":
            return _error(500, _reason(order))
        return JSONResponse({"result": {"video": self._video(order)}, **charge})

    def _video(self, order: EmulatedOrder) -> dict[str, Any]:
        """What inline mode tells of a film; only the page on films from text shows a file name."""
        film = order.film
        named = {"file_name": "output.mp4"} if order.endpoint == TEXT else {}
        return {
            "url": self._url(order),
            "content_type": "video/mp4",
            **named,
            "duration": float(film.duration),
            "width": film.width,
            "height": film.height,
            "fps": film.fps,
        }

    def _url(self, order: EmulatedOrder) -> str:
        return f"{self._emulator.base_url}/media/{order.media_id}.mp4"

    def _knows(self, key: object) -> bool:
        return key == self._world.keys.get(NAME, KEY)


def find_mistake(body: dict[str, Any], *, picture: bool) -> str | None:
    """What is wrong with a body, in words; None where the pages allow it all. `picture`: it is image to video."""
    asked = DEFAULTS | body
    prompt = body.get("prompt")
    if not isinstance(prompt, str) or not prompt.strip():
        return "Missing prompt"
    if picture and "image_url" not in body:
        return "Missing image_url"
    ratios = ("auto", "16:9", "9:16") if picture else ("16:9", "9:16")
    for name, allowed in _choices(ratios):
        if name in asked and asked[name] not in allowed:
            return f"Invalid {name}: must be one of {', '.join(map(str, allowed))}"
    if not isinstance(asked["generate_audio"], bool):
        return "Invalid generate_audio: must be true or false"
    if asked["duration"] > 10 and (asked["fps"] != 25 or asked["resolution"] != "1080p"):
        return "Durations over 10s require 25fps and 1080p"
    given = [name for name in ("image_url", "end_image_url") if picture and name in body]
    return next((wrong for name in given if (wrong := _wrong_picture(name, body[name]))), None)


def _choices(ratios: tuple[str, ...]) -> list[tuple[str, tuple[Any, ...]]]:
    return [
        ("duration", DURATIONS),
        ("resolution", tuple(SIZES)),
        ("aspect_ratio", ratios),
        ("fps", RATES),
        ("response_mode", MODES),
    ]


def _wrong_picture(name: str, value: Any) -> str | None:
    if isinstance(value, str) and public_address(value, frozenset({"http", "https"}), numbers=True):
        return None
    data = decode_data_uri(value) if isinstance(value, str) else None
    if data is None:
        return f"Invalid {name}: must be a public URL or a base64 data URI"
    if image_kind(data[1][:32]) is None:
        return f"Invalid {name}: must be PNG, JPEG, WebP, AVIF or HEIF"
    return None


def _filled(body: Mapping[str, Any], path: str) -> dict[str, Any]:
    """The body with the documented defaults."""
    return DEFAULTS | {"aspect_ratio": "16:9" if path == TEXT else "auto"} | dict(body)


def _film(asked: Mapping[str, Any]) -> FilmSpec:
    width, height = SIZES[asked["resolution"]]
    ratio = asked["aspect_ratio"]
    if ratio == "9:16" or (ratio == "auto" and _upright(asked["image_url"])):
        width, height = height, width
    return FilmSpec(width, height, int(asked["fps"]), asked["duration"], asked["generate_audio"])


def _upright(uri: str) -> bool:
    """Whether a picture given as data is higher than wide; addresses are not fetched here, and count as wide."""
    from PIL import Image, UnidentifiedImageError

    data = decode_data_uri(uri)
    if data is None:
        return False
    try:
        with Image.open(io.BytesIO(data[1])) as picture:
            return picture.height > picture.width
    except UnidentifiedImageError:
        return False


def _reason(order: EmulatedOrder) -> str:
    return POLICY if order.fault and order.fault.kind == "content" else FAILED


def _error(status: int, message: str, retry_after_s: int | None = None) -> Response:
    headers = None if retry_after_s is None else {"retry-after": str(retry_after_s)}
    return JSONResponse({"error": message}, status, headers)
