"""Where tests keep films that are costly to make: pytest's own cache, shared by all workers and by later runs.

A folder is named by a hash over all that draws the films, so that a film is drawn anew when that changes. Whoever
makes one writes it under another name first and renames it, so that several may. `make clean` drops them all, and so
does `pytest --cache-clear`. Not a test.
"""

import hashlib
import os
from collections.abc import Callable, Iterator
from functools import cache
from importlib.metadata import version
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DRAWN_BY = ("ltx_mcp/media", "ltx_mcp/emulator", "tests/media/films.py", "tests/emulator/made.py")


def kept_films(config: pytest.Config) -> Path:
    """The folder of the films that are drawn as this checkout draws them."""
    return config.cache.mkdir(f"films-{drawn_by()}")


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


def kept(path: Path, make: Callable[[Path], object]) -> Path:
    """The file at this path, made by `make` if nobody has made it yet. It has its ending while it is made, too."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f"{os.getpid()}.part-{path.name}")
        make(part)
        os.replace(part, path)
    return path
