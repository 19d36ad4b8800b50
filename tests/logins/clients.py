"""Clients with a login: the SDK's own, and the person with a browser whom it sends to the provider. Not a test."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urljoin, urlsplit

import httpx2
from mcp import Client
from mcp.client.auth import OAuthClientProvider
from mcp.client.auth.extensions.client_credentials import ClientCredentialsOAuthProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client
from mcp.shared.auth import AuthorizationCodeResult, OAuthClientInformationFull, OAuthClientMetadata, OAuthToken

from tests.conftest import Era
from tests.logins.provider import DOCUMENT, MACHINE, REDIRECT, IdentityProvider

MAX_REDIRECTS = 10


@dataclass
class Storage:
    """What a client keeps of its login."""

    tokens: OAuthToken | None = None
    client: OAuthClientInformationFull | None = None

    async def get_tokens(self) -> OAuthToken | None:
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self.tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self.client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self.client = client_info


@dataclass
class Person:
    """Somebody with a browser, who is logged in as `name` and agrees to what the provider allows."""

    name: str
    asked_for: list[str] = field(default_factory=list)
    """The scopes of each time that a client sent this person to the provider."""
    _came_back: str = ""

    async def go(self, url: str) -> None:
        """Follow a client's link to where the provider sends the browser back to."""
        self.asked_for.append(parse_qs(urlsplit(url).query)["scope"][0])
        self._came_back = await browse(f"{url}&login_hint={self.name}", REDIRECT)

    async def come_back(self) -> AuthorizationCodeResult:
        """What the provider sent along."""
        query = {name: values[0] for name, values in parse_qs(urlsplit(self._came_back).query).items()}
        assert "error" not in query, query
        return AuthorizationCodeResult(code=query["code"], state=query.get("state"), iss=query.get("iss"))


async def browse(url: str, until: str) -> str:
    """Where the redirects from `url` lead, which begins with `until`."""
    async with httpx2.AsyncClient(trust_env=False) as browser:
        for _ in range(MAX_REDIRECTS):
            answer = await browser.get(url)
            assert answer.is_redirect, (answer.status_code, answer.text)
            url = urljoin(url, answer.headers["location"])
            if url.startswith(until):
                return url
    raise AssertionError(f"the provider sends a browser round in circles: {url}")


def dynamic(url: str, person: Person) -> OAuthClientProvider:
    """A client that registers itself (RFC 7591)."""
    return _of_a_person(url, person, None)


def with_document(url: str, person: Person) -> OAuthClientProvider:
    """A client whose id is the address of its metadata."""
    return _of_a_person(url, person, DOCUMENT)


def _of_a_person(url: str, person: Person, document: str | None) -> OAuthClientProvider:
    metadata = OAuthClientMetadata.model_validate({"redirect_uris": [REDIRECT], "client_name": "a test"})
    return OAuthClientProvider(
        url,
        metadata,
        Storage(),
        redirect_handler=person.go,
        callback_handler=person.come_back,
        client_metadata_url=document,
    )


def machine(url: str, provider: IdentityProvider) -> OAuthClientProvider:
    """A program without a person (client credentials)."""
    return ClientCredentialsOAuthProvider(url, Storage(), MACHINE, provider.secret, issuer=provider.issuer)


@asynccontextmanager
async def connected(url: str, auth: httpx2.Auth, era: Era) -> AsyncIterator[Client]:
    """A client that logs in as soon as it is refused."""
    async with (
        create_mcp_http_client(auth=auth) as http_client,
        Client(streamable_http_client(url, http_client=http_client), mode=era) as client,
    ):
        yield client
