"""Providers' keys in the system's keyring. A file in the home lists their names, so that the keyring is only used if it
has any. The environment takes precedence.
"""

import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, wait
from operator import methodcaller
from pathlib import Path
from typing import Any, TypeVar

from ltx_mcp.domain.errors import ErrorCode, SetupError
from ltx_mcp.private import open_private

logger = logging.getLogger(__name__)

T = TypeVar("T")

SERVICE = "ltx-mcp"
INDEX = "kept-keys"
ASK_S = 10.0
"""A locked keyring asks a person, and a starting server cannot wait for them indefinitely."""


def read_kept_keys(home: Path, lookup: Callable[[str], str], keys: Iterable[Sequence[str]]) -> dict[str, str]:
    """The keys in the keyring that the environment lacks under all their names. Logs a warning where that fails."""
    lacking = {name for names in keys if not any(map(lookup, names)) for name in names}
    found = {}
    for name in lacking.intersection(kept_names(home)):
        try:
            found[name] = _ask(methodcaller("get_password", SERVICE, name)) or ""
        except SetupError as error:
            logger.warning("%s is kept in the keyring and could not be had: %s", name, error)
            break
    return found


def kept_names(home: Path) -> list[str]:
    """The names of the keys in the keyring."""
    try:
        return (home / INDEX).read_text(encoding="utf-8").split()
    except OSError:
        return []


def keep_key(home: Path, name: str, key: str) -> None:
    """Put a key into the keyring. Raises SetupError."""
    _ask(methodcaller("set_password", SERVICE, name, key))
    _write(home, sorted({*kept_names(home), name}))


def drop_key(home: Path, name: str) -> None:
    """Remove a key from the keyring. Raises SetupError."""
    if name in kept_names(home):
        _ask(methodcaller("delete_password", SERVICE, name))
        _write(home, [kept for kept in kept_names(home) if kept != name])


def _write(home: Path, names: list[str]) -> None:
    with open_private(home / INDEX, "wb") as file:
        file.write("".join(f"{name}\n" for name in names).encode())


def _ask(call: Callable[[Any], T]) -> T:
    """Call the keyring, and wait for at most ASK_S. Raises SetupError."""
    try:
        import keyring
        from keyring.errors import KeyringError, NoKeyringError
    except ImportError as error:
        raise _no_keyring(
            "The package that speaks to the system's keyring is not installed.",
            'Install it with pip install ".[keyring]" in the folder of the source, or set',
        ) from error
    reply: Future[T] = Future()

    def run() -> None:
        try:
            reply.set_result(call(keyring))
        except Exception as error:  # noqa: BLE001 - a backend is anybody's code, in another thread
            reply.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    if not wait([reply], ASK_S).done:
        raise _no_keyring(f"The keyring did not answer within {ASK_S:g} s.", "Unlock it, or set")
    refused = reply.exception()
    if refused is None:
        return reply.result()
    if isinstance(refused, NoKeyringError):
        raise _no_keyring("This machine has no keyring that a key could be kept in.", "Set") from refused
    what = type(refused).__name__ if isinstance(refused, KeyringError) else "an error of its own"
    raise _no_keyring(f"The keyring refused ({what}).", "Unlock it, or set") from refused


def _no_keyring(message: str, hint: str) -> SetupError:
    return SetupError(ErrorCode.MISSING_KEY, message, f"{hint} the key in the environment.")
