"""From the settings to the logins of a service, and the combinations of settings that would not be safe."""

import time
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ltx_mcp.domain.errors import ErrorCode, SetupError
from ltx_mcp.domain.quoting import shorten
from ltx_mcp.net.address import is_loopback_host
from ltx_mcp.server.auth.logins import Logins
from ltx_mcp.server.auth.tokens_file import TokensFile
from ltx_mcp.settings import Settings

if TYPE_CHECKING:
    from ltx_mcp.server.auth.oidc import OidcTokens

LOGIN_SETTINGS = "LTX_MCP_TOKENS_FILE or LTX_MCP_OIDC_ISSUER"


def open_logins(settings: Settings) -> Logins | None:
    """How callers log in; None where nobody has to. Raises SetupError."""
    if not settings.has_login:
        return None
    file = TokensFile(settings.tokens_file) if settings.tokens_file else None
    return Logins(file, _open_issuers(settings) if settings.oidc_issuers else None)


def _open_issuers(settings: Settings) -> "OidcTokens":
    """Imports what reads signatures, and what speaks HTTP."""
    from ltx_mcp.net.fetch_json import fetch_json
    from ltx_mcp.server.auth.issuer_keys import IssuerKeys
    from ltx_mcp.server.auth.oidc import OidcTokens

    keys = {
        issuer: IssuerKeys(issuer, partial(fetch_json, named_by=issuer), time.monotonic)
        for issuer in settings.oidc_issuers
    }
    return OidcTokens(keys, settings.oidc_audience, time.time)


def check_service(settings: Settings, host: str, *, behind_tls_proxy: bool) -> None:
    """Whether tokens and keys are safe with a service at `host`. Raises SetupError."""
    is_local = is_loopback_host(host)
    if not settings.has_login:
        if not is_local:
            raise _unsafe(
                f"--host {shorten(host)} would let others order with your keys, without a login",
                f"Set {LOGIN_SETTINGS}, or serve 127.0.0.1, localhost or ::1 only.",
            )
        return
    if not settings.public_url:
        why = "A login needs LTX_MCP_PUBLIC_URL: tokens are made for that address"
        raise _unsafe(why, "Set it to the address that clients use, without /mcp.")
    if not settings.signing_keys:
        raise _unsafe(
            "A login needs LTX_MCP_SIGNING_KEY, which signs the links of videos",
            "Set it to 32 characters or more; openssl rand -base64 32 makes one.",
        )
    for issuer in settings.oidc_issuers:
        if not _is_safe(issuer):
            raise _unsafe(
                f"LTX_MCP_OIDC_ISSUER names {shorten(issuer)}, whose keys anyone on the way could change",
                "Give an https address; http is for this machine alone.",
            )
    if behind_tls_proxy or urlsplit(settings.public_url).scheme == "https":
        return
    if not is_local or not _is_safe(settings.public_url):
        raise _unsafe(
            f"LTX_MCP_PUBLIC_URL={shorten(settings.public_url)} would carry tokens where others can read them",
            "Give an https address, or start with --behind-tls-proxy where a proxy of yours encrypts.",
        )


def _is_safe(address: str) -> bool:
    """Whether nobody on the way reads or changes what is sent there: https, or http on this machine."""
    url = urlsplit(address)
    return url.scheme == "https" or is_loopback_host(url.hostname or "")


def _unsafe(why: str, what_to_do: str) -> SetupError:
    return SetupError(ErrorCode.INVALID_REQUEST, f"{why}.", what_to_do)
