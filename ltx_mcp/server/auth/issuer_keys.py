"""The public keys of an identity provider, which its tokens are checked with. They are read again from time to time and
when a token names one that is not known; while that fails, those that were read last still count.
"""

from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

import anyio

from ltx_mcp.domain.quoting import quote
from ltx_mcp.net.fetch_json import FetchError
from ltx_mcp.net.key_set import UNKNOWN_S, KeySet, VerifyKey, read_keys
from ltx_mcp.server.auth.logins import IssuerUnavailable

REFRESH_S = 300.0
"""After this a key that the issuer withdrew is not trusted any more."""

Fetch = Callable[[str], Awaitable[Any]]
"""The JSON at an address. Raises FetchError."""


class IssuerKeys:
    """The keys of one issuer. `now` is a clock in seconds."""

    def __init__(self, issuer: str, fetch: Fetch, now: Callable[[], float]) -> None:
        self.issuer = issuer
        self._fetch = fetch
        self._keys = KeySet(issuer, self.read, now)

    async def find(self, kid: str | None, algorithm: str) -> VerifyKey | None:
        """The key that a token names. Raises IssuerUnavailable where no key was ever read."""
        # a token that names no key can only mean the one that fits
        named = await self._keys.matching(lambda key: kid is None or key.kid == kid)
        if not self._keys.is_known:
            raise IssuerUnavailable("The keys of the identity provider cannot be read at the moment.")
        fitting = [key for key in named if algorithm in key.algorithms]
        return fitting[0] if len(fitting) == 1 else None

    async def keep_fresh(self) -> None:
        """Read the keys now and again, for ever."""
        while True:
            await self._keys.refresh()
            await anyio.sleep(REFRESH_S if self._keys.is_known else UNKNOWN_S)

    async def refresh(self) -> None:
        """Read the keys; where that fails, those that are there stay."""
        await self._keys.refresh()

    async def read(self) -> tuple[VerifyKey, ...]:
        """The keys that the issuer has now. Raises FetchError."""
        metadata = await self._read_metadata()
        address = metadata.get("jwks_uri")
        if not isinstance(address, str):
            raise FetchError("its metadata names no jwks_uri")
        return read_keys(await self._fetch(address), address)

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
