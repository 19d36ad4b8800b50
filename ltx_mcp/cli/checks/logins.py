"""A shared service: the identity providers that callers log in at, the files of tokens and callers, the signing key.

Asked are only pages that anybody may read. Nothing of a key or a token is shown.
"""

import asyncio
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import anyio

from ltx_mcp.cli.checks.finding import Finding, failure, fine, warning
from ltx_mcp.cli.checks.providers import CLOCK_MEND
from ltx_mcp.cli.checks.settings import Given
from ltx_mcp.domain.catalog import ProviderSpec
from ltx_mcp.domain.errors import ProviderError, SetupError
from ltx_mcp.domain.quoting import list_names, shorten
from ltx_mcp.jobs.operator_files.callers_file import check_callers_file
from ltx_mcp.net.address import is_loopback_host
from ltx_mcp.net.diagnose import diagnose
from ltx_mcp.net.fetch_json import FetchError, fetch_json
from ltx_mcp.net.provider_client import HttpRequest, ProviderClient
from ltx_mcp.presentation.config import LOOPBACK
from ltx_mcp.private import is_open
from ltx_mcp.providers.base import CHECK_S
from ltx_mcp.server.auth.issuer_keys import IssuerKeys, metadata_addresses
from ltx_mcp.server.auth.setup import check_service
from ltx_mcp.server.auth.tokens_file import TokenRow, TokensFileError, read_tokens
from ltx_mcp.settings import Settings

ISSUER, AUDIENCE, PUBLIC_URL = "LTX_MCP_OIDC_ISSUER", "LTX_MCP_OIDC_AUDIENCE", "LTX_MCP_PUBLIC_URL"
TOKENS_FILE, SIGNING_KEY = "LTX_MCP_TOKENS_FILE", "LTX_MCP_SIGNING_KEY"
CLOCKS_AGREE = timedelta(seconds=30)
SOON = timedelta(days=14)
MADE_UP = re.compile(r"example|change.?me|replace|placeholder|insert|0123456789|abcdefgh|(.)\1{7}", re.IGNORECASE)
MIN_DIFFERENT = 8
"""So many different characters a random key of 32 has, as good as always, even of hexadecimal digits."""
NEW_KEY = "Set it to the output of openssl rand -base64 32, the same for every server of the service."


async def check_logins(given: Given, *, offline: bool) -> list[Finding]:
    """How callers log in, and whether each part of it can work."""
    settings = given.settings
    asked = [] if offline else await asyncio.gather(*map(_ask_issuer, settings.oidc_issuers))
    lines = [line for line, _ in asked]
    if offline:
        lines = [fine(_name_of(issuer), "not asked (--offline)") for issuer in settings.oidc_issuers]
    differences = [each for _, each in asked if each is not None]
    return [
        *lines,
        *([_audience(settings)] if settings.oidc_issuers else []),
        *([_clock(differences)] if differences else []),
        *(check_tokens(settings.tokens_file, datetime.now(UTC)) if settings.tokens_file else []),
        *(check_callers(settings, given.catalog.providers) if settings.callers_file else []),
        *([_signing_key(settings.signing_keys)] if settings.signing_keys else []),
        *([_service(settings)] if settings.has_login and not given.bad & {SIGNING_KEY, PUBLIC_URL} else []),
    ]


# -- identity providers -------------------------------------------------------------------------------------------


def _name_of(issuer: str) -> str:
    return f"issuer {shorten(urlsplit(issuer).netloc)}"


async def _ask_issuer(issuer: str) -> tuple[Finding, timedelta | None]:
    """Whether its metadata and keys can be read, as a server reads them, and by how much its clock is ahead of ours."""
    what = _name_of(issuer)
    try:
        at = await _ask_time(issuer)
        keys = await IssuerKeys(issuer, partial(fetch_json, named_by=issuer), anyio.current_time).read()
    except ProviderError as error:
        why = diagnose(error, CHECK_S)
        return failure(what, f"{shorten(urlsplit(issuer).netloc)} {why.words}", why.fix or f"Check {ISSUER}."), None
    except FetchError as error:
        mend = f"Set {ISSUER} to exactly what your identity provider calls itself in its metadata."
        return failure(what, f"{error}, so no token would be taken", mend), None
    count = "1 key" if len(keys) == 1 else f"{len(keys)} keys"
    return fine(what, f"calls itself {shorten(issuer)}, and has {count} to check tokens with"), at


async def _ask_time(issuer: str) -> timedelta | None:
    """By how much its clock is ahead of ours. Raises ProviderError where it cannot be asked."""
    client = ProviderClient("the identity provider", is_loopback=is_loopback_host(urlsplit(issuer).hostname or ""))
    try:
        answer = await client.request(HttpRequest("GET", metadata_addresses(issuer)[0], read_s=CHECK_S))
        return answer.server_time - datetime.now(UTC) if answer.server_time else None
    finally:
        with anyio.CancelScope(shield=True):
            await client.close()


def _clock(differences: Sequence[timedelta]) -> Finding:
    """Tokens have a beginning and an end: of several clocks the nearest counts."""
    ahead = min(differences, key=abs)
    if abs(ahead) <= CLOCKS_AGREE:
        return fine("clock of logins", "agrees with the identity provider's")
    side = "behind" if ahead > timedelta() else "ahead of"
    found = f"this machine is {abs(ahead).total_seconds():.0f} s {side} the identity provider"
    return warning("clock of logins", f"{found}: tokens are refused too early, or taken too long", CLOCK_MEND)


def _audience(settings: Settings) -> Finding:
    if not settings.oidc_audience:
        found = "none, so no token would be taken"
        return failure("audience", found, f"Set {PUBLIC_URL}, or {AUDIENCE} to what tokens are made for.")
    given = AUDIENCE if settings.audience_text else f"{PUBLIC_URL} and /mcp"
    return fine("audience", f"tokens must be made for {shorten(settings.oidc_audience)} ({given})")


# -- what lies here -----------------------------------------------------------------------------------------------


def check_tokens(path: Path, now: datetime) -> list[Finding]:
    """The file of tokens: who can read it, and which rows have ended or soon will."""
    what = "tokens file"
    try:
        rows = read_tokens(path)
    except TokensFileError as error:
        return [failure(what, f"{path} {error}", f"Mend it, or set {TOKENS_FILE} to another.")]
    lines: list[Finding] = []
    if is_open(path.resolve()):
        lines.append(warning(what, f"{path} is open to other users of this machine", f"chmod 600 {path}"))
    ended = [row.name for row in rows if row.expires_at is not None and row.expires_at <= now.timestamp()]
    if ended:
        lines.append(warning(what, f"has ended: {list_names(ended)}", f"Take the rows out of {path}."))
    if soon := [_ending(row) for row in rows if _ends_soon(row, now)]:
        lines.append(warning(what, f"soon ends: {list_names(soon)}", "ltx-mcp token new NAME --add makes another."))
    if not rows:
        lines.append(warning(what, f"{path} holds no token", "ltx-mcp token new NAME --add makes one."))
    count = len(rows) - len(ended)
    return lines or [fine(what, f"{path} holds {'1 token' if count == 1 else f'{count} tokens'}")]


def _ends_soon(row: TokenRow, now: datetime) -> bool:
    return row.expires_at is not None and now.timestamp() < row.expires_at <= (now + SOON).timestamp()


def _ending(row: TokenRow) -> str:
    return f"{row.name} on {datetime.fromtimestamp(row.expires_at or 0, UTC):%Y-%m-%d}"


def check_callers(settings: Settings, providers: Sequence[ProviderSpec]) -> list[Finding]:
    """The file of callers: whether it can be used, and what its teams lack."""
    what, path = "callers file", settings.callers_file
    assert path is not None
    try:
        lacks = check_callers_file(path, providers, settings.lookup)
    except SetupError as error:
        return [failure(what, error.message, error.hint)]
    missing = [warning(what, lack, f"Set it where the server runs, or take it out of {path}.") for lack in lacks]
    if is_open(path.resolve()):
        missing.append(warning(what, f"{path} is open to other users of this machine", f"chmod 600 {path}"))
    return missing or [fine(what, f"{path} can be used")]


def _signing_key(keys: Sequence[str]) -> Finding:
    what = "signing key"
    for key in keys:
        if MADE_UP.search(key) or len(set(key)) < MIN_DIFFERENT:
            return failure(what, f"{SIGNING_KEY} is made up: whoever guesses it can open every video", NEW_KEY)
    return fine(what, "set" if len(keys) == 1 else f"set; the first of {len(keys)} signs, all are accepted")


def _service(settings: Settings) -> Finding:
    """Whether a server starts with these settings, without and with a proxy that encrypts."""
    for say, behind_tls_proxy in ((failure, True), (warning, False)):
        try:
            check_service(settings, LOOPBACK[0], behind_tls_proxy=behind_tls_proxy)
        except SetupError as error:
            return say("service", error.message.rstrip("."), error.hint)
    is_local = urlsplit(settings.public_url).scheme != "https"
    return fine("service", f"at {settings.public_url}{', which only this machine can reach' if is_local else ''}")
