"""The programs on this machine that may start us: which do, from which file, whether what they start is there, and
whether it is given a key."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from ltx_mcp.cli.checks.finding import Finding, absent, failure, fine, warning
from ltx_mcp.cli.hosts.detect import DetectedHost, installed
from ltx_mcp.cli.hosts.paths import HOSTS, System
from ltx_mcp.domain.catalog import ProviderSpec
from ltx_mcp.domain.request import PREVIEW_PROVIDER
from ltx_mcp.providers.catalog_loader import is_loopback_url, read_providers
from ltx_mcp.settings import PREFIX

SYSTEMS: dict[str, System] = {"Darwin": "macos", "Windows": "windows"}


def check_hosts(
    system: str, home: Path, environment: Mapping[str, str], facts: Sequence[ProviderSpec] = ()
) -> list[Finding]:
    """Lines for each host that is installed; `system` is Python's name of it, `facts` are those in use."""
    facts = facts or read_providers()
    try:
        found = [
            line for each in installed(SYSTEMS.get(system, "linux"), home, environment) for line in _of(each, facts)
        ]
    except OSError as error:
        return [warning("hosts", f"cannot be looked at: {error}", "Mend the permissions of this folder.")]
    return found or [fine("hosts", "none that ltx-mcp install knows is on this machine")]


def _of(found: DetectedHost, facts: Sequence[ProviderSpec]) -> list[Finding]:
    what, install = f"host {HOSTS[found.host].title}", f"ltx-mcp install {found.host}"
    match found.state:
        case "installed":
            starts = f"{found.path} starts {found.detail}"
            return [warning(what, f"{starts}, {doubt}", mend) for doubt, mend in _doubts(found, facts)] or [
                fine(what, starts)
            ]
        case "command missing":
            return [failure(what, f"{found.path} starts {found.detail}, which is not there", install)]
        case "broken":
            return [warning(what, found.detail, f"Mend {found.path}.")]
        case "not ours":
            return [absent(what, f"not installed: {found.path} has another program under our name")]
    return [absent(what, f"not installed; {install} does it")]


def _doubts(found: DetectedHost, facts: Sequence[ProviderSpec]) -> list[tuple[str, str]]:
    """What makes an entry another one than is meant, and what mends it."""
    again = f"ltx-mcp install {found.host}{'' if HOSTS[found.host].by_name else ' --with-values'}"
    addresses = {name for each in facts for name in each.url_env.values()}
    loopback = [name for name, value in found.variables.items() if name in addresses and is_loopback_url(value)]
    doubts = [
        (
            f"which orders at an address on this machine, as an emulator's: {name}={found.variables[name]}",
            f"ltx-mcp uninstall {found.host}; then {again} in a shell without {name}",
        )
        for name in loopback
    ]
    keys = [name for each in facts for name in each.key_env]
    wants_previews = found.variables.get(f"{PREFIX}PROVIDERS") == PREVIEW_PROVIDER
    if not wants_previews and not any(name in found.variables for name in keys):
        first = [each.key_env[0] for each in facts if each.key_env]
        doubts.append(
            ("with no key: only previews can be made", f"Set {', '.join(first[:-1])} or {first[-1]}; then {again}")
        )
    return doubts
