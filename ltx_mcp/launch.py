"""How every process of ours is started, and what it may import: nothing of the folder a host happens to stand in.

Not Python's isolated mode: what was installed with `pip install --user` must be found. Imports nothing that such a
folder could replace, because it is imported before that folder is taken out of the search.
"""

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

FOLDER = os.path.dirname(os.path.abspath(__file__))
"""Where our own code lies."""
PRIVATE_UMASK = 0o077
# These say how the interpreter runs; every other PYTHON… may name code, or a folder with code.
_MANNERS = frozenset({
    "PYTHONUTF8", "PYTHONIOENCODING", "PYTHONCOERCECLOCALE", "PYTHONLEGACYWINDOWSSTDIO", "PYTHONHASHSEED",
    "PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE", "PYTHONNOUSERSITE", "PYTHONSAFEPATH", "PYTHONWARNINGS",
    "PYTHONOPTIMIZE", "PYTHONDEVMODE", "PYTHONASYNCIODEBUG", "PYTHONFAULTHANDLER", "PYTHONTRACEMALLOC", "PYTHONMALLOC",
})  # fmt: skip
_FOLDERS = frozenset({"PYTHONUSERBASE", "PYTHONPYCACHEPREFIX"})


def tidy() -> None:
    """Leave the working folder out of what this process itself imports from now on; called before anything else is.

    It is there by `python -m` without -P, and by a PYTHONPATH with an empty or relative entry.
    """
    sys.path[:] = search_path()
    if sys.executable:
        sys.executable = _absolute(sys.executable)


def command(module: str, *arguments: str) -> list[str]:
    """The command that runs a module of ours by this interpreter."""
    no_user_site = ["-s"] if sys.flags.no_user_site else []
    return [_absolute(sys.executable), "-P", *no_user_site, "-m", module, *arguments]


def surroundings(folder: "os.PathLike[str] | str", environment: "Mapping[str, str]") -> "dict[str, Any]":
    """What `subprocess.Popen` and `anyio.open_process` are given: a working folder of ours, an environment from which
    nobody's code is imported, and a umask by which its files are its user's alone.
    """
    kept = {name: value for name, value in environment.items() if _is_passed_on(name.upper(), value)}
    kept["PYTHONPATH"] = os.pathsep.join(entry for entry in search_path() if os.pathsep not in entry)
    private = {} if os.name == "nt" else {"umask": PRIVATE_UMASK}
    return {"cwd": os.fspath(folder), "env": kept, **private}


def search_path() -> list[str]:
    """Where this process finds modules, without relative entries and what came of them."""
    given = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    named = {os.path.dirname(FOLDER), *filter(os.path.isabs, given)}
    chance = {_absolute(entry) for entry in ("", *given) if not os.path.isabs(entry)}
    user = os.environ.get("PYTHONUSERBASE", "")
    strange = _absolute(user) + os.sep if user and not os.path.isabs(user) else None
    library = os.path.dirname(getattr(os, "__file__", ""))
    found, by_site = [], False
    for entry in sys.path:
        by_site = by_site or entry == library
        # behind the standard library stands what `site` adds: a .pth file may well name the working folder
        if not os.path.isabs(entry) or (strange and entry.startswith(strange)):
            continue
        if by_site or entry in named or entry not in chance:
            found.append(entry)
    return found


def find_program(name: str) -> str | None:
    """Where a program lies, by the absolute folders of PATH alone."""
    from shutil import which

    folders = (folder for folder in os.get_exec_path() if os.path.isabs(folder))
    return next((found for folder in folders if (found := which(os.path.join(folder, name)))), None)


def _is_passed_on(name: str, value: str) -> bool:
    return not name.startswith("PYTHON") or name in _MANNERS or (name in _FOLDERS and os.path.isabs(value))


def _absolute(path: str) -> str:
    """As it is, where the working folder is gone and nobody can say."""
    try:
        return os.path.abspath(path)
    except OSError:
        return path
