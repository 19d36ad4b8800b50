"""The SDK's own clients log in at a real identity provider, order and follow their jobs; nothing of a login is kept."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from mcp import Client
from mcp.client.auth import OAuthClientProvider
from mcp.types import CallToolResult, TextContent

from ltx_mcp.domain.job import State
from ltx_mcp.jobs.callers import oidc_caller
from tests.conftest import ERAS, Era
from tests.conversations.stage import Providers, emulated
from tests.facts import facts_of
from tests.kept import kept_films
from tests.logins.clients import Person, connected, dynamic, machine, with_document
from tests.logins.provider import DOCUMENT, MACHINE, IdentityProvider, identity_provider
from tests.logins.service import Service, of_issuer, service
from tests.providers.test_secrets import check, files_of

pytestmark = pytest.mark.anyio

READ, ORDER = "ltx:read", "ltx:read ltx:order"
KITE: dict[str, Any] = {"prompt": "a kite", "provider": "fal", "resolution": "720p", "fps": 24}

Login = Callable[[Service, IdentityProvider, Person], OAuthClientProvider]
LOGINS: dict[str, Login] = {
    "DCR": lambda served, provider, person: dynamic(served.url, person),
    "CIMD": lambda served, provider, person: with_document(served.url, person),
    "client credentials": lambda served, provider, person: machine(served.url, provider),
}


@pytest.fixture(scope="module")
def orders() -> Iterator[Providers]:
    """The emulated providers, where every order is done at once."""
    with emulated(kept_films() / "emulated") as providers:
        providers.finish()
        yield providers


@pytest.fixture
def provider() -> Iterator[IdentityProvider]:
    """An identity provider of this test's own."""
    with identity_provider() as one:
        yield one


@pytest.fixture
def served(tmp_path: Path, orders: Providers, provider: IdentityProvider) -> Iterator[Service]:
    """A service for those who have a login there."""
    with service(tmp_path / "home", {**orders.settings, **of_issuer(provider)}) as one:
        yield one


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("way", LOGINS)
async def test_a_client_that_was_only_allowed_to_look_logs_in_again_to_order(
    served: Service, provider: IdentityProvider, era: Era, way: str
) -> None:
    person = Person("ada")
    auth = LOGINS[way](served, provider, person)
    provider.allow(READ)
    async with connected(served.url, auth, era) as client:
        assert facts_of(await client.call_tool("list_jobs"))["jobs"] == []
        provider.allow(ORDER)
        if era == "legacy":  # which has no answer that means this: a model reads it, and a person logs in anew
            assert text_of(await client.call_tool("generate_video", KITE)).startswith("insufficient_scope: ")
            auth.context.clear_tokens()
        made = await followed(client, await client.call_tool("generate_video", KITE))
    assert made["state"] == "succeeded", made
    job = served.job(made["job_id"])
    subject = MACHINE if way == "client credentials" else "ada"
    assert (job.caller, job.state) == (oidc_caller(provider.issuer, subject), State.SUCCEEDED)
    grant = "client_credentials" if way == "client credentials" else "authorization_code"
    granted = provider.grants()
    assert [kind for kind, _ in granted] == [grant] * 2
    assert len({client_id for _, client_id in granted}) == 1
    assert (granted[0][1] == DOCUMENT) == (way == "CIMD")
    asked = [set(each.split()) - {"offline_access"} for each in person.asked_for]
    assert asked == ([] if way == "client credentials" else [set(ORDER.split())] * 2)


async def test_a_token_that_runs_out_is_refreshed_without_the_person(
    served: Service, provider: IdentityProvider
) -> None:
    person = Person("ada")
    auth = dynamic(served.url, person)
    async with connected(served.url, auth, "auto") as client:
        await client.call_tool("list_jobs")
        first = auth.context.current_tokens
        auth.context.token_expiry_time = 1.0  # as its clock would say an hour later
        assert not (await client.call_tool("list_jobs")).is_error
        second = auth.context.current_tokens
    assert first
    assert second
    assert first.access_token != second.access_token
    assert [kind for kind, _ in provider.grants()] == ["authorization_code", "refresh_token"]
    assert len(person.asked_for) == 1


async def test_two_people_of_one_provider_do_not_see_each_others_job(
    served: Service, provider: IdentityProvider
) -> None:
    ada, ben = (with_document(served.url, Person(name)) for name in ("ada", "ben"))
    async with connected(served.url, ada, "auto") as hers, connected(served.url, ben, "auto") as his:
        made = facts_of(await hers.call_tool("generate_video", KITE | {"request_key": "one"}))
        guessed = await his.call_tool("check_job", {"job_id": made["job_id"]})
        assert text_of(guessed).startswith("job_not_found: ")
        assert facts_of(await his.call_tool("list_jobs"))["jobs"] == []
        assert (
            facts_of(await his.call_tool("generate_video", KITE | {"request_key": "one"}))["job_id"] != made["job_id"]
        )


async def test_a_log_of_everything_the_rows_and_the_files_hold_no_token_code_secret_or_signature(
    served: Service, provider: IdentityProvider
) -> None:
    signatures = []
    for seed, (way, era) in enumerate(zip(LOGINS, (*ERAS, *ERAS), strict=False)):
        auth = LOGINS[way](served, provider, Person("ada"))
        async with connected(served.url, auth, era) as client:
            view = await followed(
                client, await client.call_tool("generate_video", KITE | {"provider": "local", "seed": seed})
            )
            auth.context.token_expiry_time = 1.0
            await client.call_tool("list_jobs")
        assert httpx2.get(view["video_url"], trust_env=False).status_code == 200
        signatures += parse_qs(urlsplit(view["video_url"]).query)["sig"]
    secrets = provider.secrets()
    for stray in secrets:  # as clients send them by mistake
        served.ask(f"{stray}.{stray}")
        httpx2.get(served.url, params={"access_token": stray}, headers={"Authorization": stray}, trust_env=False)
    assert len(secrets) > 10
    assert len(signatures) == len(LOGINS)
    log = served.log.read_bytes()
    assert b"DEBUG" in log
    check([("log", log), *files_of(served.home)], [*secrets, *signatures])


async def followed(client: Client, ordered: CallToolResult) -> dict[str, Any]:
    """How a job that was ordered ended."""
    job = facts_of(ordered)
    while job.get("state") not in ("succeeded", "failed", "cancelled", "unknown"):
        assert "job_id" in job, ordered
        job = facts_of(await client.call_tool("check_job", {"job_id": job["job_id"], "wait_seconds": 30}))
    return job


def text_of(result: CallToolResult) -> str:
    """What a model reads."""
    assert isinstance(result.content[0], TextContent)
    return result.content[0].text
