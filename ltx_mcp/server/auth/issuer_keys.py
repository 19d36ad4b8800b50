"""The public keys of an identity provider, which its tokens are checked with. They are read again from time to time and
when a token names one that is not known; while that fails, those that were read last still count.
"""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from math import inf
from typing import Any
from urllib.parse import urlsplit

import anyio
from jwt import PyJWK
from jwt.exceptions import PyJWTError

from ltx_mcp.domain.quoting import quote
from ltx_mcp.net.fetch_json import FetchError
from ltx_mcp.server.auth.logins import IssuerUnavailable

logger = logging.getLogger(__name__)

REFRESH_S = 300.0
"""After this a key that the issuer withdrew is not trusted any more."""
UNKNOWN_S = 10.0
"""How often unknown keys, which anybody may name, can make us ask the issuer."""
MAX_KEYS = 100
ALGORITHMS_OF = {("RSA", None): ("RS256", "PS256"), ("EC", "P-256"): ("ES256",), ("OKP", "Ed25519"): ("EdDSA",)}
"""By kty and crv: what a key may be used for, whatever a token says."""
ALGORITHMS = tuple(each for algorithms in ALGORITHMS_OF.values() for each in algorithms)

Fetch = Callable[[str], Awaitable[Any]]
"""The JSON at an address. Raises FetchError."""


@dataclass(frozen=True)
class VerifyKey:
    """A public key, and the algorithms it may be used with."""

    kid: str | None
    key: Any
    algorithms: tuple[str, ...]


class IssuerKeys:
    """The keys of one issuer. `now` is a clock in seconds."""

    def __init__(self, issuer: str, fetch: Fetch, now: Callable[[], float]) -> None:
        self.issuer = issuer
        self._fetch, self._now = fetch, now
        self._keys: tuple[VerifyKey, ...] = ()
        self._in_vain_at = -inf
        self._lock = anyio.Lock()

    async def find(self, kid: str | None, algorithm: str) -> VerifyKey | None:
        """The key that a token names. Raises IssuerUnavailable where no key was ever read."""
        if not self._named(kid):
            await self._fetch_anew(kid)
        if not self._keys:
            raise IssuerUnavailable("The keys of the identity provider cannot be read at the moment.")
        fitting = [key for key in self._named(kid) if algorithm in key.algorithms]
        return fitting[0] if len(fitting) == 1 else None

    async def keep_fresh(self) -> None:
        """Read the keys now and again, for ever."""
        while True:
            async with self._lock:
                await self.refresh()
            await anyio.sleep(REFRESH_S if self._keys else UNKNOWN_S)

    async def refresh(self) -> None:
        """Read the keys; where that fails, those that are there stay."""
        try:
            self._keys = await self.read()
        except FetchError as error:
            left = "; those read before still count" if self._keys else ""
            logger.warning("The keys of %s cannot be read: %s%s.", self.issuer, error, left)

    async def _fetch_anew(self, kid: str | None) -> None:
        async with self._lock:
            if self._named(kid) or self._now() - self._in_vain_at < UNKNOWN_S:
                return
            await self.refresh()
            # a key that is there now was the issuer's own doing, and delays nobody
            self._in_vain_at = -inf if self._named(kid) else self._now()

    def _named(self, kid: str | None) -> list[VerifyKey]:
        """A token that names no key can only mean the one that fits."""
        return [key for key in self._keys if kid is None or key.kid == kid]

    async def read(self) -> tuple[VerifyKey, ...]:
        """The keys that the issuer has now. Raises FetchError."""
        metadata = await self._read_metadata()
        address = metadata.get("jwks_uri")
        if not isinstance(address, str):
            raise FetchError("its metadata names no jwks_uri")
        found = await self._fetch(address)
        listed = found.get("keys") if isinstance(found, dict) else None
        keys = map(_read_key, listed[:MAX_KEYS]) if isinstance(listed, list) else ()
        usable = tuple(key for key in keys if key is not None)
        if not usable:
            raise FetchError(f"{address} has no key for any of {', '.join(ALGORITHMS)}")
        return usable

    async def _read_metadata(self) -> dict[str, Any]:
        """The metadata at the first of the well-known addresses. Raises FetchError, of the first."""
        failures: list[FetchError] = []
        for address in metadata_addresses(self.issuer):
            try:
                found = await self._fetch(address)
            except FetchError as error:
                if not error.has_answered:
                    raise
                failures.append(error)
                continue
            if isinstance(found, dict) and found.get("issuer") == self.issuer:
                return found
            named = found.get("issuer") if isinstance(found, dict) else None
            failures.append(FetchError(f"{address} is of the issuer {quote(str(named))}, which is another name"))
        raise failures[0]


def metadata_addresses(issuer: str) -> tuple[str, ...]:
    """Where an issuer's metadata may lie: OpenID Connect Discovery, RFC 8414, and the form between them."""
    url = urlsplit(issuer)
    path = url.path.rstrip("/")
    host = f"{url.scheme}://{url.netloc}"
    openid, oauth = "/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"
    return tuple(dict.fromkeys((f"{host}{path}{openid}", f"{host}{oauth}{path}", f"{host}{openid}{path}")))


def _read_key(given: Any) -> VerifyKey | None:
    """A key of a JWKS; None where it is for something else than checking a signature."""
    if not isinstance(given, dict) or given.get("use", "sig") != "sig":
        return None
    kid, kty, crv, own = (given.get(name) for name in ("kid", "kty", "crv", "alg"))
    if not all(each is None or isinstance(each, str) for each in (kid, kty, crv, own)):
        return None
    algorithms = ALGORITHMS_OF.get((kty or "", crv), ())
    if own is not None:
        algorithms = tuple(each for each in algorithms if each == own)
    if not algorithms:
        return None
    try:
        return VerifyKey(kid, PyJWK(given, algorithms[0]).key, algorithms)
    except (PyJWTError, ValueError, TypeError):
        return None
