"""ByteCompute's Lightricks/LTX-2.3 as its model page describes it: multipart orders, all calls POST, sizes negotiated.

Assumed where it is silent: 202 with `id` and `status`; the states queued, processing, completed and failed;
`adjustments` as a list of {field, requested, applied} in both answers; a day counted from the order; 720 lines without
`resolution`; PNG, JPEG and WebP images, sent as the type they are; 400 for mixed modes, repeated fields and refused
content; every error type but not_found. Unknown fields are kept and not refused.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import uuid4

from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ltx_mcp.emulator.checks import (
    WholeVideoResponse,
    decode_data_uri,
    has_bearer,
    is_image_as_sent,
    media_type,
    public_address,
    retry_headers,
)
from ltx_mcp.emulator.emulator_state import EmulatedOrder, Fault, VideoSpec
from ltx_mcp.emulator.inputs import Stored
from ltx_mcp.emulator.wire import Emulator, RequestRefused

NAME = "bytecompute"
KEY = "emulated-bytecompute-key"

MODEL = "Lightricks/LTX-2.3"
IMAGES = ("image", "first_frame", "last_frame")
KINDS = ("png", "jpeg", "webp")
TEXTS = ("model", "prompt", "duration", "resolution", "aspect_ratio", "fps", *(f"{name}_uri" for name in IMAGES))
SIZES = {
    "16:9": (1280, 720),
    "4:3": (960, 720),
    "1:1": (720, 720),
    "3:4": (720, 960),
    "4:5": (720, 900),
    "9:16": (720, 1280),
}
SHORTEST_S, LONGEST_S = 4, 10
LOW_FPS, HIGH_FPS = 25, 50
MIN_EDGE, LONG_EDGE, SHORT_EDGE = 512, 1920, 1080
KEPT_S = 24 * 3600
TEXT_BYTES = 64 * 2**20
STATUS_WORDS = {"waiting": "queued", "running": "processing", "done": "completed"}
ERROR_TYPES = {
    400: "invalid_request",
    401: "unauthorized",
    402: "insufficient_credits",
    404: "not_found",
    409: "conflict",
    429: "rate_limited",
    500: "internal_error",
    503: "unavailable",
}
POLICY = "The request was refused by the content policy"
REFUSALS = {"locked": (402, "Insufficient credits"), "content": (400, POLICY), "refuse": (400, "Invalid input")}


@dataclass
class BytecomputeForm:
    """A multipart body: texts as they came, and of each file its name, its type and what was kept of it."""

    texts: dict[str, str] = field(default_factory=dict)
    files: dict[str, tuple[str | None, str | None, Stored]] = field(default_factory=dict)


def routes(emulator: Emulator) -> list[Route]:
    """The order, the status and the video."""
    api = _BytecomputeApi(emulator)
    return [
        emulator.route(NAME, "submit", "/v1/generate", "POST", api.submit, refuse),
        emulator.route(NAME, "poll", "/v1/jobs/{id}", "POST", api.poll, refuse),
        emulator.route(NAME, "download", "/v1/jobs/{id}/download", "POST", api.download, refuse),
    ]


def refuse(fault: Fault) -> Response:
    """The refusal a fault asks for, in this provider's envelope."""
    status, message = fault.refusal(REFUSALS, "Internal failure during processing")
    return _error(status, message, fault.options.get("type"), fault.options.get("retry_after"))


class _BytecomputeApi:
    """The handlers; each checks the key first."""

    def __init__(self, emulator: Emulator) -> None:
        self._emulator, self._state = emulator, emulator.state

    async def submit(self, request: Request) -> Response:
        """Accept an order and say what was adjusted."""
        self._check_key(request)
        form = await self._read_form(request)
        if wrong := find_mistake(form):
            return _error(400, wrong)
        video, adjustments = negotiate(form.texts)
        files = {
            field_name: {"name": name, "content_type": content_type, "size": file.size, "sha256": file.sha256}
            for field_name, (name, content_type, file) in form.files.items()
        }
        order = self._state.place(
            NAME,
            request.url.path,
            form.texts,
            video,
            order_id=str(uuid4()),
            files=files,
            adjustments=adjustments,
            account=request.state.account,
        )
        if order.fault and order.fault_kind == "adjusts":
            _lower(order, order.fault.options.get("duration", SHORTEST_S))
        return JSONResponse({"id": order.id, "status": "queued", "adjustments": _adjustments(order)}, 202)

    async def poll(self, request: Request) -> Response:
        """Where a job stands, for a day."""
        order = self._find(request)
        status = STATUS_WORDS.get(self._state.status(order), "failed")
        if order.fault_kind == "unknown_state":
            status = "hibernating"
        failed = {"error": _failure(order)} if status == "failed" else {}
        return JSONResponse({"id": order.id, "status": status, "adjustments": _adjustments(order), **failed})

    async def download(self, request: Request) -> Response:
        """The video, once it is there."""
        order = self._find(request)
        if order.fault_kind == "url_expires":
            return _not_found(request)
        if self._state.status(order) != "done" or order.fault_kind == "unknown_state":
            return _error(409, f"Job '{order.id}' is not complete")
        if order.fault_kind == "json_download":
            return JSONResponse({"url": self._emulator.video_url(order)})
        return WholeVideoResponse(await self._emulator.videos.path(order.video))

    def _find(self, request: Request) -> EmulatedOrder:
        """Raises RequestRefused."""
        self._check_key(request)
        order = self._state.find(NAME, request.path_params["id"], request.state.account)
        if order is None or self._state.age_s(order) > KEPT_S:
            raise RequestRefused(_not_found(request))
        return order

    async def _read_form(self, request: Request) -> BytecomputeForm:
        """Raises RequestRefused."""
        if media_type(request) != "multipart/form-data":
            raise RequestRefused(_error(400, "The body must be multipart/form-data"))
        form = BytecomputeForm()
        try:
            async with request.form(max_part_size=TEXT_BYTES) as parts:
                for name, value in parts.multi_items():
                    if name in form.texts or name in form.files:
                        raise RequestRefused(_error(400, f"{name} is given twice"))
                    if isinstance(value, UploadFile):
                        file = await self._emulator.inputs.keep(await value.read())
                        form.files[name] = (value.filename, value.content_type, file)
                    else:
                        form.texts[name] = value
        except HTTPException as error:
            raise RequestRefused(_error(400, f"The body is not a whole form: {error.detail}")) from error
        return form

    def _check_key(self, request: Request) -> None:
        """Raises RequestRefused."""
        if not has_bearer(request, self._state, NAME, KEY):
            raise RequestRefused(_error(401, "Invalid or missing API key"))


def find_mistake(form: BytecomputeForm) -> str | None:
    """What is wrong with a form, in words; None for what the page allows, and for sizes that are negotiated."""
    texts = form.texts
    if misplaced := [name for name in texts if name in IMAGES] + [name for name in form.files if name in TEXTS]:
        return f"{misplaced[0]} is sent as the wrong kind of part"
    if texts.get("model") != MODEL:
        return f"model must be {MODEL}"
    if not texts.get("prompt", "").strip():
        return "prompt is required"
    if texts.get("aspect_ratio", "16:9") not in SIZES:
        return f"aspect_ratio must be one of {', '.join(SIZES)}"
    for name, pattern in (("duration", r"\d+(\.\d+)?"), ("fps", r"\d+"), ("resolution", r"\d{1,5}x\d{1,5}")):
        if name in texts and not re.fullmatch(pattern, texts[name]):
            return f"{name} cannot be read"
    return _wrong_mode(form) or _wrong_image(form)


def _wrong_mode(form: BytecomputeForm) -> str | None:
    """What is wrong with a set of images that is no mode."""
    given = {name: [each for each in (name, f"{name}_uri") if each in form.texts | form.files] for name in IMAGES}
    if double := [name for name in IMAGES if len(given[name]) > 1]:
        return f"{double[0]} and {double[0]}_uri exclude each other"
    if given["image"] and given["first_frame"]:
        return "image and first_frame exclude each other"
    if given["last_frame"] and not given["first_frame"]:
        return "last_frame needs first_frame"
    return None


def _wrong_image(form: BytecomputeForm) -> str | None:
    for name in IMAGES:
        if name in form.files:
            _, content_type, file = form.files[name]
            if not is_image_as_sent(content_type, file.head, KINDS):
                return f"{name}: unsupported image format"
        uri = form.texts.get(f"{name}_uri")
        if uri is None or public_address(uri, lenient=True):
            continue
        data = decode_data_uri(uri)
        if data is None or not is_image_as_sent(*data, KINDS):
            return f"{name}_uri: must be a public URL or a base64 data URI of a supported image format"
    return None


def negotiate(texts: Mapping[str, str]) -> tuple[VideoSpec, list[dict[str, Any]]]:
    """The video that is made, and what was changed for it: out of range is brought into range, never refused."""
    fps, text = int(texts.get("fps", LOW_FPS)), texts.get("duration", "5")
    duration = int(text) if text.isdigit() else float(text)
    size = texts.get("resolution") or "x".join(map(str, SIZES[texts.get("aspect_ratio", "16:9")]))
    asked = {"fps": fps, "duration": duration, "resolution": size}
    allowed_fps = HIGH_FPS if fps > (LOW_FPS + HIGH_FPS) / 2 else LOW_FPS
    allowed_s = min(max(duration, SHORTEST_S), LONGEST_S)
    video = VideoSpec(*_within(*map(int, size.split("x"))), allowed_fps, allowed_s)
    return video, _changes(asked, video)


def _within(width: int, height: int) -> tuple[int, int]:
    """The size scaled down into 1920x1080 or 1080x1920, no edge under 512, both even."""
    high, wide = (LONG_EDGE, SHORT_EDGE) if height > width else (SHORT_EDGE, LONG_EDGE)
    scale = min(1.0, wide / max(width, 1), high / max(height, 1))
    return max(MIN_EDGE, int(width * scale) // 2 * 2), max(MIN_EDGE, int(height * scale) // 2 * 2)


def _lower(order: EmulatedOrder, duration: float) -> None:
    """Give less than was requested, as a busy machine would: 25 frames a second, then a shorter video."""
    requested = {each["field"]: each["requested"] for each in order.facts["adjustments"]}
    asked = _negotiated(order.video) | requested
    order.video = replace(order.video, fps=LOW_FPS, duration=min(order.video.duration, duration))
    order.facts |= {"adjustments": _changes(asked, order.video), "billed_s": order.video.duration}


def _negotiated(video: VideoSpec) -> dict[str, Any]:
    return {"fps": video.fps, "duration": video.duration, "resolution": f"{video.width}x{video.height}"}


def _changes(asked: Mapping[str, Any], video: VideoSpec) -> list[dict[str, Any]]:
    return [
        {"field": name, "requested": asked[name], "applied": applied}
        for name, applied in _negotiated(video).items()
        if asked[name] != applied
    ]


def _adjustments(order: EmulatedOrder) -> list[dict[str, Any]] | None:
    return order.facts["adjustments"] or None


def _failure(order: EmulatedOrder) -> dict[str, str]:
    if order.fault_kind == "content":
        return {"type": "content_policy", "message": POLICY}
    return {"type": ERROR_TYPES[500], "message": "generation failed"}


def _not_found(request: Request) -> Response:
    return _error(404, f"Job '{request.path_params['id']}' not found")


def _error(status: int, message: str, kind: str | None = None, retry_after_s: float | None = None) -> Response:
    error = {"type": kind or ERROR_TYPES.get(status, "error"), "message": message}
    return JSONResponse({"type": "error", "error": error}, status, retry_headers(retry_after_s))
