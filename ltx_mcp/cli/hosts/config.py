"""A host's configuration file: read as it is, and replaced whole or not at all."""

import os
import stat
import sys
from dataclasses import dataclass
from pathlib import Path

from ltx_mcp.domain.errors import ErrorCode, SetupError


def position(text: str, at: int) -> tuple[int, int]:
    """Line and column of a character, both from 1; CRLF, LF and a lone CR each end a line."""
    before = text[:at].replace("\r\n", "\n").replace("\r", "\n")
    return before.count("\n") + 1, len(before) - before.rfind("\n")


class BrokenConfigError(SetupError):
    """The text of a configuration is not what its host reads, or not in a form that can be edited safely."""

    def __init__(self, why: str, where: tuple[int, int] | None = None) -> None:
        place = f"line {where[0]}, column {where[1]}: " if where else ""
        super().__init__(ErrorCode.INVALID_REQUEST, f"{place}{why}")


MARK = b"\xef\xbb\xbf"
"""Some editors of Windows begin a file with it; it is kept."""
BACKUP = ".ltx-mcp-backup"
PRIVATE, NEW, GROUP = 0o600, 0o644, 0o070


@dataclass(frozen=True)
class HostConfig:
    """The bytes of a configuration; None where there is no file. `path` is where they lie, behind every link."""

    path: Path
    data: bytes | None

    @property
    def text(self) -> str:
        """What it says, without the mark. Raises BrokenConfigError where it is not UTF-8."""
        data = (self.data or b"").removeprefix(MARK)
        try:
            return data.decode()
        except UnicodeDecodeError as error:
            before = data[: error.start].decode()
            raise BrokenConfigError("this is not UTF-8", position(before, len(before))) from error

    def encoded(self, text: str) -> bytes:
        """The bytes of a new text, with the mark if the old one had it."""
        mark = MARK if (self.data or b"").startswith(MARK) else b""
        return mark + text.encode()

    @property
    def backup(self) -> Path:
        """Where its first state is kept."""
        return self.path.with_name(self.path.name + BACKUP)


def read_config(path: Path) -> HostConfig:
    """The file as it is now. Raises SetupError where it cannot be read."""
    try:
        path = path.resolve()
        return HostConfig(path, path.read_bytes())
    except FileNotFoundError:
        return HostConfig(path, None)
    except (OSError, RuntimeError) as error:
        raise _refused(path, "read", error) from error


def check_writable(config: HostConfig) -> None:
    """Raise SetupError where the file or its folder is read-only; also where this user may override that."""
    folder = config.path.parent
    while not os.path.exists(folder):
        folder = folder.parent
    for path in (config.path, folder) if config.data is not None else (folder,):
        if not path.stat().st_mode & 0o222 or not os.access(path, os.W_OK):
            raise SetupError(
                ErrorCode.STORAGE_FAILED,
                f"{path} is read-only, so nothing was changed.",
                "Make it writable, or edit it in its own way if another program manages it.",
            )


def replace_config(config: HostConfig, data: bytes, *, private: bool = False, backup: Path | None = None) -> None:
    """Put `data` in the file's place at once, and its old bytes in `backup`. On failure nothing is left behind.

    Raises SetupError, also where the file was changed since it was read.
    """
    check_writable(config)
    temporary = config.path.with_name(f"{config.path.name}.{os.getpid()}.part")
    made: list[Path] = []
    try:
        config.path.parent.mkdir(parents=True, exist_ok=True)
        _write_new(temporary, data, config.path, private=private)
        made.append(temporary)
        if backup is not None and config.data is not None:
            _write_new(backup, config.data, config.path, private=False)
            made.append(backup)
        if read_config(config.path).data != config.data:
            raise SetupError(
                ErrorCode.STORAGE_FAILED, f"{config.path} was changed by another program meanwhile.", "Run this again."
            )
        os.replace(temporary, config.path)
    except BaseException as error:
        for path in made:
            path.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise _refused(config.path, "written", error) from error
        raise


def remove_config(config: HostConfig) -> None:
    """Remove a file that says nothing any more."""
    check_writable(config)
    try:
        config.path.unlink()
    except OSError as error:
        raise _refused(config.path, "removed", error) from error


def _write_new(path: Path, data: bytes, like: Path, *, private: bool) -> None:
    """A file that is not there yet, with the mode and the owner of `like`; never more open than that."""
    found = like.stat() if os.path.exists(like) else None
    mode = PRIVATE if private else stat.S_IMODE(found.st_mode) if found else NEW
    descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | getattr(os, "O_BINARY", 0), mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(descriptor)
        if sys.platform != "win32" and found:
            made = path.stat()
            if (found.st_uid, found.st_gid) != (made.st_uid, made.st_gid):
                try:
                    os.chown(path, found.st_uid, found.st_gid)
                except PermissionError:
                    mode &= ~GROUP  # it would be another group's
            os.chmod(path, mode)
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _refused(path: Path, done: str, error: OSError | RuntimeError) -> SetupError:
    why = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else "a link leads back to itself"
    return SetupError(ErrorCode.STORAGE_FAILED, f"{path} cannot be {done}: {why}.", "Nothing was changed.")
