"""The route of the videos, with byte ranges, so that a player can seek.

Where callers log in a video is for whoever has its signed link, and for its caller. To everyone else it is as if it had
never been, whatever they know of it.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from mcp.server import MCPServer
from mcp.server.transport_security import TransportSecurityMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from ltx_mcp.domain.errors import CallerError, LtxError
from ltx_mcp.jobs.callers import LOCAL
from ltx_mcp.server.app_context import AppContext
from ltx_mcp.server.auth.links import LinkSigner, Proof
from ltx_mcp.server.auth.principal import SCOPE_KEY, principal_of
from ltx_mcp.server.http_bodies import FileTransfers, VideoResponse

NOT_FOUND = "not found"
EXPIRED = "this link has expired; check_job gives a new one"
NOT_KEPT = {"Cache-Control": "no-store"}
FOR_ONE_PERSON = {"Cache-Control": "private"}
QUERY = "ltx_mcp.query"


class HidesQuery:
    """ASGI middleware: moves the query to a place that only this route knows. It may be a signature, or a token that
    does not belong there, and what traces requests further inside tells their whole address."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope = {**scope, "query_string": b"", QUERY: scope["query_string"].decode("latin-1")}
        await self._app(scope, receive, send)


def add_video_route(
    server: MCPServer[Any], current_context: Callable[[], AppContext | None], guard: TransportSecurityMiddleware
) -> None:
    """`GET /videos/{job_id}.mp4`. The SDK guards its own route only."""
    downloads = FileTransfers()

    async def video(request: Request) -> Response:
        if (refused := await guard.validate_request(_as_shown(request))) is not None:
            return refused
        app_context = current_context()
        name = request.path_params["name"]
        if app_context is None or not name.endswith(".mp4"):
            return PlainTextResponse(NOT_FOUND, status_code=404)
        return await _video(app_context, request, name.removesuffix(".mp4"), downloads)

    server.custom_route("/videos/{name}", methods=["GET", "HEAD"])(video)


async def _video(app_context: AppContext, request: Request, job_id: str, downloads: FileTransfers) -> Response:
    """The video of a job, or why there is none."""
    signer = app_context.signer
    headers = {} if signer is None else FOR_ONE_PERSON
    proof = Proof.NONE if signer is None else signer.check(job_id, request.scope[QUERY], datetime.now(UTC))
    caller = None if proof is Proof.VALID else _caller_of(request, signer)
    if caller is None and proof is not Proof.VALID:
        return PlainTextResponse(EXPIRED if proof is Proof.EXPIRED else NOT_FOUND, 404, headers)
    try:
        jobs = await app_context.jobs()
        place = await jobs.keeping.place(await jobs.get(job_id, caller), "HEAD" if request.method == "HEAD" else "GET")
    except CallerError:
        return PlainTextResponse(NOT_FOUND, 404, headers)
    except LtxError as error:
        return PlainTextResponse(error.code, 503, headers)
    if place is None:
        return PlainTextResponse("this job has no film", 404, headers)
    if isinstance(place, str):  # an address in the bucket lives for minutes: nobody may keep where it led to
        return RedirectResponse(place, 307, NOT_KEPT)
    return VideoResponse(downloads, place, headers)


def _caller_of(request: Request, signer: LinkSigner | None) -> str | None:
    """Whose videos this request may have without a link; None: nobody's, because nobody has logged in."""
    if signer is None:
        return LOCAL
    principal = principal_of(request)
    return principal.caller if SCOPE_KEY in request.scope and principal.may_read else None


def _as_shown(request: Request) -> Request:
    """Drop the Origin of a `<video>` in any page, such as the player in its host: it may show a video whose name it
    knows, but read nothing. Then only Host is checked. No page can set these headers itself."""
    headers = request.headers
    if (headers.get("sec-fetch-mode"), headers.get("sec-fetch-dest")) != ("no-cors", "video"):
        return request
    kept = [(name, value) for name, value in request.scope["headers"] if name != b"origin"]
    return Request({**request.scope, "headers": kept})
