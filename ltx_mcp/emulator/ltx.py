"""The LTX API as its pages describe it: v2 jobs, v1 films in the answer, and uploads into a Google storage bucket.

Where the pages are silent: unknown fields are kept and not refused, MB are 2**20 bytes, an empty prompt is a missing
one, and a picture whose bytes are not of the type it was sent as is refused.
"""

import hashlib
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import anyio
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from ltx_mcp.emulator.checks import WholeFilm, decode_data_uri, image_kind, public_address, read_json
from ltx_mcp.emulator.wire import Emulator
from ltx_mcp.emulator.world import Fault, FilmSpec, Order, World

NAME = "ltx"
KEY = "emulated-ltx-key"

ENDPOINTS = ("text-to-video", "image-to-video")
FAST, PRO = ("ltx-2-3-fast", "ltx-2-5-fast"), ("ltx-2-3-pro", "ltx-2-5-pro")
AUTOMATIC = ("ltx-2-5-fast", "ltx-2-5-pro")
AUTOMATIC_S = 8
LANDSCAPE = {"1280x720": "720p", "1920x1080": "1080p", "2560x1440": "1440p", "3840x2160": "4K"}
TIERS = LANDSCAPE | {"x".join(reversed(size.split("x"))): tier for size, tier in LANDSCAPE.items()}
RATES = (24, 25, 48, 50)
SHORT, LONG = (6, 8, 10), (6, 8, 10, 12, 14, 16, 18, 20)
MOTIONS = (
    "dolly_in",
    "dolly_out",
    "dolly_left",
    "dolly_right",
    "jib_up",
    "jib_down",
    "static",
    "focus_shift",
)
PROMPT_CHARS = 5000
PICTURES = ("png", "jpeg", "webp")
MEGABYTE = 2**20
UPLOAD_BYTES, PICTURE_BYTES, DATA_CHARS = 200 * MEGABYTE, 15 * MEGABYTE, 7 * MEGABYTE
SLOT_S, KEPT_S = 3600, 24 * 3600
REQUIRED_HEADERS = {"x-goog-content-length-range": f"0,{UPLOAD_BYTES}", "x-goog-if-generation-match": "0"}
ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "insufficient_funds_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    422: "content_filtered_error",
    429: "rate_limit_error",
    500: "api_error",
    503: "service_unavailable_error",
    529: "overloaded_error",
}
BLOCKED = "The content was blocked by the safety filter"


def settings(base_url: str) -> dict[str, str]:
    """The environment that points ltx-mcp here."""
    return {"LTX_API_KEY": KEY, "LTX_MCP_LTX_URL": base_url}


def routes(emulator: Emulator) -> list[Route]:
    """The documented calls for films from text and from a picture, and the bucket that uploads go to."""
    api = _Api(emulator)
    submits = [(f"/v2/{name}", api.submit) for name in ENDPOINTS] + [(f"/v1/{name}", api.film) for name in ENDPOINTS]
    return [
        *(emulator.route(NAME, "submit", path, "POST", handler, refuse) for path, handler in submits),
        emulator.route(NAME, "poll", "/v2/{endpoint}/{id}", "GET", api.poll, refuse),
        emulator.route(NAME, "upload", "/v1/upload", "POST", api.slot, refuse),
        emulator.route(NAME, "put", "/ltx-bucket/{name}", "PUT", api.put, refuse_put),
    ]


def refuse(fault: Fault) -> Response:
    """The refusal a fault asks for, as the API words it."""
    told = fault.options
    worded = {
        "locked": (402, "Estimated cost exceeds the available credits"),
        "content": (422, BLOCKED),
        "refuse": (400, "The request is not valid"),
    }
    status, message = worded.get(fault.kind, (told.get("status", 500), "Emulated error"))
    return _error(status, told.get("message") or message, told.get("type"), told.get("retry_after"))


def refuse_put(fault: Fault) -> Response:
    """The refusal a fault asks for, as the bucket words it."""
    status = fault.options.get("status", 400)
    return _storage_error(status, fault.options.get("type", "InternalError" if status >= 500 else "InvalidArgument"))


class _Api:
    """The handlers; each looks at the key first."""

    def __init__(self, emulator: Emulator) -> None:
        self._emulator, self._world = emulator, emulator.world

    async def submit(self, request: Request) -> Response:
        """v2: take the order, and answer with its id."""
        order = await self._place(request)
        if isinstance(order, Response):
            return order
        return _answer({"id": order.id, "created_at": _time(order.placed_at)}, 202)

    async def film(self, request: Request) -> Response:
        """v1: take the order, and answer with the film when it is done."""
        order = await self._place(request)
        if isinstance(order, Response):
            return order
        while self._world.state(order) in ("waiting", "running"):
            if await request.is_disconnected():
                return Response(status_code=499)
            await anyio.sleep(0.02)
        if self._world.state(order) != "done":
            told = _failure(order)
            return _error(422 if told["type"] == ERROR_TYPES[422] else 500, told["message"])
        return WholeFilm(await self._emulator.films.path(order.film), _headers())

    async def poll(self, request: Request) -> Response:
        """v2: where a job stands, under the endpoint it was sent to, for a day after its end."""
        if refusal := self._locked_out(request):
            return refusal
        order = self._world.find(NAME, request.path_params["id"])
        path = f"/v2/{request.path_params['endpoint']}"
        if order is None or order.endpoint != path or self._forgotten(order):
            return _error(404, f"Job {request.path_params['id']} not found")
        return _answer(self._job(order))

    async def slot(self, request: Request) -> Response:
        """A place to upload one file to, for an hour."""
        if refusal := self._locked_out(request):
            return refusal
        name, signature = uuid4().hex, uuid4().hex
        uri, expires_at = f"ltx://uploads/{name}", self._world.now() + timedelta(seconds=SLOT_S)
        self._world.uploads[uri] = {"provider": NAME, "signature": signature, "expires_at": expires_at}
        return _answer(
            {
                "upload_url": f"{self._emulator.base_url}/ltx-bucket/{name}?sig={signature}",
                "storage_uri": uri,
                "expires_at": _time(expires_at),
                "required_headers": dict(REQUIRED_HEADERS),
            }
        )

    async def put(self, request: Request) -> Response:
        """The upload itself: once a slot, with the headers it was given and none that carries the key."""
        entry = self._world.uploads.get(f"ltx://uploads/{request.path_params['name']}")
        if entry is None or request.query_params.get("sig") != entry["signature"]:
            return _storage_error(403, "SignatureDoesNotMatch")
        facts = await _read_upload(request)
        if wrong := self._wrong_put(request, entry, facts):
            return wrong
        entry.update(facts, stored_at=self._world.now())
        return Response(status_code=200, headers={"etag": f'"{facts["sha256"][:32]}"'})

    def _wrong_put(self, request: Request, entry: Mapping[str, Any], facts: Mapping[str, Any]) -> Response | None:
        if "authorization" in request.headers:
            return _storage_error(400, "InvalidArgument", "A signed address and an Authorization header")
        if self._world.now() > entry["expires_at"]:
            return _storage_error(400, "ExpiredToken")
        for name, value in REQUIRED_HEADERS.items():
            if request.headers.get(name) != value:
                return _storage_error(400, "MalformedSecurityHeader", f"{name} must be sent as given")
        if not facts["content_type"]:
            return _storage_error(400, "InvalidArgument", "Content-Type is missing")
        if facts["size"] > UPLOAD_BYTES:
            return _storage_error(400, "EntityTooLarge")
        return _storage_error(412, "PreconditionFailed") if "stored_at" in entry else None

    async def _place(self, request: Request) -> Order | Response:
        if refusal := self._locked_out(request):
            return refusal
        body = await read_json(request)
        if body is None:
            return _error(400, "The body must be a JSON object, sent as application/json")
        picture = request.url.path.endswith("image-to-video")
        if wrong := find_mistake(body, picture=picture, world=self._world):
            return _error(400, wrong)
        return self._world.place(NAME, request.url.path, body, _film(body), order_id=str(uuid4()))

    def _locked_out(self, request: Request) -> Response | None:
        if request.headers.get("authorization") == f"Bearer {self._world.keys.get(NAME, KEY)}":
            return None
        return _error(401, "The API key is missing, malformed or wrong")

    def _forgotten(self, order: Order) -> bool:
        ended = self._world.state(order) in ("done", "failed")
        return ended and self._world.now() > self._world.finished_at(order) + timedelta(seconds=KEPT_S)

    def _job(self, order: Order) -> dict[str, Any]:
        state = self._world.state(order)
        job: dict[str, Any] = {"status": "pending", "id": order.id, "created_at": _time(order.placed_at)}
        if order.fault and order.fault.kind == "unknown_state":
            return job | {"status": "hibernating"}
        if state in ("waiting", "running"):
            return job | {"status": "pending" if state == "waiting" else "processing"}
        job["completed_at"] = _time(self._world.finished_at(order))
        if state == "failed":
            return job | {"status": "failed", "error": _failure(order)}
        signature = hashlib.sha256(order.id.encode()).hexdigest()
        url = f"{self._emulator.base_url}/media/{order.media_id}.mp4?sig={signature}"
        return job | {"status": "completed", "result": {"video_url": url}}


def find_mistake(body: Mapping[str, Any], *, picture: bool, world: World) -> str | None:
    """What is wrong with a body, in words; None where the pages allow it all. `picture`: it is image-to-video."""
    needed = ("prompt", "model", "duration", "resolution", *(("image_uri",) if picture else ()))
    if missing := [name for name in needed if name not in body]:
        return f"{missing[0]} is required"
    if wrong := _wrong_words(body):
        return wrong
    if wrong := _wrong_length(body):
        return wrong
    for name in ("image_uri", "last_frame_uri") if picture else ():
        if name in body and (wrong := _wrong_picture(body[name], world)):
            return f"{name}: {wrong}"
    return None


def _wrong_words(body: Mapping[str, Any]) -> str | None:
    prompt = body["prompt"]
    if not isinstance(prompt, str) or not 0 < len(prompt) <= PROMPT_CHARS:
        return f"prompt must be a text of at most {PROMPT_CHARS} characters"
    if body["model"] not in (*FAST, *PRO):
        return f"model must be one of {', '.join((*FAST, *PRO))}"
    if "camera_motion" in body and body["camera_motion"] not in MOTIONS:
        return f"camera_motion must be one of {', '.join(MOTIONS)}"
    if not isinstance(body.get("generate_audio", True), bool):
        return "generate_audio must be true or false"
    return None


def _wrong_length(body: Mapping[str, Any]) -> str | None:
    """What the table of models, resolutions, frame rates and durations does not hold."""
    duration, resolution, fps = body["duration"], body["resolution"], body.get("fps", 24)
    if not isinstance(resolution, str) or resolution not in TIERS:
        return f"resolution must be one of {', '.join(TIERS)}"
    if type(fps) is not int or fps not in RATES:
        return f"fps must be one of {', '.join(map(str, RATES))}"
    if duration is None:
        if body["model"] not in AUTOMATIC or "last_frame_uri" in body:
            return "duration may be null only with an ltx-2-5 model, and without last_frame_uri"
        return None
    long = body["model"] in FAST and TIERS[resolution] in ("720p", "1080p") and fps in (24, 25)
    allowed = LONG if long else SHORT
    if type(duration) is not int or duration not in allowed:
        return f"duration must be one of {', '.join(map(str, allowed))} for {body['model']}, {resolution}, {fps} fps"
    return None


def _wrong_picture(uri: Any, world: World) -> str | None:
    """What is wrong with one of the three forms a picture may have."""
    if not isinstance(uri, str):
        return "must be a text"
    if uri.startswith("ltx://"):
        return _wrong_upload(world.uploads.get(uri), world)
    if uri.startswith("data:"):
        data = decode_data_uri(uri)
        if data is None or len(uri) > DATA_CHARS:
            return "must be a whole base64 data URI of at most 7 MB"
        return None if _is_picture(*data) else "must be PNG, JPEG or WebP, as its type says"
    return None if public_address(uri) else "must be a public https address on a domain name"


def _wrong_upload(entry: Mapping[str, Any] | None, world: World) -> str | None:
    if entry is None or "stored_at" not in entry:
        return "nothing was uploaded there"
    if world.now() > entry["stored_at"] + timedelta(seconds=KEPT_S):
        return "the upload has expired"
    if entry["size"] > PICTURE_BYTES:
        return "the picture is larger than 15 MB"
    return None if _is_picture(entry["content_type"], entry["head"]) else "must be PNG, JPEG or WebP, as its type says"


def _is_picture(content_type: str, head: bytes) -> bool:
    kind = image_kind(head[:32])
    return kind in PICTURES and content_type == f"image/{kind}"


def _film(body: Mapping[str, Any]) -> FilmSpec:
    width, height = map(int, body["resolution"].split("x"))
    duration = AUTOMATIC_S if body["duration"] is None else body["duration"]
    return FilmSpec(width, height, body.get("fps", 24), duration, body.get("generate_audio", True))


async def _read_upload(request: Request) -> dict[str, Any]:
    """What is kept of a file: its type, size, hash and first bytes."""
    digest, size, head = hashlib.sha256(), 0, b""
    async for chunk in request.stream():
        digest.update(chunk)
        size += len(chunk)
        head = (head + chunk)[:32]
    content_type = request.headers.get("content-type", "")
    return {"content_type": content_type, "size": size, "sha256": digest.hexdigest(), "head": head}


def _failure(order: Order) -> dict[str, str]:
    if order.fault and order.fault.kind == "content":
        return {"type": ERROR_TYPES[422], "message": BLOCKED}
    return {"type": ERROR_TYPES[500], "message": "The generation failed"}


def _error(status: int, message: str, kind: str | None = None, retry_after_s: int | None = None) -> Response:
    """The API's envelope; a status it has no type for comes from what stands before it, as plain text."""
    extra = {} if retry_after_s is None else {"retry-after": str(retry_after_s)}
    kind = kind or ERROR_TYPES.get(status)
    if kind is None:
        return PlainTextResponse("upstream request timeout", status, _headers() | extra)
    return _answer({"type": "error", "error": {"type": kind, "message": message}}, status, extra)


def _storage_error(status: int, code: str, message: str = "The request was refused.") -> Response:
    text = f"<?xml version='1.0' encoding='UTF-8'?><Error><Code>{code}</Code><Message>{message}</Message></Error>"
    return Response(text, status, media_type="application/xml")


def _answer(told: Mapping[str, Any], status: int = 200, extra: Mapping[str, str] | None = None) -> Response:
    return JSONResponse(told, status, _headers() | dict(extra or {}))


def _headers() -> dict[str, str]:
    return {"x-request-id": uuid4().hex}


def _time(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
