"""What `doctor` says of a shared service: an identity provider on loopback, the tokens file and the signing key."""

import json
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from ltx_mcp.cli.checks.finding import Finding
from ltx_mcp.cli.checks.logins import check_logins, check_tokens
from ltx_mcp.cli.checks.settings import read_given
from ltx_mcp.server.auth.tokens_file import new_token, to_row_text
from tests.cli.conftest import Command, posix
from tests.providers.raw import Line, Raw, answer, serving
from tests.server.auth.issuer import public_jwk

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
RSA = public_jwk("RS256", "a")
OIDC, OAUTH = "/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"


@asynccontextmanager
async def issuer(pages: Mapping[str, Any], ahead: timedelta = timedelta()) -> AsyncIterator[Raw]:
    """An identity provider with these pages; ISSUER in them is its address. Its clock is `ahead` of ours."""

    async def deed(line: Line) -> None:
        path = (await line.read()).head.split()[1]
        text = json.dumps(pages.get(path)).replace("ISSUER", made.url)
        at = format_datetime(datetime.now(UTC) + ahead, usegmt=True)
        status = 200 if path in pages else 404
        await line.say(answer(status, text.encode(), "Content-Type: application/json", f"Date: {at}"))

    async with serving(deed) as made:
        yield made


def pages_of(called: str = "ISSUER", keys: Any = (RSA,), below: str = "", place: str = OIDC) -> dict[str, Any]:
    path = f"{below}{place}" if place == OIDC else f"{place}{below}"
    return {path: {"issuer": called, "jwks_uri": "ISSUER/keys"}, "/keys": {"keys": keys}}


async def lines_of(*, offline: bool = False, **more: str) -> dict[str, Finding]:
    """Every line by what was looked at, of a service that lacks nothing but what `more` says."""
    given = {"PUBLIC_URL": "https://films.example.com", "SIGNING_KEY": secrets.token_urlsafe(32)} | more
    environment = {f"LTX_MCP_{name}": text for name, text in given.items() if text}
    lines = await check_logins(read_given(environment), offline=offline)
    return {line.what.split()[0]: line for line in lines}


# -- the identity provider ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("below", "place"), [("", OIDC), ("/realms/films", OIDC), ("/realms/films", OAUTH)])
async def test_an_identity_provider_that_is_as_it_should_be_is_fine(below: str, place: str) -> None:
    async with issuer(pages_of(f"ISSUER{below}", below=below, place=place)) as made:
        lines = await lines_of(OIDC_ISSUER=f"{made.url}{below}")
    assert {line.status for line in lines.values()} == {"OK"}
    assert (made.url in lines["issuer"].found, "1 key" in lines["issuer"].found) == (True, True)
    assert "https://films.example.com/mcp" in lines["audience"].found
    assert "LTX_MCP_PUBLIC_URL" in lines["audience"].found


@pytest.mark.parametrize(
    ("pages", "words"),
    [
        ({}, "answers with HTTP status 404"),
        (pages_of("ISSUER/"), "is of the issuer 'http://"),
        (pages_of("https://login.example.com"), "is of the issuer 'https://login.example.com'"),
        ({OIDC: {"jwks_uri": "ISSUER/keys"}}, "which is another name"),
        ({OIDC: {"issuer": "ISSUER"}}, "no jwks_uri"),
        (pages_of(keys=[]), "has no key for any of RS256"),
        (pages_of(keys=[RSA | {"use": "enc"}, RSA | {"alg": "RS512"}, {"kty": "oct"}, "key"]), "has no key for any of"),
    ],
)
async def test_what_lets_no_token_in_is_a_failure_that_says_what_to_set(pages: dict[str, Any], words: str) -> None:
    async with issuer(pages) as made:
        line = (await lines_of(OIDC_ISSUER=made.url))["issuer"]
    assert (line.status, words in line.found) == ("failure", True), line.found
    assert line.mend


async def test_an_identity_provider_that_is_not_there_is_a_failure_and_is_not_asked_offline() -> None:
    async with issuer(pages_of()) as gone:
        pass
    assert "refuses connections" in (await lines_of(OIDC_ISSUER=gone.url))["issuer"].found
    assert "not asked" in (await lines_of(offline=True, OIDC_ISSUER=gone.url))["issuer"].found


@pytest.mark.parametrize(
    ("seconds", "status", "words"),
    [(0, "OK", "agrees"), (25, "OK", "agrees"), (45, "warning", "behind"), (-45, "warning", "ahead of")],
)
async def test_a_clock_that_differs_by_half_a_minute_is_told(seconds: int, status: str, words: str) -> None:
    async with issuer(pages_of(), timedelta(seconds=seconds)) as made:
        line = (await lines_of(OIDC_ISSUER=made.url))["clock"]
    assert (line.status, words in line.found) == (status, True), line.found


async def test_the_audience_is_told_with_the_setting_that_says_it() -> None:
    line = (await lines_of(offline=True, OIDC_ISSUER="https://login.example.com", OIDC_AUDIENCE="films"))["audience"]
    assert (line.status, "for films (LTX_MCP_OIDC_AUDIENCE)" in line.found) == ("OK", True)


# -- the tokens file, the key and the address ---------------------------------------------------------------------


def write_tokens(path: Path, **expires: date | None) -> Path:
    rows = (to_row_text(new_token(), name, ["ltx:read"], may_act=False, expires=day) for name, day in expires.items())
    path.write_text("".join(rows), encoding="utf-8")
    path.chmod(0o600)
    return path


def test_a_tokens_file_is_told_with_how_many_it_holds_and_which_have_ended_or_soon_will(tmp_path: Path) -> None:
    path = write_tokens(tmp_path / "tokens.toml", anna=None, ben=date(2027, 1, 1))
    assert [(line.status, "2 tokens" in line.found) for line in check_tokens(path, NOW)] == [("OK", True)]
    write_tokens(path, anna=None, eve=date(2026, 11, 29), ben=date(2026, 12, 13), kim=date(2026, 12, 14))
    ended, soon = check_tokens(path, NOW)
    assert (ended.status, ended.found) == ("warning", "has ended: eve")
    assert (soon.status, soon.found) == ("warning", "soon ends: ben on 2026-12-13")


@posix
def test_a_tokens_file_that_others_can_read_is_a_warning_with_the_command_that_closes_it(tmp_path: Path) -> None:
    path = write_tokens(tmp_path / "tokens.toml", anna=None)
    path.chmod(0o640)
    (line,) = check_tokens(path, NOW)
    assert (line.status, line.mend) == ("warning", f"chmod 600 {path}")


def test_a_tokens_file_that_is_missing_broken_or_empty_is_told(tmp_path: Path) -> None:
    path = tmp_path / "tokens.toml"
    assert [line.status for line in check_tokens(path, NOW)] == ["failure"]
    path.write_text("[[token]]\nname = 1\n", encoding="utf-8")
    path.chmod(0o600)
    assert [line.status for line in check_tokens(path, NOW)] == ["failure"]
    path.write_text("", encoding="utf-8")
    assert [(line.status, "no token" in line.found) for line in check_tokens(path, NOW)] == [("warning", True)]


@pytest.mark.parametrize(
    "key", ["a" * 40, "0123456789" * 4, "please-change-me-" * 3, "an-example-of-a-signing-key-0001"]
)
async def test_a_signing_key_that_somebody_made_up_is_a_failure_and_not_shown(key: str, tmp_path: Path) -> None:
    tokens = write_tokens(tmp_path / "tokens.toml", anna=None)
    lines = await lines_of(TOKENS_FILE=str(tokens), SIGNING_KEY=f"{secrets.token_hex(32)},{key}")
    assert (lines["signing"].status, key in str(lines)) == ("failure", False)


@pytest.mark.parametrize(
    ("settings", "status", "words"),
    [
        ({}, "OK", "at https://films.example.com"),
        ({"PUBLIC_URL": "http://127.0.0.1:8000"}, "OK", "only this machine can reach"),
        ({"PUBLIC_URL": "http://films.example.com"}, "warning", "would carry tokens where others can read them"),
        ({"PUBLIC_URL": ""}, "failure", "LTX_MCP_PUBLIC_URL"),
        ({"SIGNING_KEY": ""}, "failure", "LTX_MCP_SIGNING_KEY"),
    ],
)
async def test_whether_a_server_starts_with_these_settings_is_told(
    settings: dict[str, str], status: str, words: str, tmp_path: Path
) -> None:
    tokens = write_tokens(tmp_path / "tokens.toml", anna=None)
    line = (await lines_of(offline=True, TOKENS_FILE=str(tokens), **settings))["service"]
    assert (line.status, words in line.found) == (status, True), line


def test_doctor_speaks_of_logins_only_where_there_is_one(ltx: Command, tmp_path: Path) -> None:
    tokens = write_tokens(tmp_path / "tokens.toml", anna=None)
    assert "Logins" not in ltx("doctor", "--offline").stdout
    shown = ltx("doctor", "--offline", LTX_MCP_TOKENS_FILE=str(tokens), LTX_MCP_SIGNING_KEY="short").stdout
    assert "tokens file: " in shown.partition("\nLogins\n")[2]
    assert "failure  settings: LTX_MCP_SIGNING_KEY cannot be used" in shown
