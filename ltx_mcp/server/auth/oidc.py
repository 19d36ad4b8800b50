"""Access tokens of identity providers: JWTs that were signed by one of them, for this service."""

import json
import logging
from collections.abc import Callable, Mapping
from typing import Any

import anyio
from jwt import PyJWS
from jwt.exceptions import PyJWTError

from ltx_mcp.domain.quoting import quote
from ltx_mcp.jobs.callers import oidc_caller
from ltx_mcp.net.key_set import ALGORITHMS, VerifyKey
from ltx_mcp.server.auth.issuer_keys import IssuerKeys
from ltx_mcp.server.auth.logins import TokenRefused
from ltx_mcp.server.auth.principal import SCOPES, Principal

logger = logging.getLogger(__name__)

LEEWAY_S = 30
"""How far the clocks of issuers may be from ours."""
MAX_SUBJECT_CHARS = 255
MAX_SECONDS = 1e12
TYPES = ("", "jwt", "at+jwt", "application/at+jwt")
OWN_KEY = ("jku", "jwk", "x5u")
"""Headers by which a token brings, or names, a key of its own. No issuer needs them."""


class OidcTokens:
    """Who holds a token of one of these issuers that was made for `audience`. `now`: seconds since 1970."""

    def __init__(self, issuers: Mapping[str, IssuerKeys], audience: str, now: Callable[[], float]) -> None:
        self._keys_of, self._audience, self._now = issuers, audience, now
        self._jws = PyJWS(algorithms=[*ALGORITHMS], options={"enforce_minimum_key_length": True})

    @property
    def issuers(self) -> tuple[str, ...]:
        """The issuers, as each calls itself."""
        return tuple(self._keys_of)

    async def keep_fresh(self) -> None:
        """Keep the keys of all issuers fresh, for ever."""
        async with anyio.create_task_group() as group:
            for keys in self._keys_of.values():
                group.start_soon(keys.keep_fresh)

    async def read(self, token: str) -> Principal:
        """Who holds it. What costs nothing is checked first: a token that cannot count leads to no question to its
        issuer. Raises TokenRefused or IssuerUnavailable."""
        header, claims = self._peek(token)
        issuer, algorithm = claims.get("iss"), header.get("alg")
        keys = self._keys_of.get(issuer) if isinstance(issuer, str) else None
        if keys is None:
            raise TokenRefused("The token is not known here.")
        if algorithm not in ALGORITHMS or any(name in header for name in OWN_KEY):
            raise TokenRefused("The token is not signed in a way that is accepted.")
        if str(header.get("typ", "")).lower() not in TYPES:
            raise TokenRefused("The token is no access token.")
        expires_at = self._check_times(claims)
        key = await keys.find(header.get("kid"), algorithm)
        if key is None or not self._is_signed(token, key):
            raise TokenRefused("The token is not signed by a key of its issuer.")
        self._check_audience(keys.issuer, claims.get("aud"))
        return Principal(oidc_caller(keys.issuer, _subject(claims)), _scopes(claims), expires_at)

    def _peek(self, token: str) -> tuple[dict[str, Any], dict[str, Any]]:
        """What a token says of itself, which nobody has vouched for yet."""
        try:
            parts = self._jws.decode_complete(token, options={"verify_signature": False})
            claims = json.loads(parts["payload"])
        except (PyJWTError, ValueError, RecursionError) as error:
            raise TokenRefused("The token is not known here.") from error
        if not isinstance(claims, dict):
            raise TokenRefused("The token is not known here.")
        return parts["header"], claims

    def _is_signed(self, token: str, key: VerifyKey) -> bool:
        try:
            self._jws.decode_complete(token, key.key, [*key.algorithms])
        except PyJWTError:
            return False
        return True

    def _check_times(self, claims: Mapping[str, Any]) -> int:
        """When it expires."""
        now = self._now()
        expires_at, issued_at = _moment(claims, "exp"), _moment(claims, "iat")
        if now >= expires_at + LEEWAY_S:
            raise TokenRefused("The token has expired.")
        if issued_at > now + LEEWAY_S or ("nbf" in claims and _moment(claims, "nbf") > now + LEEWAY_S):
            raise TokenRefused("The token is not valid yet.")
        return int(expires_at)

    def _check_audience(self, issuer: str, named: Any) -> None:
        if self._audience in (named if isinstance(named, list) else [named]):
            return
        shown = quote(json.dumps(named))
        logger.warning("A token of %s is for %s, not for %s: LTX_MCP_OIDC_AUDIENCE.", issuer, shown, self._audience)
        raise TokenRefused("The token was made for another audience than this service.")


def _moment(claims: Mapping[str, Any], name: str) -> float:
    """A time, in seconds since 1970."""
    value = claims.get(name)
    if not isinstance(value, bool) and isinstance(value, int | float) and abs(value) < MAX_SECONDS:
        return float(value)
    raise TokenRefused(f"The token has no usable {name}.")


def _subject(claims: Mapping[str, Any]) -> str:
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 1 <= len(subject) <= MAX_SUBJECT_CHARS:
        raise TokenRefused("The token has no usable sub.")
    return subject


def _scopes(claims: Mapping[str, Any]) -> frozenset[str]:
    """Those of ours, from `scope` (RFC 8693) or `scp` (Entra and others)."""
    named: set[str] = set()
    for given in (claims.get("scope"), claims.get("scp")):
        listed = given.split() if isinstance(given, str) else given if isinstance(given, list) else ()
        named |= {each for each in listed if isinstance(each, str)}
    return frozenset(named.intersection(SCOPES))
