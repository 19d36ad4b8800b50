"""ByteCompute's Lightricks/LTX-2.3 as its model page describes it: multipart orders, all calls POST, sizes negotiated.

Assumed where it is silent: 202 with `id` and `status`; the states queued, processing, completed and failed;
`adjustments` as a list of {field, requested, applied} in both answers; a day counted from the order; 720 lines without
`resolution`; PNG, JPEG and WebP pictures, sent as the type they are; 400 for mixed modes, repeated fields and refused
content; every error type but not_found. Unknown fields are kept and not refused.
"""

import hashlib
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

from ltx_mcp.emulator.checks import WholeFilm, decode_data_uri, image_kind, public_address
from ltx_mcp.emulator.emulator_state import EmulatedOrder, Fault, FilmSpec
from ltx_mcp.emulator.wire import Emulator

NAME = "bytecompute"
KEY = "emulated-bytecompute-key"

MODEL = "Lightricks/LTX-2.3"
PICTURES = ("image", "first_frame", "last_frame")
KINDS = ("png", "jpeg", "webp")
TEXTS = ("model", "prompt", "duration", "resolution", "aspect_ratio", "fps", *(f"{name}_uri" for name in PICTURES))
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


@dataclass
class BytecomputeForm:
    """A multipart body: texts as they came, and of each file its name, type, size, hash and first bytes."""

    texts: dict[str, str] = field(default_factory=dict)
    files: dict[str, dict[str, Any]] = field(default_factory=dict)


def settings(base_url: str) -> dict[str, str]:
    """The environment that points ltx-mcp here."""
    return {"BYTECOMPUTE_API_KEY": KEY, "LTX_MCP_BYTECOMPUTE_URL": base_url}


def routes(emulator: Emulator) -> list[Route]:
    """The order, the status and the film."""
    api = _BytecomputeApi(emulator)
    return [
        emulator.route(NAME, "submit", "/v1/generate", "POST", api.submit, refuse),
        emulator.route(NAME, "poll", "/v1/jobs/{id}", "POST", api.poll, refuse),
        emulator.route(NAME, "download", "/v1/jobs/{id}/download", "POST", api.download, refuse),
    ]


def refuse(fault: Fault) -> Response:
    """The refusal a fault asks for, in this provider's envelope."""
    told = fault.options
    worded = {
        "locked": (402, "Insufficient credits"),
        "content": (400, POLICY),
        "refuse": (400, "Invalid input"),
    }
    status, message = worded.get(fault.kind, (told.get("status", 500), "Internal failure during processing"))
    return _error(status, told.get("message") or message, told.get("type"), told.get("retry_after"))


class _BytecomputeApi:
    """The handlers; each looks at the key first."""

    def __init__(self, emulator: Emulator) -> None:
        self._emulator, self._world = emulator, emulator.world

    async def submit(self, request: Request) -> Response:
        """Take an order and say what was adjusted."""
        if refusal := self._locked_out(request):
            return refusal
        form = await _read_form(request)
        if isinstance(form, str):
            return _error(400, form)
        if wrong := find_mistake(form):
            return _error(400, wrong)
        film, adjustments = negotiate(form.texts)
        files = {name: {key: each[key] for key in each if key != "head"} for name, each in form.files.items()}
        order = self._world.place(
            NAME, request.url.path, form.texts, film, order_id=str(uuid4()), files=files, adjustments=adjustments
        )
        if order.fault and order.fault.kind == "adjusts":
            _lower(order)
        return JSONResponse({"id": order.id, "status": "queued", "adjustments": _adjustments(order)}, 202)

    async def poll(self, request: Request) -> Response:
        """Where a job stands, for a day."""
        if refusal := self._locked_out(request):
            return refusal
        order = self._find(request)
        if order is None:
            return _not_found(request)
        words = {"waiting": "queued", "running": "processing", "done": "completed"}
        word = words.get(self._world.state(order), "failed")
        if order.fault and order.fault.kind == "unknown_state":
            word = "hibernating"
        failed = {"error": _failure(order)} if word == "failed" else {}
        return JSONResponse({"id": order.id, "status": word, "adjustments": _adjustments(order), **failed})

    async def download(self, request: Request) -> Response:
        """The film, once it is there."""
        if refusal := self._locked_out(request):
            return refusal
        order = self._find(request)
        kind = order.fault.kind if order and order.fault else ""
        if order is None or kind == "url_expires":
            return _not_found(request)
        if self._world.state(order) != "done" or kind == "unknown_state":
            return _error(409, f"Job '{order.id}' is not complete")
        if kind == "json_download":
            return JSONResponse({"url": f"{self._emulator.base_url}/media/{order.media_id}.mp4"})
        return WholeFilm(await self._emulator.films.path(order.film))

    def _find(self, request: Request) -> EmulatedOrder | None:
        order = self._world.find(NAME, request.path_params["id"])
        return None if order is None or self._world.age_s(order) > KEPT_S else order

    def _locked_out(self, request: Request) -> Response | None:
        if request.headers.get("authorization") == f"Bearer {self._world.keys.get(NAME, KEY)}":
            return None
        return _error(401, "Invalid or missing API key")


async def _read_form(request: Request) -> BytecomputeForm | str:
    """The form, or in words why it is none."""
    if request.headers.get("content-type", "").split(";")[0].strip().lower() != "multipart/form-data":
        return "The body must be multipart/form-data"
    form = BytecomputeForm()
    try:
        async with request.form(max_part_size=TEXT_BYTES) as parts:
            for name, value in parts.multi_items():
                if name in form.texts or name in form.files:
                    return f"{name} is given twice"
                if isinstance(value, UploadFile):
                    form.files[name] = await _file(value)
                else:
                    form.texts[name] = value
    except HTTPException as error:
        return f"The body is not a whole form: {error.detail}"
    return form


async def _file(upload: UploadFile) -> dict[str, Any]:
    data = await upload.read()
    return {
        "name": upload.filename,
        "content_type": upload.content_type,
        "size": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
        "head": data[:32],
    }


def find_mistake(form: BytecomputeForm) -> str | None:
    """What is wrong with a form, in words; None for what the page allows, and for sizes that are negotiated."""
    texts = form.texts
    if misplaced := [name for name in texts if name in PICTURES] + [name for name in form.files if name in TEXTS]:
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
    return _wrong_mode(form) or _wrong_picture(form)


def _wrong_mode(form: BytecomputeForm) -> str | None:
    """Pictures of which no mode can be told."""
    given = {name: [each for each in (name, f"{name}_uri") if each in form.texts | form.files] for name in PICTURES}
    if double := [name for name in PICTURES if len(given[name]) > 1]:
        return f"{double[0]} and {double[0]}_uri exclude each other"
    if given["image"] and given["first_frame"]:
        return "image and first_frame exclude each other"
    if given["last_frame"] and not given["first_frame"]:
        return "last_frame needs first_frame"
    return None


def _wrong_picture(form: BytecomputeForm) -> str | None:
    for name in PICTURES:
        if name in form.files:
            file = form.files[name]
            if not _is_picture(file["content_type"], file["head"]):
                return f"{name}: unsupported image format"
        uri = form.texts.get(f"{name}_uri")
        if uri is None or public_address(uri, frozenset({"http", "https"}), numbers=True):
            continue
        data = decode_data_uri(uri)
        if data is None or not _is_picture(*data):
            return f"{name}_uri: must be a public URL or a base64 data URI of a supported image format"
    return None


def _is_picture(content_type: str | None, head: bytes) -> bool:
    kind = image_kind(head[:32])
    return kind in KINDS and content_type == f"image/{kind}"


def negotiate(texts: Mapping[str, str]) -> tuple[FilmSpec, list[dict[str, Any]]]:
    """The film that is made, and what was changed for it: out of range is brought into range, never refused."""
    fps, duration = int(texts.get("fps", LOW_FPS)), _number(texts.get("duration", "5"))
    size = texts.get("resolution") or "x".join(map(str, SIZES[texts.get("aspect_ratio", "16:9")]))
    width, height = _within(*map(int, size.split("x")))
    asked = {"fps": fps, "duration": duration, "resolution": size}
    film = FilmSpec(
        width,
        height,
        HIGH_FPS if fps > (LOW_FPS + HIGH_FPS) / 2 else LOW_FPS,
        min(max(duration, SHORTEST_S), LONGEST_S),
    )
    return film, _changes(asked, film)


def _within(width: int, height: int) -> tuple[int, int]:
    """The size scaled down into 1920x1080 or 1080x1920, no edge under 512, both even."""
    high, wide = (LONG_EDGE, SHORT_EDGE) if height > width else (SHORT_EDGE, LONG_EDGE)
    scale = min(1.0, wide / max(width, 1), high / max(height, 1))
    return max(MIN_EDGE, int(width * scale) // 2 * 2), max(MIN_EDGE, int(height * scale) // 2 * 2)


def _lower(order: EmulatedOrder) -> None:
    """Give less than was asked for, as a busy machine would: 25 frames a second, then a shorter film."""
    applied = {each["field"]: each["requested"] for each in order.facts["adjustments"]}
    film = order.film
    asked = {"fps": film.fps, "duration": film.duration, "resolution": f"{film.width}x{film.height}"} | applied
    duration = order.fault.options.get("duration", SHORTEST_S) if order.fault else SHORTEST_S
    order.film = replace(film, fps=LOW_FPS, duration=min(film.duration, duration))
    order.facts |= {"adjustments": _changes(asked, order.film), "billed_s": order.film.duration}


def _changes(asked: Mapping[str, Any], film: FilmSpec) -> list[dict[str, Any]]:
    got = {"fps": film.fps, "duration": film.duration, "resolution": f"{film.width}x{film.height}"}
    return [{"field": name, "requested": asked[name], "applied": got[name]} for name in got if asked[name] != got[name]]


def _number(text: str) -> int | float:
    return int(text) if text.isdigit() else float(text)


def _adjustments(order: EmulatedOrder) -> list[dict[str, Any]] | None:
    return order.facts["adjustments"] or None


def _failure(order: EmulatedOrder) -> dict[str, str]:
    if order.fault and order.fault.kind == "content":
        return {"type": "content_policy", "message": POLICY}
    return {"type": ERROR_TYPES[500], "message": "generation failed"}


def _not_found(request: Request) -> Response:
    return _error(404, f"Job '{request.path_params['id']}' not found")


def _error(status: int, message: str, kind: str | None = None, retry_after_s: int | None = None) -> Response:
    told = {"type": kind or ERROR_TYPES.get(status, "error"), "message": message}
    headers = None if retry_after_s is None else {"retry-after": str(retry_after_s)}
    return JSONResponse({"type": "error", "error": told}, status, headers)
