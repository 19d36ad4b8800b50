"""The public keys of somebody who signs: an identity provider, or a service that tells what became of an order. They
are read again when something is signed by a key that is not known, but only now and again.
"""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from math import inf
from typing import Any

import anyio
from cryptography.exceptions import InvalidSignature
from jwt import PyJWK
from jwt.exceptions import PyJWTError

from ltx_mcp.net.fetch_json import FetchError

logger = logging.getLogger(__name__)

UNKNOWN_S = 10.0
"""How often unknown keys, which anybody may name, can make us ask for them."""
MAX_KEYS = 100
EDDSA = "EdDSA"
ALGORITHMS_OF = {("RSA", None): ("RS256", "PS256"), ("EC", "P-256"): ("ES256",), ("OKP", "Ed25519"): (EDDSA,)}
"""By kty and crv: what a key may be used for, whatever is said by what it signed."""
ALGORITHMS = tuple(each for algorithms in ALGORITHMS_OF.values() for each in algorithms)


@dataclass(frozen=True)
class VerifyKey:
    """A public key, and the algorithms it may be used with."""

    kid: str | None
    key: Any
    algorithms: tuple[str, ...]

    def has_signed(self, text: bytes, signature: bytes) -> bool:
        """Whether this is its signature by Ed25519, as it is outside of tokens."""
        if EDDSA not in self.algorithms:
            return False
        try:
            self.key.verify(signature, text)
        except InvalidSignature:
            return False
        return True


ReadKeys = Callable[[], Awaitable[tuple[VerifyKey, ...]]]
"""Asks for the keys that there are now. Raises FetchError."""


class KeySet:
    """The keys of `owner`. `now` is a clock in seconds; keys that were read `max_age_s` ago count no more."""

    def __init__(self, owner: str, read: ReadKeys, now: Callable[[], float], max_age_s: float = inf) -> None:
        self._owner, self._read, self._now, self._max_age_s = owner, read, now, max_age_s
        self._keys: tuple[VerifyKey, ...] = ()
        self._read_at = self._in_vain_at = -inf
        self._lock = anyio.Lock()

    @property
    def is_known(self) -> bool:
        """Whether there are any keys that count."""
        return bool(self._keys) and self._now() - self._read_at < self._max_age_s

    async def matching(self, fits: Callable[[VerifyKey], bool]) -> list[VerifyKey]:
        """The keys that fit; where none does they are read anew, unless that was done in vain a moment ago."""
        if not self._fitting(fits):
            await self._read_anew(fits)
        return self._fitting(fits)

    async def refresh(self) -> None:
        """Read the keys; where that fails, those that are there stay."""
        async with self._lock:
            await self._refresh()

    async def _refresh(self) -> None:
        try:
            self._keys, self._read_at = await self._read(), self._now()
        except FetchError as error:
            left = "; those read before still count" if self.is_known else ""
            logger.warning("The keys of %s cannot be read: %s%s.", self._owner, error, left)

    async def _read_anew(self, fits: Callable[[VerifyKey], bool]) -> None:
        async with self._lock:
            if self._fitting(fits) or self._now() - self._in_vain_at < UNKNOWN_S:
                return
            await self._refresh()
            # a key that is there now was its owner's doing, and delays nobody
            self._in_vain_at = -inf if self._fitting(fits) else self._now()

    def _fitting(self, fits: Callable[[VerifyKey], bool]) -> list[VerifyKey]:
        return [key for key in self._keys if fits(key)] if self.is_known else []


def read_keys(found: Any, address: str) -> tuple[VerifyKey, ...]:
    """The keys of a JWKS, which was found at `address`. Raises FetchError where none of them can be used."""
    listed = found.get("keys") if isinstance(found, dict) else None
    keys = map(_read_key, listed[:MAX_KEYS]) if isinstance(listed, list) else ()
    usable = tuple(key for key in keys if key is not None)
    if not usable:
        raise FetchError(f"{address} has no key for any of {', '.join(ALGORITHMS)}")
    return usable


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
