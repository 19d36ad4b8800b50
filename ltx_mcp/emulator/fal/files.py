"""Uploads to the emulated fal.ai: initiate and put, a token and a direct post, or many parts; and where they lie."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote, unquote
from uuid import uuid4

from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from ltx_mcp.emulator.checks import read_json
from ltx_mcp.emulator.fal.errors import NAME, check_key, detail, infra_error, model_error, refuse
from ltx_mcp.emulator.inputs import Stored
from ltx_mcp.emulator.wire import Emulator, Handler, RequestRefused

TOKEN_TYPE = "Bearer"
TOKEN_S = 3600
STORAGES = ("fal-cdn-v3", "gcs")


@dataclass
class Files:
    """The files somebody put here. `tokens` are those of the CDN, each with its end."""

    emulator: Emulator
    tokens: dict[str, datetime] = field(default_factory=dict)

    def routes(self) -> list[Route]:
        """Every way a file comes in, and the public one it goes out."""
        part = "/files/b/{file_id}/{name}/multipart/{upload_id}"
        table: list[tuple[str, str, str, Handler]] = [
            ("upload", "/storage/upload/initiate", "POST", self.initiate),
            ("upload", "/storage/auth/token", "POST", self.token),
            ("put", "/fal-storage/{file_id}/{name}", "PUT", self.put),
            ("put", "/files/upload", "POST", self.post),
            ("upload", "/files/upload/multipart", "POST", self.begin),
            ("upload", part + "/complete", "POST", self.complete),
            ("put", part + "/{number:int}", "PUT", self.part),
            ("media", "/files/b/{file_id}/{name}", "GET", self.file),
        ]
        return [self.emulator.route(NAME, step, path, method, handler, refuse) for step, path, method, handler in table]

    def find(self, url: str) -> Stored | None:
        """The file behind a URL of this emulator; None where there is none."""
        head = f"{self.emulator.base_url}/files/b/"
        if not url.startswith(head):
            return None
        file_id, _, name = url.removeprefix(head).partition("/")
        upload = self.emulator.state.uploads.get(file_id)
        if upload is None or upload["provider"] != NAME or upload["file_name"] != unquote(name):
            return None
        file: Stored | None = upload["file"]
        return file

    async def initiate(self, request: Request) -> Response:
        """Two steps, first: says where to put the bytes, and what they will be called."""
        check_key(request, self.emulator.state)
        storage = request.query_params.get("storage_type", "fal-cdn-v3")
        if storage not in STORAGES:
            return infra_error(400, message=f"Unknown storage type {storage}")
        body = await read_json(request) or {}
        missing = [name for name in ("content_type", "file_name") if not isinstance(body.get(name), str)]
        if missing:
            return model_error([detail("missing", name, "Field required", body) for name in missing])
        upload = self._new(body["file_name"], body["content_type"], storage=storage)
        put = f"{self.emulator.base_url}/fal-storage/{upload['id']}/{quote(upload['file_name'], safe='')}"
        return JSONResponse({"upload_url": f"{put}?signature={upload['secret']}", "file_url": upload["url"]})

    async def put(self, request: Request) -> Response:
        """Two steps, second: a signed address, so no key may come here."""
        upload = self._upload(request)
        # the official Python client, whose way this storage is, sends its key here
        if "authorization" in request.headers and upload["storage"] != "gcs":
            return PlainTextResponse("Only one way of authorization is allowed", 400)
        if request.query_params.get("signature") != upload["secret"]:
            return PlainTextResponse("The signature does not match", 403)
        if request.headers.get("content-type") != upload["content_type"]:
            return PlainTextResponse("The content type is not the one that was signed", 403)
        upload["file"] = request.state.file
        return Response(status_code=200, headers={"ETag": request.state.file.etag})

    async def token(self, request: Request) -> Response:
        """A token for the CDN."""
        check_key(request, self.emulator.state)
        token, ends_at = uuid4().hex, self.emulator.state.now() + timedelta(seconds=TOKEN_S)
        self.tokens[token] = ends_at
        expires_at, base_url = ends_at.isoformat(), self.emulator.base_url
        return JSONResponse({"token": token, "token_type": TOKEN_TYPE, "base_url": base_url, "expires_at": expires_at})

    async def post(self, request: Request) -> Response:
        """The complete file in one request to the CDN."""
        self._check_token(request)
        upload = self._from_headers(request)
        upload["file"] = request.state.file
        return JSONResponse({"access_url": upload["url"]})

    async def begin(self, request: Request) -> Response:
        """Many parts, first."""
        self._check_token(request)
        upload = self._from_headers(request)
        return JSONResponse({"access_url": upload["url"], "uploadId": upload["secret"]})

    async def part(self, request: Request) -> Response:
        """Many parts, each."""
        self._check_token(request)
        file: Stored = request.state.file
        self._upload(request)["parts"][request.path_params["number"]] = file
        return Response(status_code=200, headers={"ETag": file.etag})

    async def complete(self, request: Request) -> Response:
        """Many parts, last: all of them, by number and tag, are the file."""
        self._check_token(request)
        upload = self._upload(request)
        parts: dict[int, Stored] = dict(sorted(upload["parts"].items()))
        etags = {number: file.etag for number, file in parts.items()}
        named = (await read_json(request) or {}).get("parts", [])
        if {part.get("partNumber"): part.get("etag") for part in named} != etags:
            return infra_error(400, message="The parts are not those that were uploaded")
        upload["file"] = await self.emulator.inputs.join(list(parts.values()))
        return JSONResponse({"access_url": upload["url"]})

    async def file(self, request: Request) -> Response:
        """A file, for anybody."""
        upload = self._upload(request)
        if upload["file"] is None:
            return PlainTextResponse("Not found", 404)
        return FileResponse(upload["file"].path, media_type=upload["content_type"])

    def _from_headers(self, request: Request) -> dict[str, Any]:
        headers = request.headers
        content_type = headers.get("content-type", "application/octet-stream")
        return self._new(headers.get("x-fal-file-name", "upload.bin"), content_type)

    def _new(self, file_name: str, content_type: str, storage: str = "cdn") -> dict[str, Any]:
        file_id, file_name = f"0f{self.emulator.state.number():06x}", file_name.replace("/", "_")
        upload: dict[str, Any] = {
            "id": file_id,
            "provider": NAME,
            "file_name": file_name,
            "content_type": content_type,
            "storage": storage,
            "secret": uuid4().hex,
            "url": f"{self.emulator.base_url}/files/b/{file_id}/{quote(file_name, safe='')}",
            "parts": {},
            "file": None,
        }
        self.emulator.state.uploads[file_id] = upload
        return upload

    def _upload(self, request: Request) -> dict[str, Any]:
        """The upload a path names. Raises RequestRefused."""
        known: dict[str, Any] | None = self.emulator.state.uploads.get(request.path_params["file_id"])
        secret = request.path_params.get("upload_id")
        if known is None or known["provider"] != NAME or secret not in (None, known["secret"]):
            raise RequestRefused(PlainTextResponse("Not found", 404))
        return known

    def _check_token(self, request: Request) -> None:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        ends_at = self.tokens.get(token)
        if scheme != TOKEN_TYPE or ends_at is None or ends_at < self.emulator.state.now():
            raise RequestRefused(infra_error(401, message="Invalid token"))
