"""What the media process may access: on Linux the kernel keeps it from other files, the network and other processes.

Landlock holds the files, a system call filter the rest. Each is used where the kernel has it; `confine` says what
holds. No codec is imported here, and nothing of it can be undone.
"""

import ctypes
import os
import platform
import struct
import sys
import sysconfig
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from ltx_mcp.media.messages import FONT_FOLDERS, Confinement, ProcessLimits, Sandbox

_MACHINE = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}
# Landlock's rights to files, by the number of the bit; later kernels know more of them.
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR, _REMOVE_FILE, _MAKE_REG, _TRUNCATE = (
    1 << n for n in (0, 1, 2, 3, 5, 8, 14)
)
_READ = _READ_FILE | _READ_DIR
_WRITE = _READ | _WRITE_FILE | _REMOVE_FILE | _MAKE_REG | _TRUNCATE
_OF_A_FILE = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE
_RIGHTS_SINCE = {1: (1 << 13) - 1, 2: 1 << 13, 3: 1 << 14, 5: 1 << 15}
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_NO_NEW_PRIVILEGES, _SET_SECCOMP, _FILTER = 38, 22, 2
_NEW_USER, _NEW_NETWORK = 0x10000000, 0x40000000
_ALLOW, _DENY, _UNKNOWN_CALL, _KILL = 0x7FFF0000, 0x00050001, 0x00050026, 0x80000000
_THREAD = 0x10000

# Numbers of system calls on x86_64 and aarch64; the first has some that the second never got.
_REFUSED: dict[str, tuple[int, int | None]] = {
    "socket": (41, 198), "socketpair": (53, 199), "connect": (42, 203), "bind": (49, 200), "listen": (50, 201),
    "accept": (43, 202), "accept4": (288, 242), "sendto": (44, 206), "sendmsg": (46, 211), "sendmmsg": (307, 269),
    "io_uring_setup": (425, 425), "io_uring_enter": (426, 426), "io_uring_register": (427, 427),
    "execve": (59, 221), "execveat": (322, 281), "fork": (57, None), "vfork": (58, None),
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "kcmp": (312, 272),
    "kill": (62, 129), "tkill": (200, 130), "rt_sigqueueinfo": (129, 138), "rt_tgsigqueueinfo": (297, 240),
    "pidfd_open": (434, 434), "pidfd_getfd": (438, 438), "pidfd_send_signal": (424, 424),
    "bpf": (321, 280), "perf_event_open": (298, 241), "userfaultfd": (323, 282), "add_key": (248, 217),
    "request_key": (249, 218), "keyctl": (250, 219), "open_by_handle_at": (304, 265),
    "unshare": (272, 97), "setns": (308, 268), "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41),
    "chroot": (161, 51), "fsopen": (430, 430), "fsmount": (432, 432), "move_mount": (429, 429),
    "open_tree": (428, 428), "mount_setattr": (442, 442), "init_module": (175, 105), "finit_module": (313, 273),
    "kexec_load": (246, 104), "reboot": (169, 142),
    "chmod": (90, None), "fchmod": (91, 52), "fchmodat": (268, 53), "fchmodat2": (452, 452), "chown": (92, None),
    "lchown": (94, None), "fchown": (93, 55), "fchownat": (260, 54), "setxattr": (188, 5), "lsetxattr": (189, 6),
    "fsetxattr": (190, 7),
}  # fmt: skip
_CLONE, _CLONE3, _TGKILL, _PRLIMIT = (56, 220), (435, 435), (234, 131), (302, 261)

_SYSTEM = (
    "/usr", "/lib", "/lib32", "/lib64", "/nix/store", "/gnu/store", "/run/current-system", "/etc/ld.so.cache",
    "/etc/alternatives", "/etc/fonts", "/etc/localtime", "/sys/devices/system/cpu", "/proc/cpuinfo", "/proc/meminfo",
    "/proc/stat", "/dev/null", "/dev/urandom",
)  # fmt: skip
_LIBRARIES = ("PIL", "av", "pillow_heif")


def confine(sandbox: Sandbox) -> Confinement:
    """Confines the process, which must still have only one thread, for as long as it lives."""
    if not sys.platform.startswith("linux") or platform.machine() not in _MACHINE or sys.maxsize < 1 << 32:
        return Confinement()
    try:
        libc = ctypes.CDLL(None, use_errno=True)
    except OSError:
        return Confinement()
    if libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0) != 0:
        return Confinement()
    has_files = _hold_files(libc, sandbox)
    # A process of another user namespace may not inspect ours; root would lose its rights to files.
    is_apart = not has_files and os.geteuid() != 0 and libc.unshare(_NEW_USER | _NEW_NETWORK) == 0
    has_filter = _hold_calls(libc)
    return Confinement(
        files=has_files, network=has_filter or is_apart, processes=has_filter and (has_files or is_apart)
    )


def limit(limits: ProcessLimits) -> None:
    """Sets what the next piece of work may use, beyond what this process has used already."""
    if sys.platform != "win32":
        import resource

        if limits.cpu_s is not None:
            used = resource.getrusage(resource.RUSAGE_SELF)
            _lower(resource.RLIMIT_CPU, max(1, round(used.ru_utime + used.ru_stime + limits.cpu_s)))
        _lower(resource.RLIMIT_FSIZE, limits.file_bytes + _log_bytes())
        _lower(resource.RLIMIT_NOFILE, limits.open_files)


def _lower(what: int, most: int) -> None:
    """Sets the limit that holds; the one up to which it may be raised again stays."""
    if sys.platform != "win32":
        import resource

        with suppress(OSError, ValueError):
            hard = resource.getrlimit(what)[1]
            resource.setrlimit(what, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))


def _log_bytes() -> int:
    """What must be added for a log file at stderr, whose size counts too."""
    with suppress(OSError):
        return os.fstat(2).st_size + (1 << 20)
    return 0


def _hold_files(libc: ctypes.CDLL, sandbox: Sandbox) -> bool:
    """Landlock: what is not named cannot be opened, and other processes can be neither inspected nor signalled."""
    version = libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), 1)
    if version < 1:
        return False
    known = sum(bits for since, bits in _RIGHTS_SINCE.items() if since <= version)
    fields = (known, *((3,) if version >= 4 else ()), *((3,) if version >= 6 else ()))
    wanted = struct.pack(f"{len(fields)}Q", *fields)
    rules = libc.syscall(_CREATE_RULESET, wanted, ctypes.c_size_t(len(wanted)), 0)
    if rules < 0:
        return False
    try:
        for path in (*_imported_from(), *_SYSTEM, *map(os.path.expanduser, FONT_FOLDERS), *sandbox.reads):
            _allow(libc, rules, path, _READ & known)
        for path in sandbox.writes:
            _allow(libc, rules, path, _WRITE & known)
        return bool(libc.syscall(_RESTRICT_SELF, rules, 0) == 0)
    finally:
        os.close(rules)


def _allow(libc: ctypes.CDLL, rules: int, path: str, rights: int) -> None:
    """What does not exist, or cannot be named, stays forbidden."""
    if sys.platform == "linux":
        with suppress(OSError):
            place = os.open(path, os.O_PATH | os.O_CLOEXEC)
            try:
                if not os.path.isdir(path):
                    rights &= _OF_A_FILE
                libc.syscall(_ADD_RULE, rules, 1, struct.pack("=Qi", rights, place), 0)
            finally:
                os.close(place)


def _imported_from() -> Iterable[str]:
    """Where Python's own modules, ours and the codecs' lie; of a folder with none of them, nothing may be read."""
    yield from {sys.prefix, sys.base_prefix, sys.exec_prefix, sysconfig.get_path("stdlib")}
    yield str(Path(__file__).parents[1])
    for entry in sys.path:
        if any(os.path.exists(os.path.join(entry, name)) for name in _LIBRARIES) or entry.endswith(".zip"):
            yield entry


def _hold_calls(libc: ctypes.CDLL) -> bool:
    """A filter of system calls: no sockets, no other programs, no other processes, no new owners or rights of files."""
    program = _program(*_MACHINE[platform.machine()])
    code = ctypes.create_string_buffer(program, len(program))
    head = struct.pack("HP", len(program) // 8, ctypes.addressof(code))
    return bool(libc.prctl(_SET_SECCOMP, _FILTER, ctypes.c_char_p(head), 0, 0) == 0)


def _program(architecture: int, column: int) -> bytes:
    """The filter, as instructions of the kernel's packet filter."""
    load, equal, at_least, any_bit, answer = 0x20, 0x15, 0x35, 0x45, 0x06
    number, kind, first_argument = 0, 4, 16
    refused = [pair[column] for pair in _REFUSED.values() if pair[column] is not None]
    code = [(load, 0, 0, kind), (equal, 1, 0, architecture), (answer, 0, 0, _KILL), (load, 0, 0, number)]
    if column == 0:
        # Numbers from here on are those of the same calls with short pointers.
        code += [(at_least, 0, 1, 0x40000000), (answer, 0, 0, _DENY)]
    for each in refused:
        code += [(equal, 0, 1, each or 0), (answer, 0, 0, _DENY)]
    # Without a number the C library falls back to clone, whose flags can be read.
    code += [(equal, 0, 1, _CLONE3[column]), (answer, 0, 0, _UNKNOWN_CALL)]
    code += [(equal, 0, 4, _CLONE[column]), (load, 0, 0, first_argument), (any_bit, 1, 0, _THREAD)]
    code += [(answer, 0, 0, _DENY), (answer, 0, 0, _ALLOW)]
    code += [(equal, 0, 4, _TGKILL[column]), (load, 0, 0, first_argument), (equal, 1, 0, os.getpid())]
    code += [(answer, 0, 0, _DENY), (answer, 0, 0, _ALLOW)]
    code += [(equal, 0, 4, _PRLIMIT[column]), (load, 0, 0, first_argument), (equal, 1, 0, 0)]
    code += [(answer, 0, 0, _DENY), (answer, 0, 0, _ALLOW)]
    code += [(answer, 0, 0, _ALLOW)]
    return b"".join(struct.pack("=HBBI", *each) for each in code)
