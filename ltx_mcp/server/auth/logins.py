"""How callers log in: with a token of the tokens file, or one of an identity provider."""

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ltx_mcp.jobs.callers import token_caller
from ltx_mcp.server.auth.principal import ACT, Principal
from ltx_mcp.server.auth.tokens_file import TokensFile

if TYPE_CHECKING:
    from ltx_mcp.server.auth.oidc import OidcTokens

MAX_TOKEN_CHARS = 16_000
"""Tokens of identity providers that list many groups have some thousands."""


class TokenRefused(Exception):
    """Why a token is not accepted, as a sentence that shows nothing of it."""


class IssuerUnavailable(Exception):
    """No token of an identity provider can be judged: its keys were never read."""


class Logins:
    """Who holds a token: of the file, or `issued` by an identity provider. `now` gives the seconds since 1970."""

    def __init__(
        self, file: TokensFile | None, issued: "OidcTokens | None" = None, now: Callable[[], float] = time.time
    ) -> None:
        self._file, self.issued, self._now = file, issued, now

    @property
    def issuers(self) -> Sequence[str]:
        """The identity providers where one can log in, as each calls itself."""
        return self.issued.issuers if self.issued else ()

    async def find(self, token: str) -> Principal:
        """The holder of a token. Raises TokenRefused or IssuerUnavailable."""
        if len(token) > MAX_TOKEN_CHARS:
            raise TokenRefused("The token is too long.")
        row = self._file.find(token) if self._file else None
        if row is not None:
            if row.expires_at is not None and self._now() >= row.expires_at:
                raise TokenRefused("The token has expired.")
            scopes = row.scopes | {ACT} if row.may_act else row.scopes
            return Principal(token_caller(row.name), scopes, row.expires_at)
        if self.issued is None:
            raise TokenRefused("The token is not known here.")
        return await self.issued.read(token)
