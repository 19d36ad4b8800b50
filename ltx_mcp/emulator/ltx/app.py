"""The LTX API as its pages describe it: v2 jobs, v1 films in the answer, and uploads into a Google storage bucket.

What an order may hold stands in ltx_orders.py and ltx_edits.py, what a medium may be in ltx_inputs.py. An order for a
film that lies behind an address elsewhere is taken for what inputs.py says.
"""

import hashlib
from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import uuid4

import anyio
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ltx_mcp.emulator.checks import WholeFilm, read_json
from ltx_mcp.emulator.edits import EmulatedEdit
from ltx_mcp.emulator.emulator_state import EmulatedOrder
from ltx_mcp.emulator.inputs import Stored
from ltx_mcp.emulator.ltx.edits import READ
from ltx_mcp.emulator.ltx.errors import (
    BLOCKED,
    ERROR_TYPES,
    KEY,
    NAME,
    LtxRefusal,
    make_headers,
    refuse,
    refuse_put,
    to_answer,
    to_error,
    to_storage_error,
    to_time,
)
from ltx_mcp.emulator.ltx.inputs import KEPT_S, UPLOAD_BYTES
from ltx_mcp.emulator.ltx.orders import find_mistake, to_film
from ltx_mcp.emulator.wire import Emulator

__all__ = ["KEY", "NAME", "refuse", "routes", "settings"]

ENDPOINTS = ("text-to-video", "image-to-video", *READ)
SLOT_S = 3600
FULL_S = 2
REQUIRED_HEADERS = {"x-goog-content-length-range": f"0,{UPLOAD_BYTES}", "x-goog-if-generation-match": "0"}


def settings(base_url: str) -> dict[str, str]:
    """The environment that points ltx-mcp here."""
    return {"LTX_API_KEY": KEY, "LTX_MCP_LTX_URL": base_url}


def routes(emulator: Emulator) -> list[Route]:
    """The documented calls that order films, and the bucket that uploads go to."""
    api = _LtxApi(emulator)
    submits = [(f"/v2/{name}", api.submit) for name in ENDPOINTS] + [(f"/v1/{name}", api.film) for name in ENDPOINTS]
    return [
        *(emulator.route(NAME, "submit", path, "POST", handler, refuse) for path, handler in submits),
        emulator.route(NAME, "poll", "/v2/{endpoint}/{id}", "GET", api.poll, refuse),
        emulator.route(NAME, "upload", "/v1/upload", "POST", api.slot, refuse),
        emulator.route(NAME, "put", "/ltx-bucket/{name}", "PUT", api.put, refuse_put),
    ]


class _LtxApi:
    """The handlers; each looks at the key first."""

    def __init__(self, emulator: Emulator) -> None:
        self._emulator, self._world = emulator, emulator.world

    async def submit(self, request: Request) -> Response:
        """v2: take the order, and answer with its id."""
        order = await self._place(request)
        if isinstance(order, Response):
            return order
        return to_answer({"id": order.id, "created_at": to_time(order.placed_at)}, 202)

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
            return to_error(422 if told["type"] == ERROR_TYPES[422] else 500, told["message"])
        return WholeFilm(await self._emulator.films.path(order.film), make_headers())

    async def poll(self, request: Request) -> Response:
        """v2: where a job stands, under the endpoint it was sent to, for a day after its end."""
        if refusal := self._locked_out(request):
            return refusal
        order = self._world.find(NAME, request.path_params["id"])
        path = f"/v2/{request.path_params['endpoint']}"
        if order is None or order.endpoint != path or self._forgotten(order):
            return to_error(404, f"Job {request.path_params['id']} not found")
        return to_answer(self._job(order))

    async def slot(self, request: Request) -> Response:
        """A place to upload one file to, for an hour."""
        if refusal := self._locked_out(request):
            return refusal
        name, signature = uuid4().hex, uuid4().hex
        uri, expires_at = f"ltx://uploads/{name}", self._world.now() + timedelta(seconds=SLOT_S)
        self._world.uploads[uri] = {"provider": NAME, "signature": signature, "expires_at": expires_at}
        return to_answer(
            {
                "upload_url": f"{self._emulator.base_url}/ltx-bucket/{name}?sig={signature}",
                "storage_uri": uri,
                "expires_at": to_time(expires_at),
                "required_headers": dict(REQUIRED_HEADERS),
            }
        )

    async def put(self, request: Request) -> Response:
        """The upload itself: once a slot, with the headers it was given and none that carries the key."""
        entry = self._world.uploads.get(f"ltx://uploads/{request.path_params['name']}")
        if entry is None or request.query_params.get("sig") != entry["signature"]:
            return to_storage_error(403, "SignatureDoesNotMatch")
        file: Stored = request.state.file
        if wrong := self._wrong_put(request, entry, file):
            return wrong
        content_type = request.headers["content-type"]
        entry.update(file=file, sha256=file.sha256, content_type=content_type, stored_at=self._world.now())
        return Response(status_code=200, headers={"etag": f'"{file.sha256[:32]}"'})

    def _wrong_put(self, request: Request, entry: Mapping[str, Any], file: Stored) -> Response | None:
        if "authorization" in request.headers:
            return to_storage_error(400, "InvalidArgument", "A signed address and an Authorization header")
        if self._world.now() > entry["expires_at"]:
            return to_storage_error(400, "ExpiredToken")
        for name, value in REQUIRED_HEADERS.items():
            if request.headers.get(name) != value:
                return to_storage_error(400, "MalformedSecurityHeader", f"{name} must be sent as given")
        if not request.headers.get("content-type"):
            return to_storage_error(400, "InvalidArgument", "Content-Type is missing")
        if file.size > UPLOAD_BYTES:
            return to_storage_error(400, "EntityTooLarge")
        return to_storage_error(412, "PreconditionFailed") if "stored_at" in entry else None

    async def _place(self, request: Request) -> EmulatedOrder | Response:
        if refusal := self._locked_out(request):
            return refusal
        if self._world.is_full(NAME):
            return to_error(429, "Queue limit exceeded", retry_after_s=FULL_S)
        body = await read_json(request)
        if body is None:
            return to_error(400, "The body must be a JSON object, sent as application/json")
        try:
            asked = await self._read_order(request.url.path.rsplit("/", 1)[1], body)
        except LtxRefusal as refused:
            return to_error(400, str(refused))
        return self._world.place(
            NAME, request.url.path, body, asked.film, order_id=str(uuid4()), billed_s=asked.billed_s
        )

    async def _read_order(self, endpoint: str, body: Mapping[str, Any]) -> EmulatedEdit:
        """Raises LtxRefusal."""
        if endpoint in READ:
            return await READ[endpoint](body, self._emulator)
        if wrong := find_mistake(body, picture=endpoint == "image-to-video", world=self._world):
            raise LtxRefusal(wrong)
        return EmulatedEdit(to_film(body))

    def _locked_out(self, request: Request) -> Response | None:
        if request.headers.get("authorization") == f"Bearer {self._world.keys.get(NAME, KEY)}":
            return None
        return to_error(401, "The API key is missing, malformed or wrong")

    def _forgotten(self, order: EmulatedOrder) -> bool:
        ended = self._world.state(order) in ("done", "failed")
        return ended and self._world.now() > self._world.finished_at(order) + timedelta(seconds=KEPT_S)

    def _job(self, order: EmulatedOrder) -> dict[str, Any]:
        state = self._world.state(order)
        job: dict[str, Any] = {"status": "pending", "id": order.id, "created_at": to_time(order.placed_at)}
        if order.fault and order.fault.kind == "unknown_state":
            return job | {"status": "hibernating"}
        if state in ("waiting", "running"):
            return job | {"status": "pending" if state == "waiting" else "processing"}
        job["completed_at"] = to_time(self._world.finished_at(order))
        if state == "failed":
            return job | {"status": "failed", "error": _failure(order)}
        signature = hashlib.sha256(order.id.encode()).hexdigest()
        url = f"{self._emulator.base_url}/media/{order.media_id}.mp4?sig={signature}"
        return job | {"status": "completed", "result": {"video_url": url}}


def _failure(order: EmulatedOrder) -> dict[str, str]:
    if order.fault and order.fault.kind == "content":
        return {"type": ERROR_TYPES[422], "message": BLOCKED}
    return {"type": ERROR_TYPES[500], "message": "The generation failed"}
