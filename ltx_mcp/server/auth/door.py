"""The door of a server with logins: who sent a request, or 401. What each may do is decided inside, by `scopes.py`."""

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from urllib.parse import urlsplit

import anyio
from mcp.server.auth.middleware.auth_context import AuthContextMiddleware
from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ltx_mcp.jobs.callers import user_caller
from ltx_mcp.log_context import log_context, set_log_context
from ltx_mcp.server.auth.logins import IssuerUnavailable, Logins, TokenRefused
from ltx_mcp.server.auth.principal import ACT, SCOPE_KEY, STRANGER, USER_SCOPES, Principal
from ltx_mcp.server.auth.scopes import REFUSALS

WELL_KNOWN = "/.well-known/"
METADATA = f"{WELL_KNOWN}oauth-protected-resource"
VIDEOS = "/videos/"
OPEN = ("/healthz", "/readyz")
MAX_USER_CHARS = 128
RETRY_S = 5
_BEARER = re.compile(r"[Bb][Ee][Aa][Rr][Ee][Rr] +([A-Za-z0-9._~+/-]+=*) *")
_ANY_SITE = {"Access-Control-Allow-Origin": "*"}
_PREFLIGHT = _ANY_SITE | {
    "Access-Control-Allow-Methods": "GET, OPTIONS",
    "Access-Control-Allow-Headers": "MCP-Protocol-Version",
}


class NotLetIn(Exception):
    """The answer to a request that is not let in. `error` and `scopes` are those of RFC 6750."""

    def __init__(self, status: int, message: str, error: str = "", scopes: Sequence[str] = USER_SCOPES) -> None:
        super().__init__(message)
        self.status, self.message, self.error, self.scopes = status, message, error, scopes


class Door:
    """ASGI middleware around everything. Only the metadata, videos (which have guards of their own) and the state of
    this process can be reached by a STRANGER."""

    def __init__(self, app: ASGIApp, *, logins: Logins, public_url: str) -> None:
        self._app = AuthContextMiddleware(app)
        self._logins, self._issuers = logins, logins.issuers
        self._public_url = public_url.rstrip("/")
        below = urlsplit(self._public_url).path
        self._metadata_paths = {METADATA, f"{METADATA}/mcp", f"{METADATA}{below}/mcp"} if self._issuers else set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(scope, receive, send)
        elif scope["type"] != "http":
            await self._app(scope, receive, send)
        elif scope["path"] in self._metadata_paths:
            await self._metadata(scope["method"])(scope, receive, send)
        else:
            try:
                principal = await self._principal(scope)
            except NotLetIn as refused:
                await self._answer(refused)(scope, receive, send)
                return
            await self._let_in(principal, scope, receive, send)

    async def _live(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with anyio.create_task_group() as group:
            if self._logins.issued is not None:
                group.start_soon(self._logins.issued.keep_fresh)
            await self._app(scope, receive, send)
            group.cancel_scope.cancel()

    async def _principal(self, scope: Scope) -> Principal:
        """Who sent it. Raises NotLetIn."""
        path = scope["path"]
        given = [value for name, value in scope["headers"] if name == b"authorization"]
        if path in OPEN or path.startswith(WELL_KNOWN) or (path.startswith(VIDEOS) and not given):
            return STRANGER
        if len(given) > 1:
            raise NotLetIn(400, "More than one Authorization header.", "invalid_request")
        token = _BEARER.fullmatch(given[0].decode("latin-1")) if given else None
        if token is None:
            is_bearer = bool(given) and given[0].lower().startswith(b"bearer")
            raise NotLetIn(
                401, "A token is needed, as Authorization: Bearer TOKEN", "invalid_token" if is_bearer else ""
            )
        try:
            principal = await self._logins.find(token[1])
        except TokenRefused as error:
            raise NotLetIn(401, str(error), "invalid_token") from error
        except IssuerUnavailable as error:
            raise NotLetIn(503, str(error)) from error
        if not principal.may_read:
            raise NotLetIn(403, "The token has none of the scopes that are needed.", "insufficient_scope")
        return _acting(principal, [value for name, value in scope["headers"] if name == b"x-ltx-user"])

    async def _let_in(self, principal: Principal, scope: Scope, receive: Receive, send: Send) -> None:
        refusals: list[str] = []
        # the token itself stays here: nothing inside could log or trace it
        headers = [(name, value) for name, value in scope["headers"] if name != b"authorization"]
        inner = {**scope, "headers": headers, SCOPE_KEY: principal, REFUSALS: refusals}
        if principal is not STRANGER:
            # the SDK binds sessions and the state of questions to whoever this names
            token = AccessToken(token="", client_id=principal.caller, scopes=[], subject=principal.caller)
            inner |= {"user": AuthenticatedUser(token)}
            set_log_context(replace(log_context(), caller=principal.caller))

        async def send_or_forbid(message: Message) -> None:
            if refusals and message["type"] == "http.response.start":
                challenge = self._challenge(NotLetIn(403, refusals[0], "insufficient_scope"))
                headers = [*message["headers"], (b"www-authenticate", challenge.encode())]
                message = {**message, "status": 403, "headers": headers}
            await send(message)

        await self._app(inner, receive, send_or_forbid)

    def _metadata(self, method: str) -> Response:
        """RFC 9728, where each issuer stands as it calls itself. Pages of other sites may read it."""
        if method == "OPTIONS":
            return Response(status_code=204, headers=_PREFLIGHT)
        if method not in ("GET", "HEAD"):
            return Response(status_code=405, headers={"Allow": "GET, HEAD, OPTIONS"})
        metadata = {
            "resource": f"{self._public_url}/mcp",
            "authorization_servers": [*self._issuers],
            "scopes_supported": [*USER_SCOPES],
            "bearer_methods_supported": ["header"],
            "resource_name": "ltx-mcp",
        }
        return JSONResponse(metadata, headers={"Cache-Control": "public, max-age=300", **_ANY_SITE})

    def _answer(self, refused: NotLetIn) -> Response:
        headers = {"Cache-Control": "no-store"}
        if refused.status in (401, 403):
            headers["WWW-Authenticate"] = self._challenge(refused)
        if refused.status == 503:
            headers["Retry-After"] = str(RETRY_S)
        body = {"error": refused.error, "error_description": refused.message}
        return JSONResponse({name: text for name, text in body.items() if text}, refused.status, headers)

    def _challenge(self, refused: NotLetIn) -> str:
        """What a client shall do: where to log in, and for which scopes. All are named, since some clients ask for no
        more than they registered with."""
        parts = {"error": refused.error, "error_description": refused.message if refused.error else ""}
        parts["resource_metadata"] = f"{self._public_url}{METADATA}/mcp" if self._issuers else ""
        parts["scope"] = " ".join(refused.scopes)
        return "Bearer " + ", ".join(f"{name}={json.dumps(text)}" for name, text in parts.items() if text)


def _acting(principal: Principal, users: Sequence[bytes]) -> Principal:
    """The principal itself, or the one user for whom it acts. Raises NotLetIn."""
    if not users:
        return principal
    if ACT not in principal.scopes:
        needed = (*USER_SCOPES, ACT)
        raise NotLetIn(403, "This token may not act for others with X-LTX-User.", "insufficient_scope", needed)
    try:
        user = users[0].decode()
    except UnicodeDecodeError:
        user = ""
    if len(users) > 1 or not 1 <= len(user) <= MAX_USER_CHARS or not user.isprintable() or " " in user:
        why = f"X-LTX-User must stand once, with 1 to {MAX_USER_CHARS} visible characters in UTF-8."
        raise NotLetIn(400, why, "invalid_request")
    return replace(principal, caller=user_caller(principal.caller, user))
