"""The file of tokens: who may call with which token, of which the file holds only the hash. It is read again when it
changes; while it cannot be read, what was read last still counts.
"""

import hmac
import logging
import os
import re
import secrets
import tomllib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from hashlib import sha256
from pathlib import Path
from typing import Any

from ltx_mcp.domain.errors import ErrorCode, SetupError
from ltx_mcp.domain.quoting import quote
from ltx_mcp.private import is_open
from ltx_mcp.server.auth.principal import SCOPES

logger = logging.getLogger(__name__)

NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
PREFIX, TOKEN_BYTES = "ltx_", 32
MAX_FILE_BYTES = 4_000_000
_SHA256 = re.compile(r"[0-9a-f]{64}")
_FIELDS = frozenset({"sha256", "name", "scopes", "may_act", "expires"})


@dataclass(frozen=True)
class TokenRow:
    """A token as the file has it. From `expires_at` on, in seconds since 1970, it is refused; None: never."""

    sha256: str
    name: str
    scopes: frozenset[str]
    may_act: bool = False
    expires_at: int | None = None


class TokensFileError(Exception):
    """The file cannot be used: the rest of a sentence that begins with its path."""


class TokensFile:
    """The tokens of a file. Raises SetupError where it cannot be read when this is made."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp = _stamp(path)
        try:
            self._rows = read_tokens(path)
        except TokensFileError as error:
            raise SetupError(
                ErrorCode.INVALID_REQUEST,
                f"LTX_MCP_TOKENS_FILE: {path} {error}.",
                "ltx-mcp token new NAME --add makes a token and its row.",
            ) from error
        self._warn_if_open()

    def find(self, token: str) -> TokenRow | None:
        """The row of a token, expired or not. Each hash is compared in constant time."""
        self._read_again()
        given, found = hash_of(token), None
        for row in self._rows:
            if hmac.compare_digest(row.sha256, given):
                found = row
        return found

    def _read_again(self) -> None:
        stamp = _stamp(self._path)
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self._rows = read_tokens(self._path)
        except TokensFileError as error:
            logger.error("%s %s; what it said before still counts.", self._path, error)
            return
        logger.info("%s was read again: %d tokens.", self._path, len(self._rows))
        self._warn_if_open()

    def _warn_if_open(self) -> None:
        if is_open(self._path.resolve()):
            logger.warning("%s is open to other users of this machine; chmod 600 closes it.", self._path)
        if not self._rows:
            logger.warning("%s holds no token.", self._path)


def new_token() -> str:
    """A token of 256 random bits."""
    return PREFIX + secrets.token_urlsafe(TOKEN_BYTES)


def hash_of(token: str) -> str:
    """What the file holds of a token. It is too long to be guessed, so the hash needs neither salt nor time."""
    return sha256(token.encode()).hexdigest()


def to_row_text(token: str, name: str, scopes: Sequence[str], *, may_act: bool, expires: date | None) -> str:
    """The row of a token, as the file has it."""
    listed = ", ".join(f'"{scope}"' for scope in scopes)
    lines = ["[[token]]", f'name = "{name}"', f'sha256 = "{hash_of(token)}"', f"scopes = [{listed}]"]
    lines += ["may_act = true"] if may_act else []
    lines += [f"expires = {expires.isoformat()}"] if expires else []
    return "\n".join(lines) + "\n"


def read_tokens(path: Path) -> tuple[TokenRow, ...]:
    """All rows. Raises TokensFileError."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
        if len(content) > MAX_FILE_BYTES:
            raise TokensFileError(f"has more than {MAX_FILE_BYTES:,} bytes")
        return parse_tokens(content.decode())
    except OSError as error:
        raise TokensFileError(f"cannot be read: {error.strerror or 'it is no file'}") from error
    except UnicodeDecodeError as error:
        raise TokensFileError("is not UTF-8") from error


def parse_tokens(text: str) -> tuple[TokenRow, ...]:
    """The rows of a file's text. Raises TokensFileError."""
    try:
        found = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise TokensFileError(f"is no TOML: {error}") from error
    if strange := sorted(found.keys() - {"token"}):
        raise TokensFileError(f"holds {quote(strange[0])}; it may hold nothing but [[token]]")
    listed = found.get("token", [])
    if not isinstance(listed, list) or not all(isinstance(row, dict) for row in listed):
        raise TokensFileError("has a token that is no [[token]]")
    rows = tuple(_read_row(number, row) for number, row in enumerate(listed, 1))
    hashes = [row.sha256 for row in rows]
    if twice := next((n for n, each in enumerate(hashes, 1) if each in hashes[: n - 1]), None):
        raise TokensFileError(f"has, in [[token]] {twice}, a sha256 for the second time")
    return rows


def _read_row(number: int, row: dict[str, Any]) -> TokenRow:
    name, hashed, scopes, may_act = (row.get(field) for field in ("name", "sha256", "scopes", "may_act"))
    where = f"has, in [[token]] {number}"
    if isinstance(name, str):
        where += f" ({quote(name)})"
    if strange := sorted(row.keys() - _FIELDS):
        raise TokensFileError(f"{where}, {quote(strange[0])}; known are {', '.join(sorted(_FIELDS))}")
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise TokensFileError(f"{where}, no name of 1 to 64 letters, digits, '.', '_' or '-'")
    if not isinstance(hashed, str) or not _SHA256.fullmatch(hashed):
        raise TokensFileError(f"{where}, no sha256 of 64 small hexadecimal digits")
    if not isinstance(scopes, list) or not scopes or not all(each in SCOPES for each in scopes):
        raise TokensFileError(f"{where}, no scopes that are some of {', '.join(SCOPES)}")
    if may_act is not None and not isinstance(may_act, bool):
        raise TokensFileError(f"{where}, a may_act that is neither true nor false")
    return TokenRow(hashed, name, frozenset(scopes), bool(may_act), _read_expiry(where, row.get("expires")))


def _read_expiry(where: str, value: Any) -> int | None:
    """Seconds since 1970; a day, or a time without a zone, is of UTC."""
    if value is None:
        return None
    if isinstance(value, str):
        with suppress(ValueError):
            value = date.fromisoformat(value)
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime.combine(value, time(), UTC)
    if not isinstance(value, datetime):
        raise TokensFileError(f"{where}, an expires that is no date such as 2027-01-01")
    return int((value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp())


def _stamp(path: Path) -> tuple[int, ...]:
    """What tells whether a file was changed or replaced; nothing where it is not there."""
    try:
        status = os.stat(path)
    except OSError:
        return ()
    return status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino
