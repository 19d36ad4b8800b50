"""Providers' keys in the system's keyring. Which ones are kept there is written down in the home, by name alone, so
that whoever keeps none never touches the keyring. The environment comes first.
"""

import logging
import threading
from collections.abc import Callable, Iterable, Sequence
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
"""A keyring that is locked asks its person, and a server that starts cannot wait for them for ever."""


def read_kept_keys(home: Path, lookup: Callable[[str], str], keys: Iterable[Sequence[str]]) -> dict[str, str]:
    """What the keyring has of `keys`, each by all its names, that the environment behind `lookup` has by none of them.
    What cannot be had is a warning."""
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
    """The names of the keys that were put into the keyring from here."""
    try:
        return (home / INDEX).read_text(encoding="utf-8").split()
    except OSError:
        return []


def keep_key(home: Path, name: str, key: str) -> None:
    """Put a key into the keyring. Raises SetupError where there is none."""
    _ask(methodcaller("set_password", SERVICE, name, key))
    _write(home, sorted({*kept_names(home), name}))


def drop_key(home: Path, name: str) -> None:
    """Take it out again. Raises SetupError."""
    if name in kept_names(home):
        _ask(methodcaller("delete_password", SERVICE, name))
        _write(home, [each for each in kept_names(home) if each != name])


def _write(home: Path, names: list[str]) -> None:
    with open_private(home / INDEX, "wb") as file:
        file.write("".join(f"{name}\n" for name in names).encode())


def _ask(call: Callable[[Any], T]) -> T:
    """What the keyring answers, within ASK_S. Raises SetupError."""
    try:
        import keyring
        from keyring.errors import KeyringError, NoKeyringError
    except ImportError as error:
        raise _no_keyring(
            "The package that speaks to the system's keyring is not installed.",
            'Install it with pip install ".[keyring]" in the folder of the source, or set',
        ) from error
    answers: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            answers.append(call(keyring))
        except Exception as error:  # noqa: BLE001 - a backend is anybody's code, and another thread's
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(ASK_S)
    if answers:
        return answers[0]
    if not errors:
        raise _no_keyring(f"The keyring did not answer within {ASK_S:g} s.", "Unlock it, or set")
    if isinstance(errors[0], NoKeyringError):
        raise _no_keyring("This machine has no keyring that a key could be kept in.", "Set") from errors[0]
    what = type(errors[0]).__name__ if isinstance(errors[0], KeyringError) else "an error of its own"
    raise _no_keyring(f"The keyring refused ({what}).", "Unlock it, or set") from errors[0]


def _no_keyring(message: str, hint: str) -> SetupError:
    return SetupError(ErrorCode.MISSING_KEY, message, f"{hint} the key in the environment.")
