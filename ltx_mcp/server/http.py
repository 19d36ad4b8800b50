"""The same server over streamable HTTP, and its films with byte ranges, so that a player can seek."""

from collections.abc import Callable
from typing import Any

from mcp.server import MCPServer
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response

from ltx_mcp.domain.errors import LtxError
from ltx_mcp.server.desk import CALLER, Desk


def add_video_route(server: MCPServer[Any], desk_now: Callable[[], Desk | None]) -> None:
    """`GET /videos/{job_id}.mp4` for the jobs of this server."""

    async def video(request: Request) -> Response:
        desk = desk_now()
        name = request.path_params["name"]
        if desk is None or not name.endswith(".mp4"):
            return PlainTextResponse("not found", status_code=404)
        try:
            jobs = await desk.jobs()
            path = jobs.film(await jobs.get(name.removesuffix(".mp4"), CALLER))
        except LtxError as error:
            return PlainTextResponse(str(error), status_code=404)
        if path is None:
            return PlainTextResponse("this job has no film", status_code=404)
        return FileResponse(path, media_type="video/mp4")

    server.custom_route("/videos/{name}", methods=["GET", "HEAD"])(video)
