"""When the keys of somebody who signs are read again."""

from typing import Any

import pytest

from ltx_mcp.net.fetch_json import FetchError
from ltx_mcp.net.key_set import UNKNOWN_S, KeySet, VerifyKey, read_keys
from tests.server.auth.issuer import key_of, public_jwk

pytestmark = pytest.mark.anyio

DAY_S = 86_400


class Owner:
    """Somebody with keys, who counts how often they are read; and a clock."""

    def __init__(self) -> None:
        self.kids: list[str] = ["old"]
        self.reads, self.time, self.is_away = 0, 1000.0, False
        self.keys = KeySet("somebody", self.read, lambda: self.time, DAY_S)

    async def read(self) -> tuple[VerifyKey, ...]:
        self.reads += 1
        if self.is_away:
            raise FetchError("is away")
        return tuple(VerifyKey(kid, None, ()) for kid in self.kids)

    async def knows(self, kid: str) -> bool:
        return bool(await self.keys.matching(lambda key: key.kid == kid))


async def test_unknown_keys_are_looked_for_every_ten_seconds_at_most() -> None:
    owner = Owner()
    assert not await owner.knows("new")
    owner.kids.append("new")
    owner.time += UNKNOWN_S - 1
    assert not await owner.knows("new")
    owner.time += 1
    assert await owner.knows("new")
    assert owner.reads == 2
    # one that was there at once delays nobody
    owner.kids.append("newest")
    assert await owner.knows("newest")


async def test_keys_of_yesterday_are_read_again_and_count_no_more_while_they_cannot_be() -> None:
    owner = Owner()
    assert await owner.knows("old")
    owner.time += DAY_S - 1
    assert (await owner.knows("old"), owner.reads) == (True, 1)
    owner.time += 1
    owner.is_away = True
    assert (await owner.knows("old"), owner.keys.is_known, owner.reads) == (False, False, 2)
    owner.is_away = False
    owner.time += UNKNOWN_S
    assert (await owner.knows("old"), owner.reads) == (True, 3)


def test_only_the_owner_of_the_key_has_signed_and_only_this_text() -> None:
    mine: dict[str, Any] = public_jwk("EdDSA", "mine")
    (key,) = read_keys({"keys": [mine, {"kty": "oct"}, "x"]}, "https://example.com/keys")
    signature = key_of("EdDSA").sign(b"text")
    assert key.has_signed(b"text", signature)
    assert not key.has_signed(b"Text", signature)
    assert not key.has_signed(b"text", key_of("EdDSA", 2).sign(b"text"))
    assert not key.has_signed(b"text", b"")
    (other,) = read_keys({"keys": [public_jwk("RS256", "other")]}, "https://example.com/keys")
    assert not other.has_signed(b"text", signature)
