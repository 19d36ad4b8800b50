"""What the kernel says about a process; only where it has /proc."""

import os
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")


@dataclass(frozen=True)
class Memory:
    """Resident bytes, and the proportional share of them where pages are shared with other processes."""

    rss: int
    pss: int


def is_known() -> bool:
    """Whether this machine tells."""
    return (PROC / "self" / "smaps_rollup").exists()


def memory(pid: int) -> Memory:
    """One process's memory now."""
    kib: dict[str, int] = {}
    for line in (PROC / str(pid) / "smaps_rollup").read_text(encoding="ascii").splitlines()[1:]:
        name, value, *_ = line.split()
        kib[name.rstrip(":")] = int(value)
    return Memory(kib["Rss"] * 1024, kib["Pss"] * 1024)


def family_memory(pid: int) -> Memory:
    """The memory of a process and of all that descend from it."""
    members = [memory(each) for each in _family(pid)]
    return Memory(sum(each.rss for each in members), sum(each.pss for each in members))


def count_family(pid: int) -> int:
    """How many processes descend from it."""
    return len(_family(pid)) - 1


def cpu_s(pid: int) -> float:
    """CPU seconds a process has used, in user and system mode, all threads."""
    user, system = _stat(pid)[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def _family(pid: int) -> list[int]:
    parents = {}
    for entry in PROC.iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int(_stat(int(entry.name))[1])
            except (FileNotFoundError, ProcessLookupError):
                continue
    found = [pid]
    for member in found:
        found.extend(child for child, parent in parents.items() if parent == member)
    return found


def _stat(pid: int) -> list[str]:
    """The fields after the command's name, which may itself hold blanks."""
    return (PROC / str(pid) / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()
