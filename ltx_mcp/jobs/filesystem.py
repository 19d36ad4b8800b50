"""The disk of a home: its kind, because the SQLite locks that prevent double payment need a local disk, and its free
space.
"""

import logging
import shutil
from pathlib import Path

from ltx_mcp.domain.errors import ErrorCode, SetupError

logger = logging.getLogger(__name__)

MOUNTS = Path("/proc/self/mountinfo")
NETWORK = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "ncpfs", "fuse.sshfs", "fuse.rclone", "fuse.s3fs"})
"""Locks and shared memory do not work between the machines that share these."""
DOUBTFUL = frozenset({"9p", "virtiofs", "ceph", "lustre", "glusterfs", "fuse.glusterfs", "gpfs", "ocfs2", "vboxsf"})
"""Fine while only one machine uses the folder."""
MAX_RESERVE_BYTES, RESERVE_SHARE = 64 << 20, 20
"""How much of a disk is left free; of a small disk one part in RESERVE_SHARE."""


def check_disk(home: Path, mounts: Path = MOUNTS) -> None:
    """Raises SetupError(storage_failed) for a home on a network disk; warns where it may be one. Linux only: other
    systems have no such file."""
    kind = file_system_of(home, mounts)
    if kind in NETWORK:
        raise SetupError(
            ErrorCode.STORAGE_FAILED,
            f"{home} lies on a network disk ({kind}), where a database file is not safe: two processes could order "
            "the same video.",
            "Set LTX_MCP_HOME to a folder on a local disk, or LTX_MCP_DATABASE_URL to a PostgreSQL database.",
        )
    if kind in DOUBTFUL:
        logger.warning("%s lies on a %s disk: only processes of one machine may use it at a time.", home, kind)


def file_system_of(home: Path, mounts: Path = MOUNTS) -> str:
    """The type of the file system of a home; empty when the system does not say it."""
    try:
        return find_file_system(home.resolve(), mounts.read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return ""


def check_space(folder: Path, needed_bytes: int) -> None:
    """Raises SetupError(storage_failed) when the disk of `folder`, which need not exist yet, has less free space. A
    disk that does not report its free space is assumed to have enough."""
    try:
        usage = shutil.disk_usage(_existing(folder))
    except OSError:
        return
    if usage.total and usage.free < needed_bytes:
        raise SetupError(
            ErrorCode.STORAGE_FAILED,
            f"The disk of {folder} has {_format_size(usage.free)} left, and {_format_size(needed_bytes)} are needed.",
            "Free space, or set LTX_MCP_HOME to a folder on another disk.",
        )


def reserve_of(folder: Path) -> int:
    """How much should stay free on the disk of `folder`, for the database and other programs."""
    try:
        total = shutil.disk_usage(_existing(folder)).total
    except OSError:
        return 0
    return min(MAX_RESERVE_BYTES, total // RESERVE_SHARE)


def _existing(folder: Path) -> Path:
    """The folder, or its nearest parent that exists."""
    return next((each for each in (folder, *folder.parents) if each.exists()), folder)


def _format_size(size_bytes: int) -> str:
    return f"{size_bytes / 1e9:.1f} GB" if size_bytes >= 1e9 else f"{size_bytes / 1e6:.1f} MB"


def find_file_system(path: Path, mountinfo: str) -> str:
    """The type of the file system of a path, from the text of mountinfo; empty when it is not listed."""
    found, longest = "", -1
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        fields = before.split()
        if len(fields) < 5 or not after:
            continue
        point = fields[4].replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\")
        if path.is_relative_to(point) and len(point) >= longest:  # of two mounts on one point the later one is visible
            found, longest = after.split()[0], len(point)
    return found
