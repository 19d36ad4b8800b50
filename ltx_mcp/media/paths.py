"""Which file a path argument means, and whether it may be read: the shell's rules for what a person typed, allowed
folders for what an agent wrote.
"""

import os
import stat
import sys
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from ltx_mcp.domain.errors import CallerError, ErrorCode
from ltx_mcp.domain.quoting import shorten

_PERSONAL = ("Pictures", "Videos", "Movies", "Downloads", "Desktop")
MAX_SHOWN = 300
MAX_COMPARED = 20_000
"""How many names of a folder are compared with one that does not exist."""


class UnreadableError(Exception):
    """Why a file was given up, as the middle of a sentence for the caller."""


def input_folders(setting: str | None, cwd: Path | None, home: Path | None) -> tuple[Path, ...]:
    """The folders a path argument may lie in: those of LTX_MCP_INPUT_DIRS, or the working directory.

    Desktop hosts start servers in `/` or the home folder; there, and where it was removed (None), it is the folders
    people keep media in: none where no `home` is known.
    """
    named = [text.strip() for text in (setting or "").split(os.pathsep) if text.strip()]
    if named:
        return tuple(dict.fromkeys((cwd or Path()) / _at_home(text, home) for text in named))
    holds_home = cwd is not None and home is not None and home.resolve().is_relative_to(cwd.resolve())
    if cwd is not None and cwd != Path(cwd.anchor) and not holds_home:
        return (cwd,)
    if home is None:
        return ()
    return tuple(folder for folder in (home / name for name in _PERSONAL) if folder.is_dir())


def _at_home(text: str, home: Path | None) -> Path:
    if home is None:
        return Path(text)
    if text == "~":
        return home
    return home / text[2:] if text.startswith(("~/", "~" + os.sep)) else Path(text)


@dataclass(frozen=True)
class Place:
    """A file that may be read, by the way down to it from `root`, in which no link is followed any more; without `root`
    it is opened by its name. `was_looked_for`: the caller has not named it in full.
    """

    path: Path
    root: Path | None = None
    parts: tuple[str, ...] = ()
    was_looked_for: bool = False

    @contextmanager
    def opened(self) -> Iterator[BinaryIO]:
        """The file, opened so that no link put below `root` since it was found can lead elsewhere."""
        try:
            descriptor = _open_file(self.path) if self.root is None else _open_below(self.root, self.parts)
        except FileNotFoundError as error:
            raise UnreadableError("does not exist") from error
        except (OSError, ValueError) as error:
            raise UnreadableError("cannot be opened") from error
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise UnreadableError("is not a regular file")
        with open(descriptor, "rb") as source:
            yield source


@dataclass(frozen=True)
class Paths:
    """Where paths lead. An agent's must end in one of `folders`, links followed and hidden files left out; a relative
    one is searched under the working directory `cwd` and under each of them. `is_typed`: a person wrote it at a
    terminal, where it means what the shell means, and any file they may read is theirs to give.
    """

    folders: tuple[Path, ...]
    cwd: Path | None = None
    is_typed: bool = False

    def allowed(self, size: str) -> str:
        """What may be given, as the end of a sentence."""
        if self.is_typed:
            return f"give a file of at most {size}"
        listed = ", ".join(shorten(str(folder), MAX_SHOWN) for folder in self.folders)
        listed = listed or "none (set LTX_MCP_INPUT_DIRS)"
        return f"allowed are files that are not hidden, of at most {size}, in these folders: {listed}"

    def find(self, path: str, argument: str) -> Place | None:
        """The file that `path` means, which need not exist; None where it may not be read. Raises CallerError where it
        means more than one.
        """
        if self.is_typed:
            return self._typed(path, argument)
        try:
            wanted = Path(path).expanduser()
        except RuntimeError:
            return None
        if wanted.anchor:
            place = self._allowed(wanted)
            return None if place is None else self._find_alike([place], path, argument) or place
        bases = dict.fromkeys((*(() if self.cwd is None else (self.cwd,)), *self.folders))
        places = [place for base in bases if (place := self._allowed(base / wanted, was_looked_for=True)) is not None]
        there = _distinct([place.path for place in places])
        own = None if self.cwd is None else self.cwd / wanted
        if own is not None and there and os.path.isfile(own):
            there = _distinct([own, *there])
        if len(there) > 1:
            raise _ambiguous(path, argument, there, {place.path for place in places})
        if not there and (alike := self._find_alike(places, path, argument)):
            return alike
        if there:
            places = [place for place in places if _is_same(place.path, there[0])]
        existing = (place for place in places if os.path.lexists(place.path))
        return next(existing, places[0] if places else None)

    def _find_alike(self, places: list[Place], path: str, argument: str) -> Place | None:
        """The one file whose name is the same but for kinds of blanks and composition, as chats and models write
        names; where nothing is called exactly so. Raises CallerError where there are several.
        """
        if any(os.path.lexists(place.path) for place in places):
            return None
        named = [each for place in places for each in _alike(place.root or Path(place.path.anchor), place.parts)]
        found = [place for each in named if (place := self._allowed(each, was_looked_for=True)) is not None]
        there = _distinct([place.path for place in found])
        if len(there) > 1:
            raise _ambiguous(path, argument, there, set(there))
        return found[0] if there else None

    def _typed(self, path: str, argument: str) -> Place:
        with suppress(RuntimeError):  # ~somebody who is not there is a name like any other
            path = str(Path(path).expanduser())
        if self.cwd is None and not os.path.isabs(path):
            raise UnreadableError("is relative, and the working directory is gone")
        wanted = (self.cwd or Path()) / path
        if os.path.isdir(wanted):
            raise UnreadableError("is a folder")
        if not os.path.lexists(wanted):
            alike = _distinct(_alike(Path(wanted.anchor), wanted.parts[1:]))
            if len(alike) > 1:
                raise _ambiguous(path, argument, alike, set(alike))
            if alike:
                return Place(alike[0], was_looked_for=True)
        return Place(wanted)

    def _allowed(self, wanted: Path, *, was_looked_for: bool = False) -> Place | None:
        for folder in self.folders:
            if (below := _below(wanted, folder)) is not None:
                return Place(below[0].joinpath(*below[1]), *below, was_looked_for)
        return None


def _alike(root: Path, parts: tuple[str, ...]) -> list[Path]:
    """The paths below `root` that are spelled the same except for kinds of blanks and Unicode composition."""
    found = [root]
    for part in parts:
        found = [child for folder in found for child in _children(folder, part)]
    return found


def _children(folder: Path, name: str) -> list[Path]:
    if os.path.lexists(folder / name):
        return [folder / name]
    plain = _plain(name)
    try:
        with os.scandir(folder) as entries:
            return [Path(each.path) for each in islice(entries, MAX_COMPARED) if _plain(each.name) == plain]
    except OSError:
        return []


def _plain(name: str) -> str:
    return unicodedata.normalize("NFC", "".join(" " if letter.isspace() else letter for letter in name))


def _distinct(paths: list[Path]) -> list[Path]:
    """Those that are files, each file once, by whatever ways it is reached."""
    found: list[Path] = []
    for path in paths:
        if os.path.isfile(path) and not any(_is_same(path, other) for other in found):
            found.append(path)
    return found


def _is_same(one: Path, other: Path) -> bool:
    try:
        return one == other or os.path.samefile(one, other)
    except OSError:
        return False


def _ambiguous(path: str, argument: str, found: list[Path], readable: set[Path]) -> CallerError:
    named = [
        shorten(str(each), MAX_SHOWN) + ("" if any(_is_same(each, one) for one in readable) else " (may not be read)")
        for each in found
    ]
    return CallerError(
        ErrorCode.INVALID_REQUEST,
        f"{argument}: {shorten(path)} could be any of these files: {', '.join(named)}.",
        "Nothing was ordered. Give the full path of the one that is meant.",
    )


def _below(wanted: Path, folder: Path) -> tuple[Path, tuple[str, ...]] | None:
    """The folder and the way down from it, once every link is followed; None is outside or hidden."""
    try:
        # On Windows even looking at \\server\share sends the user's credentials there: first by name alone.
        if sys.platform == "win32" and not Path(os.path.normpath(wanted)).is_relative_to(os.path.normpath(folder)):
            return None
        root = folder.resolve()
        parts = wanted.resolve().relative_to(root).parts
    except (ValueError, RuntimeError, OSError):
        return None
    return None if any(part.startswith(".") for part in parts) else (root, parts)


if sys.platform == "win32":

    def _open_file(path: Path) -> int:
        return os.open(path, os.O_RDONLY | os.O_BINARY)

    def _open_below(root: Path, parts: tuple[str, ...]) -> int:
        wanted = root.joinpath(*parts)
        descriptor = os.open(wanted, os.O_RDONLY | os.O_BINARY)
        # No openat there: what was opened must still be what the name, links followed, refers to.
        if wanted.resolve() != wanted or not os.path.samestat(os.fstat(descriptor), os.stat(wanted)):
            os.close(descriptor)
            raise OSError("changed while it was opened")
        return descriptor

else:

    def _open_file(path: Path) -> int:
        # Without O_NONBLOCK a FIFO would hold this thread until somebody writes.
        return os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)

    def _open_below(root: Path, parts: tuple[str, ...]) -> int:
        folder_flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
        folder = os.open(root, folder_flags)
        try:
            for part in parts[:-1]:
                inner = os.open(part, folder_flags, dir_fd=folder)
                os.close(folder)
                folder = inner
            return os.open(
                parts[-1] if parts else ".", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY, dir_fd=folder
            )
        finally:
            os.close(folder)
