"""The LTX API as its pages describe it: v2 jobs, v1 videos in the answer, and uploads into a Google storage bucket.

What an order may hold stands in orders.py, what a media file may be in inputs.py.
"""

import hashlib
from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import uuid4

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ltx_mcp.emulator.checks import WholeVideoResponse, has_bearer, read_json
from ltx_mcp.emulator.emulator_state import EmulatedOrder
from ltx_mcp.emulator.inputs import Stored
from ltx_mcp.emulator.ltx.errors import (
    BLOCKED,
    ERROR_TYPES,
    KEY,
    NAME,
    invalid,
    make_headers,
    refuse,
    refuse_put,
    to_answer,
    to_error,
    to_storage_error,
    to_time,
)
from ltx_mcp.emulator.ltx.inputs import KEPT_S, UPLOAD_BYTES
from ltx_mcp.emulator.ltx.orders import ONLY_V2, READERS
from ltx_mcp.emulator.wire import Emulator, RequestRefused

SLOT_S = 3600
FULL_S = 2
REQUIRED_HEADERS = {"x-goog-content-length-range": f"0,{UPLOAD_BYTES}", "x-goog-if-generation-match": "0"}


def routes(emulator: Emulator) -> list[Route]:
    """The documented calls that order videos, and the bucket that uploads go to."""
    api = _LtxApi(emulator)
    submits = [(f"/v2/{name}", api.submit) for name in READERS]
    submits += [(f"/v1/{name}", api.video) for name in READERS if name not in ONLY_V2]
    return [
        *(emulator.route(NAME, "submit", path, "POST", handler, refuse) for path, handler in submits),
        emulator.route(NAME, "poll", "/v2/{endpoint}/{id}", "GET", api.poll, refuse),
        emulator.route(NAME, "upload", "/v1/upload", "POST", api.slot, refuse),
        emulator.route(NAME, "put", "/ltx-bucket/{name}", "PUT", api.put, refuse_put),
    ]


class _LtxApi:
    """The handlers; each checks the key first."""

    def __init__(self, emulator: Emulator) -> None:
        self._emulator, self._state = emulator, emulator.state

    async def submit(self, request: Request) -> Response:
        """v2: accept the order, and answer with its id."""
        order = await self._place(request)
        return to_answer({"id": order.id, "created_at": to_time(order.placed_at)}, 202)

    async def video(self, request: Request) -> Response:
        """v1: accept the order, and answer with the video when it is done."""
        order = await self._place(request)
        await self._emulator.wait_for_end(request, order)
        if self._state.status(order) != "done":
            failure = _failure(order)
            return to_error(422 if failure["type"] == ERROR_TYPES[422] else 500, failure["message"])
        return WholeVideoResponse(await self._emulator.videos.path(order.video), make_headers())

    async def poll(self, request: Request) -> Response:
        """v2: where a job stands, under the endpoint it was sent to, for a day after its end."""
        self._check_key(request)
        order = self._state.find(NAME, request.path_params["id"], request.state.account)
        path = f"/v2/{request.path_params['endpoint']}"
        if order is None or order.endpoint != path or self._is_forgotten(order):
            return to_error(404, f"Job {request.path_params['id']} not found")
        return to_answer(self._job(order))

    async def slot(self, request: Request) -> Response:
        """A place to upload one file to, for an hour."""
        self._check_key(request)
        name, signature = uuid4().hex, uuid4().hex
        uri, expires_at = f"ltx://uploads/{name}", self._state.now() + timedelta(seconds=SLOT_S)
        self._state.uploads[uri] = {"provider": NAME, "signature": signature, "expires_at": expires_at}
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
        entry = self._state.uploads.get(f"ltx://uploads/{request.path_params['name']}")
        if entry is None or request.query_params.get("sig") != entry["signature"]:
            return to_storage_error(403, "SignatureDoesNotMatch")
        file: Stored = request.state.file
        if wrong := self._wrong_put(request, entry, file):
            return wrong
        content_type = request.headers["content-type"]
        entry.update(file=file, content_type=content_type, stored_at=self._state.now())
        return Response(status_code=200, headers={"etag": file.etag})

    def _wrong_put(self, request: Request, entry: Mapping[str, Any], file: Stored) -> Response | None:
        if "authorization" in request.headers:
            return to_storage_error(400, "InvalidArgument", "A signed address and an Authorization header")
        if self._state.now() > entry["expires_at"]:
            return to_storage_error(400, "ExpiredToken")
        for name, value in REQUIRED_HEADERS.items():
            if request.headers.get(name) != value:
                return to_storage_error(400, "MalformedSecurityHeader", f"{name} must be sent as given")
        if not request.headers.get("content-type"):
            return to_storage_error(400, "InvalidArgument", "Content-Type is missing")
        if file.size > UPLOAD_BYTES:
            return to_storage_error(400, "EntityTooLarge")
        return to_storage_error(412, "PreconditionFailed") if "stored_at" in entry else None

    async def _place(self, request: Request) -> EmulatedOrder:
        """Raises RequestRefused."""
        self._check_key(request)
        if self._state.is_full(NAME):
            raise RequestRefused(to_error(429, "Queue limit exceeded", retry_after_s=FULL_S))
        body = await read_json(request)
        if body is None:
            raise invalid("The body must be a JSON object, sent as application/json")
        edit = await READERS[request.url.path.rsplit("/", 1)[1]](body, self._emulator)
        return self._state.place(
            NAME,
            request.url.path,
            body,
            edit.video,
            order_id=str(uuid4()),
            billed_s=edit.billed_s,
            account=request.state.account,
        )

    def _check_key(self, request: Request) -> None:
        """Raises RequestRefused."""
        if not has_bearer(request, self._state, NAME, KEY):
            raise RequestRefused(to_error(401, "The API key is missing, malformed or wrong"))

    def _is_forgotten(self, order: EmulatedOrder) -> bool:
        has_ended = self._state.status(order) in ("done", "failed")
        return has_ended and self._state.ended_before(order, KEPT_S)

    def _job(self, order: EmulatedOrder) -> dict[str, Any]:
        job: dict[str, Any] = {"status": "pending", "id": order.id, "created_at": to_time(order.placed_at)}
        if order.fault_kind == "unknown_state":
            return job | {"status": "hibernating"}
        status = self._state.status(order)
        if status in ("waiting", "running"):
            return job | {"status": "pending" if status == "waiting" else "processing"}
        job["completed_at"] = to_time(self._state.finished_at(order))
        if status == "failed":
            return job | {"status": "failed", "error": _failure(order)}
        signature = hashlib.sha256(order.id.encode()).hexdigest()
        url = f"{self._emulator.video_url(order)}?sig={signature}"
        return job | {"status": "completed", "result": {"video_url": url}}


def _failure(order: EmulatedOrder) -> dict[str, str]:
    if order.fault_kind == "content":
        return {"type": ERROR_TYPES[422], "message": BLOCKED}
    return {"type": ERROR_TYPES[500], "message": "The generation failed"}
