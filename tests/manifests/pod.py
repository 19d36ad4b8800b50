"""A container as the manifest describes it, made with Linux namespaces instead of Kubernetes. Not a test.

Everything is read-only but its empty volumes, which belong to root as a kubelet makes them. The process has the user of
the manifest and no capability, and is the first of its process namespace. It shares the network of this machine.
"""

import os
import shlex
import stat
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from shutil import which

import pytest

from manifests.facts import ROOT
from tests.conftest import missing

NEEDED = (ROOT, Path(sys.prefix).resolve(), Path(sys.base_prefix).resolve(), Path(sys.executable).resolve().parents[1])
KEPT = ("/proc", "/sys", "/dev")
SCRIPT = """\
set -eu
mount --make-rprivate /
{reach}
{volumes}
awk '{{print $2}}' /proc/self/mounts | sort -u | while read -r place; do
    case "$place" in {kept}) ;; *) mount -o remount,bind,ro "$place" ;; esac
done
exec setpriv --reuid={user} --regid={group} --groups={files} --inh-caps=-all --bounding-set=-all --no-new-privs \\
    env -i {environment} {command}
"""


def check_able() -> None:
    """Skips where no such container can be made."""
    if not sys.platform.startswith("linux") or os.geteuid() != 0:
        pytest.skip("only root of Linux may make namespaces")
    if not all(map(which, ("unshare", "setpriv", "mount", "awk"))):
        missing("unshare, setpriv, mount and awk are not all installed")
    if subprocess.run(["unshare", "--mount", "--pid", "--fork", "true"], capture_output=True).returncode:
        pytest.skip("no namespaces here")


def command(
    security: Mapping[str, int], folder: Path, volumes: Sequence[Path], env: Mapping[str, str], arguments: Sequence[str]
) -> list[str]:
    """What starts ltx-mcp with these arguments as a container; it is the command's only process below `unshare`."""
    ours = [sys.executable, "-P", "-m", "ltx_mcp", *arguments]
    given = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "PYTHONPATH": str(ROOT), **env}
    kept = [*KEPT, *(f"{each}/*" for each in KEPT), *map(str, volumes)]
    script = SCRIPT.format(
        reach="\n".join(_reach(folder)),
        volumes="\n".join(f"mount -t tmpfs -o mode=777 empty {shlex.quote(str(each))}" for each in volumes),
        kept="|".join(kept),
        user=security["runAsUser"],
        group=security["runAsGroup"],
        files=security["fsGroup"],
        environment=" ".join(shlex.quote(f"{name}={value}") for name, value in given.items()),
        command=shlex.join(ours),
    )
    return ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", script]


def _reach(folder: Path) -> list[str]:
    """Python and this source may lie below a folder that is closed to others, as that of root: then they alone are put
    where the others are not seen."""
    closed = sorted({place for path in NEEDED for place in path.parents if not place.stat().st_mode & stat.S_IXOTH})
    if not closed:
        return []
    (top,) = closed[:1]
    below = sorted({path for path in NEEDED if path.is_relative_to(top)})
    lines = []
    for number, path in enumerate(below):
        held = shlex.quote(str(folder / f"held{number}"))
        lines.append(f"mkdir {held} && mount --bind {shlex.quote(str(path))} {held}")
    lines.append(f"mount -t tmpfs -o mode=755 empty {shlex.quote(str(top))}")
    for number, path in enumerate(below):
        held, place = shlex.quote(str(folder / f"held{number}")), shlex.quote(str(path))
        lines.append(f"mkdir -p {place} && mount --bind {held} {place}")
    return lines
