"""Where tests keep films and sounds that are costly to make, for all workers and for later runs: `.films`.

A folder in it is named by a hash over all that makes them, so that they are made anew when that changes. Whoever makes
one writes it under another name first and renames it, so that several may at once. `make clean` drops them all. Not a
test.
"""

import hashlib
import os
from collections.abc import Callable, Iterator
from functools import cache
from importlib.metadata import version
from pathlib import Path
from threading import get_ident

ROOT = Path(__file__).parents[1]
DRAWN_BY = ("ltx_mcp/media", "ltx_mcp/emulator", "tests/media/films.py", "tests/emulator/made.py")


def kept_films() -> Path:
    """The folder of the films that are drawn as this checkout draws them."""
    return ROOT / ".films" / drawn_by()


@cache
def drawn_by(root: Path = ROOT) -> str:
    """A hash over the code that draws films and the libraries it draws them with."""
    digest = hashlib.sha256(f"{version('av')} {version('Pillow')}".encode())
    for path in _sources(root):
        digest.update(f"\n{path.relative_to(root).as_posix()}\n".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def _sources(root: Path) -> Iterator[Path]:
    for name in DRAWN_BY:
        path = root / name
        yield from sorted(path.rglob("*.py")) if path.is_dir() else [path]


def kept(name: str, make: Callable[[Path], object]) -> Path:
    """The film of this name, made by `make` if nobody has made it yet. It has its ending while it is made, too."""
    return keep(kept_films() / name, make)


def keep(path: Path, make: Callable[[Path], object]) -> Path:
    """The file at this path, made where it is not there yet."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f"{os.getpid()}-{get_ident()}.part-{path.name}")
        make(part)
        os.replace(part, path)
    return path


def name_of(*words: object) -> str:
    """A name for what these words describe wholly."""
    return hashlib.sha256(repr(words).encode()).hexdigest()[:32]
