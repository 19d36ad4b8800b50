"""An environment that means the same in whatever folder a process works: which of its values are paths, and what each
is from the root on."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote as encode_url
from urllib.parse import unquote

UNFILLED = re.compile(r"\$(\{[^{}]*\}|\w+)|<UNKNOWN>")
"""What hosts hand over where a variable of theirs is not set: the reference itself, or Docker's gateway's own word."""
PREFIX = "LTX_MCP_"
_PATHS = tuple(f"{PREFIX}{name}" for name in ("HOME", "MODELS", "TOKENS_FILE", "CALLERS_FILE", "WEBHOOKS"))
_ADDRESS = f"{PREFIX}DATABASE_URL"
_PATH_LISTS = (f"{PREFIX}INPUT_DIRS", "SSL_CERT_DIR")
_PATHS_OF_OTHERS = (
    "SSL_CERT_FILE", "TMPDIR", "TEMP", "TMP", "XDG_DATA_HOME", "XDG_CACHE_HOME", "PGPASSFILE",
    "PGSERVICEFILE", "PGSYSCONFDIR", "PGSSLCERT", "PGSSLKEY", "PGSSLROOTCERT", "PGSSLCRL", "PGSSLCRLDIR",
)  # fmt: skip
"""What libraries take from the working folder: for certificates, temporary files and PostgreSQL."""
SYSTEM_TRUST = "system"
"""A word in the place of a certificate's path."""
_PATHS_IN_ADDRESS = ("sslcert", "sslkey", "sslrootcert", "sslcrl", "sslcrldir", "passfile")


def with_absolute_paths(environment: Mapping[str, str]) -> dict[str, str]:
    """The same, and it means the same in whatever folder a process works. What cannot be told stays as it is."""
    settled = dict(environment)
    for name, text in environment.items():
        if not text.strip() or UNFILLED.fullmatch(text.strip()):
            continue
        ours = name.startswith(PREFIX)
        if name in _PATH_LISTS:
            parts = (part.strip() for part in text.split(os.pathsep))
            settled[name] = os.pathsep.join(_absolute(part, tilde=ours) for part in parts if part)
        elif name == _ADDRESS:
            settled[name] = _absolute_address(text)
        elif name in _PATHS or (name in _PATHS_OF_OTHERS and text != SYSTEM_TRUST):
            settled[name] = _absolute(text.strip(), tilde=ours)
    return settled


def _absolute(text: str, *, tilde: bool = False) -> str:
    """`tilde`: where ~ is a home folder; libraries take it as it stands."""
    try:
        return str((Path(text).expanduser() if tilde else Path(text)).absolute())
    except (RuntimeError, OSError):
        return text


def _absolute_address(address: str) -> str:
    head, mark, query = address.partition("?")
    return head + mark + "&".join(map(_absolute_part, query.split("&")))


def _absolute_part(part: str) -> str:
    name, _, value = part.partition("=")
    if name not in _PATHS_IN_ADDRESS or not value or value == SYSTEM_TRUST:
        return part
    return f"{name}={encode_url(_absolute(unquote(value)))}"
