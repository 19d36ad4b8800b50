"""A TOML file of the operator: what those of LTX_MCP_CALLERS_FILE and LTX_MCP_WEBHOOKS have in common. Each mistake is
told with its place; what may be a key or a secret is not shown. A file that changes is read again.
"""

import logging
import re
import threading
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Generic, TypeVar
from urllib.parse import quote as encode
from urllib.parse import unquote

from ltx_mcp.domain.errors import ErrorCode, SetupError
from ltx_mcp.domain.quoting import quote
from ltx_mcp.jobs.callers import LOCAL, oidc_caller

logger = logging.getLogger(__name__)

T = TypeVar("T")

NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
VARIABLE = re.compile(r"[A-Z][A-Z0-9_]{0,127}")
IS_RANDOM = re.compile(r"(?=.*[0-9])[A-Z0-9]{16,}")
"""No name of a variable, which has words with `_` between them, but some keys."""
PART = r"[A-Za-z0-9._~%-]+"
CALLER = re.compile(rf"{LOCAL}|{PART}\|(\*|{PART}(/(\*|{PART}))?)")


class ReadAgain(Generic[T]):
    """What a file says now. A change that cannot be used is logged, and what was read before stays."""

    def __init__(self, path: Path, read: Callable[[], T]) -> None:
        """Read it. Raises SetupError."""
        self._path = path
        self._read = read
        self._lock = threading.Lock()
        self._stamp = _stamp(path)
        self._found = read()

    def now(self) -> T:
        """What it says, read again if it has changed."""
        with self._lock:
            if (stamp := _stamp(self._path)) != self._stamp:
                self._stamp = stamp
                try:
                    self._found = self._read()
                except SetupError as error:
                    logger.error("%s What was read before stays.", error)
        return self._found


def _stamp(path: Path) -> tuple[int, ...]:
    """What changes with the file; empty where it is not there."""
    try:
        found = path.stat()
    except OSError:
        return ()
    return found.st_mtime_ns, found.st_size, found.st_ino


@dataclass(frozen=True)
class OperatorFile:
    """Reads the parts of one file. Each method raises SetupError, which names `called`, the place and the `setting`."""

    path: Path
    called: str
    setting: str

    def table(self) -> dict[str, Any]:
        """All of it."""
        try:
            return tomllib.loads(self.path.read_text("utf-8"), parse_float=Decimal)
        except (OSError, ValueError, ArithmeticError, RecursionError) as error:
            reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
            raise self.bad("", (isinstance(error, OSError) and error.strerror) or reason) from error

    def sub(self, table: Mapping[str, Any], name: str, place: str) -> dict[str, Any]:
        """A table in a table; empty where it is not there."""
        found = table.get(name, {})
        if not isinstance(found, dict):
            raise self.bad(place, "should be a table")
        return found

    def texts(self, place: str, value: Any) -> list[str]:
        """A list of texts."""
        if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
            raise self.bad(place, "should be a list of texts")
        return value

    def caller(self, place: str, given: str) -> str:
        """A caller's name as callers have it, or one with `*` for several."""
        if not CALLER.fullmatch(given):
            issuer, mark, subject = given.partition("|")
            meant = f"; {quote(oidc_caller(issuer, subject))} is meant, perhaps" if mark and "://" in issuer else ""
            raise self.bad(place, f"{quote(given)} is no caller such as token|name or issuer|subject, encoded{meant}")
        return re.sub(PART, lambda part: encode(unquote(part[0]), safe=""), given)

    def variable(self, place: str, value: Any, *, meant: str = "TEAM_A_KEY; a key never stands in this file") -> str:
        """The name of a variable; `meant` is an example, and what does not belong there."""
        if not isinstance(value, str) or not VARIABLE.fullmatch(value) or IS_RANDOM.fullmatch(value):
            raise self.bad(place, f"should be the name of a variable, such as {meant}")
        if value.startswith("LTX_MCP_"):
            raise self.bad(place, "should be a variable whose name does not begin with LTX_MCP_")
        return value

    def bad(self, place: str, reason: str) -> SetupError:
        """The error for what stands at a place."""
        where = f"{self.path}, {place}" if place else str(self.path)
        message = f"The {self.called} cannot be used. {where}: {reason}."
        return SetupError(ErrorCode.INVALID_REQUEST, message, f"Mend the file or unset {self.setting}.")
