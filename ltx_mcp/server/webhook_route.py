"""The route at which providers say that an order has ended. It needs no login: what counts is a provider's signature,
and all that follows is that the provider is asked.
"""

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from mcp.server import MCPServer
from mcp.server.transport_security import TransportSecurityMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response

from ltx_mcp.domain.errors import LtxError
from ltx_mcp.jobs.webhooks.receipt import Receipt
from ltx_mcp.server.app_context import AppContext
from ltx_mcp.server.auth.door import WEBHOOKS
from ltx_mcp.server.http_bodies import RETRY, SMALL_BODY_BYTES

STATUS = {
    Receipt.TAKEN: HTTPStatus.OK,
    Receipt.NOT_WANTED: HTTPStatus.NOT_FOUND,
    Receipt.MALFORMED: HTTPStatus.BAD_REQUEST,
    Receipt.OTHER_ORDER: HTTPStatus.BAD_REQUEST,
    Receipt.NOT_SIGNED: HTTPStatus.UNAUTHORIZED,
    Receipt.TOO_EARLY: HTTPStatus.SERVICE_UNAVAILABLE,
    Receipt.NOT_CHECKED: HTTPStatus.SERVICE_UNAVAILABLE,
}
"""By what became of it. A provider tells again what was not answered with 2xx."""


def add_webhook_route(
    server: MCPServer[Any], current_context: Callable[[], AppContext | None], guard: TransportSecurityMiddleware
) -> None:
    """`POST /webhooks/{provider}/{job_id}`."""

    async def webhook(request: Request) -> Response:
        if (refused := await guard.validate_request(request)) is not None:
            return refused
        body = await _read(request)
        return _answer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE if body is None else await _take(request, body))

    async def _take(request: Request, body: bytes) -> HTTPStatus:
        if (app_context := current_context()) is None:
            return HTTPStatus.SERVICE_UNAVAILABLE
        if app_context.settings.webhooks_file is None:  # then the database is not opened for strangers either
            return HTTPStatus.NOT_FOUND
        given = (request.path_params["provider"], request.path_params["job_id"], request.headers, body)
        try:
            return STATUS[await (await app_context.jobs()).take_webhook(*given)]
        except LtxError:
            return HTTPStatus.SERVICE_UNAVAILABLE

    server.custom_route(f"{WEBHOOKS}{{provider}}/{{job_id}}", methods=["POST"])(webhook)


async def _read(request: Request) -> bytes | None:
    """The body, of which no more is read than it may have; None where it has more."""
    body = bytearray()
    try:
        async for piece in request.stream():
            body += piece
            if len(body) > SMALL_BODY_BYTES:
                return None
    except ClientDisconnect:
        return None
    return bytes(body)


def _answer(status: HTTPStatus) -> Response:
    """It tells no more than its status does."""
    headers = RETRY if status is HTTPStatus.SERVICE_UNAVAILABLE else {}
    return PlainTextResponse(status.phrase.lower(), status, headers)
