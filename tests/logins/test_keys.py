"""The keys of a real identity provider: tokens of others, keys that change, a provider that is away."""

import base64
import json
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import httpx2
import pytest

from ltx_mcp.jobs.callers import oidc_caller
from ltx_mcp.net.fetch_json import fetch_json
from ltx_mcp.server.auth.issuer_keys import IssuerKeys
from ltx_mcp.server.auth.logins import TokenRefused
from ltx_mcp.server.auth.oidc import OidcTokens
from tests.logins.provider import MACHINE, IdentityProvider, identity_provider
from tests.logins.service import Service, of_issuer, service

CALLS = 20


@pytest.fixture
def provider() -> Iterator[IdentityProvider]:
    """An identity provider of this test's own."""
    with identity_provider() as one:
        yield one


@pytest.fixture
def served(tmp_path: Path, provider: IdentityProvider) -> Iterator[Service]:
    """A service for those who have a login there."""
    with service(tmp_path / "home", of_issuer(provider)) as one:
        yield one


def token(provider: IdentityProvider, resource: str, scope: str = "ltx:read") -> str:
    """What the provider gives a program for a resource."""
    form = {"grant_type": "client_credentials", "scope": scope} | ({"resource": resource} if resource else {})
    answer = httpx2.post(f"{provider.issuer}/token", data=form, auth=(MACHINE, provider.secret), trust_env=False)
    assert answer.status_code == 200, answer.text
    given: str = answer.json()["access_token"]
    return given


def kid_of(token: str) -> str:
    """The key that signed it."""
    header = token.partition(".")[0]
    kid: str = json.loads(base64.urlsafe_b64decode(header + "==="))["kid"]
    return kid


def test_a_token_that_is_not_for_this_service_or_not_any_more_is_401(
    served: Service, provider: IdentityProvider
) -> None:
    assert served.ask(token(provider, served.url)).status_code == 200
    provider.be_late(2 * 3600)
    expired = token(provider, served.url)
    provider.be_late(0)
    opaque = token(provider, "")
    elsewhere = token(provider, "http://127.0.0.1:9/mcp")
    with identity_provider() as stranger:
        foreign = token(stranger, served.url)
    for each in (expired, opaque, elsewhere, foreign):
        refused = served.ask(each)
        assert refused.status_code == 401, refused.text
        challenge = refused.headers["www-authenticate"]
        assert 'error="invalid_token"' in challenge
        assert "/.well-known/oauth-protected-resource" in challenge


def test_keys_change_while_a_client_calls_and_no_call_is_refused(served: Service, provider: IdentityProvider) -> None:
    before = token(provider, served.url)
    seen = [served.ask(before).status_code for _ in range(CALLS)]
    newest, *_ = provider.rotate()
    after = token(provider, served.url)
    assert kid_of(after) == newest != kid_of(before)
    seen += [served.ask(each).status_code for _ in range(CALLS) for each in (after, before)]
    assert seen == [200] * (3 * CALLS)


def test_known_keys_go_on_working_while_the_provider_is_away_and_new_ones_do_not(
    served: Service, provider: IdentityProvider
) -> None:
    known = token(provider, served.url)
    assert served.ask(known).status_code == 200
    provider.rotate()
    new = token(provider, served.url)
    provider.leave()
    assert served.ask(known).status_code == 200
    assert served.ask(new).status_code == 401
    assert served.ask(known).status_code == 200


@pytest.mark.anyio
async def test_ten_minutes_without_the_provider_change_nothing_for_keys_that_are_known(
    provider: IdentityProvider,
) -> None:
    resource, moment = "http://127.0.0.1:9/mcp", time.time()
    keys = IssuerKeys(provider.issuer, partial(fetch_json, named_by=provider.issuer), lambda: moment)
    tokens = OidcTokens({provider.issuer: keys}, resource, lambda: moment)
    known = token(provider, resource)
    await tokens.read(known)
    provider.rotate()
    new = token(provider, resource)
    provider.leave()
    for _ in range(10):
        moment += 60
        await keys.refresh()
        assert (await tokens.read(known)).caller == oidc_caller(provider.issuer, MACHINE)
        with pytest.raises(TokenRefused):
            await tokens.read(new)
