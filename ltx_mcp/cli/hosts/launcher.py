"""How a host starts the program that runs now: what is written must start there, with a short PATH, for years."""

import json
import shutil
import sys
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from ltx_mcp import __version__
from ltx_mcp.cli.hosts.entry import IS_NAME_OURS, MODULE, PACKAGE, Start, published
from ltx_mcp.domain.errors import ErrorCode, SetupError
from ltx_mcp.launch import find_program


@dataclass(frozen=True)
class Running:
    """Where this program runs from. `origin` is where it was installed from, if that was no package index."""

    prefix: Path
    python: Path
    script: Path | None
    uvx: str
    origin: str


def look_around(environment: Mapping[str, str]) -> Running:
    """This process's own place."""
    scripts = Path(sysconfig.get_path("scripts"))
    names = [scripts / PACKAGE, scripts / f"{PACKAGE}.exe", Path(sys.argv[0]).absolute()]
    script = next((path for path in names if path.stem == PACKAGE and path.is_file()), None)
    # uv tells what it starts where it is itself
    beside = Path(environment["UV"]).parent if environment.get("UV") else None
    uvx = find_program("uvx") or (shutil.which(str(beside / "uvx")) if beside else None)
    return Running(Path(sys.prefix), Path(sys.executable), script, uvx or "", _origin())


def make_start(running: Running, *, is_name_ours: bool = IS_NAME_OURS) -> Start:
    """By uv where this environment is kept only for now; else the console script of this environment.

    Raises SetupError where nothing that lasts would start it, or where uv would take a package of a name that is not
    this project's.
    """
    if is_fleeting(running.prefix):
        if not running.uvx:
            raise _fleeting(running, "uvx is not found")
        if running.origin:
            return Start(running.uvx, ("--from", running.origin, PACKAGE))
        if not is_name_ours:
            raise _fleeting(running, f"it is not told where it came from, and {PACKAGE} has no release of ours yet")
        return Start(running.uvx, published(__version__, is_name_ours=True).arguments)
    if running.script:
        return Start(str(running.script))
    return Start(str(running.python), MODULE)


def _fleeting(running: Running, why: str) -> SetupError:
    return SetupError(
        ErrorCode.INVALID_REQUEST,
        f"{running.prefix} is kept only for now, and {why}.",
        f"Install {PACKAGE} to stay: pip install . in the folder of its source, or give --command.",
    )


def is_fleeting(prefix: Path) -> bool:
    """Whether an environment lies in a cache, from which it may vanish: uvx makes such, and `pipx run`."""
    if {"pipx", ".cache"} <= set(prefix.parts):
        return True
    return any((folder / "CACHEDIR.TAG").is_file() for folder in prefix.parents)


def _origin() -> str:
    """The wheel, folder or repository that this was installed from, as uv takes it; empty for a release."""
    try:
        text = distribution(PACKAGE).read_text("direct_url.json")
    except PackageNotFoundError:
        return ""
    return read_origin(json.loads(text)) if text else ""


def read_origin(direct_url: Mapping[str, Any]) -> str:
    """A direct URL (PEP 610) as a requirement. Nothing where it holds a password: that belongs in no file."""
    url = str(direct_url.get("url", ""))
    if "@" in url:
        return ""
    control = direct_url.get("vcs_info")
    return f"{control['vcs']}+{url}@{control['commit_id']}" if control else url
