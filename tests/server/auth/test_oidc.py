"""Tokens of identity providers: who holds one, which do not count, and when an issuer is asked for its keys."""

import hashlib
import hmac
import logging
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import anyio
import httpx
import jwt
import pytest
from anyio import to_thread
from starlette.applications import Starlette

from ltx_mcp.jobs.callers import oidc_caller
from ltx_mcp.net.fetch_json import fetch_json
from ltx_mcp.server.auth.door import METADATA, Door
from ltx_mcp.server.auth.issuer_keys import IssuerKeys, metadata_addresses
from ltx_mcp.server.auth.logins import IssuerUnavailable, Logins, TokenRefused
from ltx_mcp.server.auth.oidc import OidcTokens
from ltx_mcp.server.auth.principal import ACT, ORDER, READ
from tests.patience import HANG_S
from tests.server.auth.issuer import AUDIENCE, CLAIMS, NOW, Issuer, encoded, key_of, public_jwk, public_pem, signed
from tests.server.auth.service import bearer, living

pytestmark = pytest.mark.anyio

PUBLIC_URL = AUDIENCE.removesuffix("/mcp")
KINDS = {"RS256": "rsa", "PS256": "rsa", "ES256": "ec", "EdDSA": "ed"}
LEEWAY_S = 60


class Time:
    """A clock that is turned by hand."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with Issuer("/realms/films") as opened:
        opened.keys = [public_jwk("RS256", "rsa"), public_jwk("ES256", "ec"), public_jwk("EdDSA", "ed")]
        yield opened


def tokens_of(*issuers: Issuer, time: Time) -> OidcTokens:
    keys = {each.name: IssuerKeys(each.name, partial(fetch_json, named_by=each.name), time) for each in issuers}
    return OidcTokens(keys, AUDIENCE, time)


@pytest.fixture
def tokens(issuer: Issuer, time: Time) -> OidcTokens:
    return tokens_of(issuer, time=time)


def web_of(tokens: OidcTokens, public_url: str = PUBLIC_URL) -> httpx.AsyncClient:
    """A client of a door that lets these in."""

    async def inside(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    door = Door(inside, logins=Logins(None, tokens), public_url=public_url)
    return httpx.AsyncClient(transport=httpx.ASGITransport(door), base_url=PUBLIC_URL)


# -- who is let in ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", KINDS)
async def test_a_token_of_each_algorithm_is_let_in(issuer: Issuer, tokens: OidcTokens, algorithm: str) -> None:
    principal = await tokens.read(issuer.token(algorithm, KINDS[algorithm]))
    assert principal.caller == oidc_caller(issuer.name, "ann")
    assert principal.scopes == {READ, ORDER}
    assert principal.expires_at == NOW + 300


@pytest.mark.parametrize(
    ("claims", "scopes"),
    [
        ({"scope": "ltx:read"}, {READ}),
        ({"scope": None, "scp": "ltx:order email"}, {ORDER}),
        ({"scope": None, "scp": ["ltx:act", "ltx:read", 3, None]}, {ACT, READ}),
        ({"scope": "profile", "scp": []}, set()),
        ({"scope": ["ltx:read"], "scp": None}, {READ}),
        ({"scope": {"ltx:read": 1}, "scp": 7}, set()),
    ],
)
async def test_scopes_are_read_from_either_claim_and_strange_ones_are_nothing(
    issuer: Issuer, tokens: OidcTokens, claims: dict[str, Any], scopes: set[str]
) -> None:
    assert (await tokens.read(issuer.token(**claims))).scopes == scopes


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": ["account", AUDIENCE]},
        {"exp": NOW - 29},
        {"iat": NOW + 29, "nbf": NOW + 29},
        {"sub": "a|b/c%2F"},
    ],
)
async def test_what_a_standard_allows_is_let_in(issuer: Issuer, tokens: OidcTokens, claims: dict[str, Any]) -> None:
    assert await tokens.read(issuer.token(**claims))


# -- who is not ---------------------------------------------------------------------------------------------------


def forged(issuer: Issuer) -> dict[str, str]:
    """Tokens that somebody made or changed who has none of the issuer's keys, or that were made for something else."""
    claims = {"iss": issuer.name} | CLAIMS
    good = signed(claims)
    head, payload, signature = good.split(".")
    hs256 = f"{encoded({'alg': 'HS256', 'typ': 'JWT', 'kid': 'rsa'})}.{payload}"
    mac = hmac.digest(public_pem("RS256"), hs256.encode(), hashlib.sha256)

    def without(name: str) -> str:
        return signed({each: value for each, value in claims.items() if each != name})

    return {
        "HS256 with the public key": f"{hs256}.{encoded(mac)}",
        "alg none": f"{encoded({'alg': 'none', 'kid': 'rsa'})}.{payload}.",
        "alg None": f"{encoded({'alg': 'None', 'kid': 'rsa'})}.{payload}.{signature}",
        "no alg": f"{encoded({'kid': 'rsa'})}.{payload}.{signature}",
        "an algorithm that is not accepted": jwt.encode(claims, key_of("RS256"), "RS512", headers={"kid": "rsa"}),
        "an algorithm of another key": issuer.token("ES256", "rsa"),
        "a foreign key under a known kid": signed(claims, 2),
        "a key of its own": signed(claims, 2, kid="own"),
        "a kid that is no text": signed(claims, kid=["rsa"]),
        "a key in its header": signed(claims, 2, jwk=public_jwk("RS256", "rsa", 2)),
        "the address of a key": signed(claims, 2, jku=f"{issuer.name}/own"),
        "the address of a key, and a good signature": signed(claims, jku=f"{issuer.name}/own"),
        "the address of a certificate": signed(claims, 2, x5u=f"{issuer.name}/own"),
        "a critical header": signed(claims, crit=["x"], x=1),
        "a detached payload": signed(claims, crit=["b64"], b64=False),
        "another payload": f"{head}.{encoded(claims | {'sub': 'bob'})}.{signature}",
        "no signature": f"{head}.{payload}.",
        "another signature": f"{head}.{payload}.{'A' * len(signature)}",
        "60 kB": signed(claims | {"more": "x" * 60_000}),
        "another issuer": signed(claims | {"iss": "https://evil.example"}),
        "an issuer called token": signed(claims | {"iss": "token"}),
        "an issuer that is no text": signed(claims | {"iss": [issuer.name]}),
        "an issuer that is almost ours": signed(claims | {"iss": f"{issuer.name}/"}),
        "no issuer": without("iss"),
        "of another resource": signed(claims | {"aud": "https://other.example/mcp"}),
        "an audience that is almost ours": signed(claims | {"aud": f"{AUDIENCE}/"}),
        "audiences that are almost ours": signed(claims | {"aud": [AUDIENCE[:-1], {"aud": AUDIENCE}, [AUDIENCE]]}),
        "no audience": without("aud"),
        "expired": signed(claims | {"exp": NOW - LEEWAY_S}),
        "no exp": without("exp"),
        "an exp that is true": signed(claims | {"exp": True}),
        "an exp that never comes": signed(claims | {"exp": float("nan")}),
        "an exp beyond all time": signed(claims | {"exp": 10**400}),
        "an exp as text": signed(claims | {"exp": str(NOW + 300)}),
        "no iat": without("iat"),
        "made in the future": signed(claims | {"iat": NOW + LEEWAY_S + 1}),
        "not yet valid": signed(claims | {"nbf": NOW + LEEWAY_S + 1}),
        "an nbf that is nothing": signed(claims | {"nbf": None}),
        "no sub": without("sub"),
        "an empty sub": signed(claims | {"sub": ""}),
        "a sub that is a number": signed(claims | {"sub": 7}),
        "a logout token": signed(claims, typ="logout+jwt"),
        "a list": signed([claims]),
        "deeply nested": signed(b"[" * 9000),
        "no text": signed(b"\xff"),
        "no JSON": "a.b.c",
        "an encrypted one": "a.b.c.d.e",
    }


async def test_no_forged_or_misused_token_is_let_in(
    issuer: Issuer, tokens: OidcTokens, caplog: pytest.LogCaptureFixture
) -> None:
    table = forged(issuer)
    async with web_of(tokens) as web:
        assert (await web.post("/mcp", headers=bearer(issuer.token()))).status_code == 200
        with caplog.at_level(logging.DEBUG):
            answers = {name: await web.post("/mcp", headers=bearer(token)) for name, token in table.items()}
        assert (await web.post("/mcp", headers=bearer(issuer.token()))).status_code == 200
    assert {name: answer.status_code for name, answer in answers.items() if answer.status_code != 401} == {}
    for name, answer in answers.items():
        challenge = answer.headers["www-authenticate"]
        assert challenge.startswith('Bearer error="invalid_token", error_description="The token '), name
        assert f'resource_metadata="{PUBLIC_URL}{METADATA}/mcp", scope="ltx:read ltx:order"' in challenge, name
    shown = caplog.text + "".join(f"{answer.text}{answer.headers}" for answer in answers.values())
    for part in {part for token in table.values() for part in token.split(".") if len(part) > 40}:
        assert part not in shown


async def test_what_a_token_brings_along_is_never_fetched(issuer: Issuer, tokens: OidcTokens) -> None:
    for token in forged(issuer).values():
        with suppress(TokenRefused):
            await tokens.read(token)
    assert f"{urlsplit(issuer.name).path}/own" not in issuer.asked
    assert len(issuer.asked) == 4  # the first time, and for the one kid that nobody knows


async def test_a_token_without_a_kid_means_the_only_key_there_is(issuer: Issuer, tokens: OidcTokens) -> None:
    token = jwt.encode({"iss": issuer.name} | CLAIMS, key_of("EdDSA"), "EdDSA")
    assert (await tokens.read(token)).caller == oidc_caller(issuer.name, "ann")
    issuer.keys.append(public_jwk("EdDSA", "ed2", 2))
    with pytest.raises(TokenRefused):
        await tokens_of(issuer, time=Time()).read(token)


async def test_of_two_issuers_each_vouches_for_its_own(issuer: Issuer, time: Time) -> None:
    with Issuer() as other:
        other.keys = [public_jwk("RS256", "rsa", 2)]
        tokens = tokens_of(issuer, other, time=time)
        assert (await tokens.read(other.token(number=2))).caller == oidc_caller(other.name, "ann")
        for token in (other.token(), other.token(number=2, iss=issuer.name), issuer.token(number=2)):
            with pytest.raises(TokenRefused):
                await tokens.read(token)


async def test_an_audience_that_does_not_fit_is_told_to_the_operator(
    issuer: Issuer, tokens: OidcTokens, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(TokenRefused, match="another audience"):
        await tokens.read(issuer.token(aud="account"))
    assert "account" in caplog.text
    assert "LTX_MCP_OIDC_AUDIENCE" in caplog.text


# -- keys ---------------------------------------------------------------------------------------------------------


async def test_keys_change_without_one_refusal(issuer: Issuer, tokens: OidcTokens, time: Time) -> None:
    for number in range(1, 6):
        issuer.keys = [*issuer.keys, public_jwk("ES256", f"new{number}", number)][-2:]
        for _ in range(20):
            assert await tokens.read(issuer.token("ES256", f"new{number}", number))
        time.now += 1
    assert len(issuer.asked) == 2 * 5


async def test_unknown_keys_make_us_ask_at_most_every_ten_seconds(
    issuer: Issuer, tokens: OidcTokens, time: Time
) -> None:
    assert await tokens.read(issuer.token())
    before = len(issuer.asked)
    for second in range(21):
        time.now = NOW + second
        async with anyio.create_task_group() as group:
            for number in range(5):
                group.start_soon(refused, tokens, issuer.token(kid=f"strange{second}.{number}"))
    assert len(issuer.asked) - before == 2 * 3


async def refused(tokens: OidcTokens, token: str) -> None:
    with pytest.raises(TokenRefused):
        await tokens.read(token)


async def test_known_keys_count_while_the_issuer_is_away(
    issuer: Issuer, tokens: OidcTokens, time: Time, caplog: pytest.LogCaptureFixture
) -> None:
    assert await tokens.read(issuer.token())
    issuer.is_away = True
    keys = tokens._keys_of[issuer.name]
    for minute in range(11):
        time.now = NOW + 60 * minute
        await keys.refresh()
        assert await tokens.read(issuer.token(exp=time.now + 60))
        await refused(tokens, issuer.token(kid="strange", exp=time.now + 60))
    assert "those read before still count" in caplog.text
    issuer.is_away, issuer.keys = False, []
    await keys.refresh()
    assert await tokens.read(issuer.token(exp=time.now + 60))
    issuer.keys = [public_jwk("RS256", "rsa2", 2)]
    await keys.refresh()
    await refused(tokens, issuer.token(exp=time.now + 60))


async def test_before_any_key_was_read_nobody_is_called_a_forger(issuer: Issuer, tokens: OidcTokens) -> None:
    """A client that got 401 would throw its good token away."""
    issuer.is_away = True
    with pytest.raises(IssuerUnavailable):
        await tokens.read(issuer.token())
    async with web_of(tokens) as web:
        answer = await web.post("/mcp", headers=bearer(issuer.token()))
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")


@pytest.mark.parametrize("place", [0, 1, 2])
async def test_metadata_is_found_where_the_standards_have_it(issuer: Issuer, time: Time, place: int) -> None:
    issuer.metadata_path = urlsplit(metadata_addresses(issuer.name)[place]).path
    assert await tokens_of(issuer, time=time).read(issuer.token())


async def test_metadata_of_another_name_is_not_taken(
    issuer: Issuer, tokens: OidcTokens, caplog: pytest.LogCaptureFixture
) -> None:
    issuer.metadata["issuer"] += "/"
    with pytest.raises(IssuerUnavailable):
        await tokens.read(issuer.token())
    assert "which is another name" in caplog.text


async def test_keys_that_are_for_something_else_are_not_taken(issuer: Issuer, tokens: OidcTokens) -> None:
    rsa = public_jwk("RS256", "rsa")
    for strange in (rsa | {"use": "enc"}, rsa | {"alg": "RS512"}, rsa | {"n": "AQAB"}, {"kty": "oct", "k": "AAAA"}):
        issuer.keys = [strange | {"kid": "rsa"}, "no key", public_jwk("EdDSA", "ed")]
        await tokens._keys_of[issuer.name].refresh()
        await refused(tokens, issuer.token())
    issuer.keys = [rsa | {"alg": "PS256"}]
    await tokens._keys_of[issuer.name].refresh()
    assert await tokens.read(issuer.token("PS256"))
    await refused(tokens, issuer.token("RS256"))


async def test_keys_are_read_before_anybody_calls(issuer: Issuer, tokens: OidcTokens) -> None:
    app = Starlette()
    async with living(Door(app, logins=Logins(None, tokens), public_url=PUBLIC_URL)):
        assert await to_thread.run_sync(issuer.was_asked.wait, HANG_S)


async def test_the_metadata_of_a_service_below_a_path_lies_where_the_standard_has_it(tokens: OidcTokens) -> None:
    address = f"{PUBLIC_URL}/ltx"
    async with web_of(tokens, address) as web:
        refused = await web.post("/mcp")
        assert f'resource_metadata="{address}{METADATA}/mcp"' in refused.headers["www-authenticate"]
        for path in (f"{METADATA}/mcp", f"{METADATA}/ltx/mcp"):
            assert (await web.get(path)).json()["resource"] == f"{address}/mcp"


# -- what clients read ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [METADATA, f"{METADATA}/mcp"])
async def test_the_metadata_names_each_issuer_exactly(time: Time, path: str) -> None:
    names = ("https://login.example.com", "https://b.example/")
    keys = {name: IssuerKeys(name, partial(fetch_json, named_by=name), time) for name in names}
    async with web_of(OidcTokens(keys, "api://films", time)) as web:
        answer = await web.get(path, headers={"Origin": "http://localhost:6274", "Authorization": "Bearer old"})
        preflight = await web.options(path, headers={"Origin": "http://localhost:6274"})
        assert (await web.post(path)).status_code == 405
    assert answer.json() == {
        "resource": f"{PUBLIC_URL}/mcp",
        "authorization_servers": [*names],
        "scopes_supported": ["ltx:read", "ltx:order"],
        "bearer_methods_supported": ["header"],
        "resource_name": "ltx-mcp",
    }
    assert answer.headers["access-control-allow-origin"] == "*"
    assert (preflight.status_code, preflight.headers["access-control-allow-origin"]) == (204, "*")
    assert "mcp-protocol-version" in preflight.headers["access-control-allow-headers"].lower()
