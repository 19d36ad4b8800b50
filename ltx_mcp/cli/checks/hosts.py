"""The programs on this machine that may start us: which do, from which file, and whether what they start is there."""

from collections.abc import Mapping
from pathlib import Path

from ltx_mcp.cli.checks.line import Line, failure, fine, warning
from ltx_mcp.cli.hosts.found import Found, installed
from ltx_mcp.cli.hosts.places import HOSTS, System

SYSTEMS: dict[str, System] = {"Darwin": "macos", "Windows": "windows"}


def look_at_hosts(system: str, home: Path, environment: Mapping[str, str]) -> list[Line]:
    """A line for each host that is installed; `system` is Python's name of it."""
    try:
        found = [_line(each) for each in installed(SYSTEMS.get(system, "linux"), home, environment)]
    except OSError as error:
        return [warning("hosts", f"cannot be looked at: {error}", "Mend the permissions of this folder.")]
    return found or [fine("hosts", "none that ltx-mcp install knows is on this machine")]


def _line(found: Found) -> Line:
    what, install = f"host {HOSTS[found.host].title}", f"ltx-mcp install {found.host}"
    match found.state:
        case "installed":
            return fine(what, f"{found.path} starts {found.detail}")
        case "command missing":
            return failure(what, f"{found.path} starts {found.detail}, which is not there", install)
        case "broken":
            return warning(what, found.detail, f"Mend {found.path}.")
        case "not ours":
            return fine(what, f"{found.path} has another program under our name")
    return fine(what, f"{found.path} does not name us")
