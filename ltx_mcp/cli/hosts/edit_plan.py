"""One change to one host's configuration: worked out first, shown, then written whole or not at all."""

import difflib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from ltx_mcp.cli.hosts.config import (
    BrokenConfigError,
    HostConfig,
    read_config,
    remove_config,
    replace_config,
)
from ltx_mcp.cli.hosts.detect import is_ours, read_entry
from ltx_mcp.cli.hosts.entry import SERVER, merge_entry, shown
from ltx_mcp.cli.hosts.jsonc import is_bare, put_json, read_json, take_json
from ltx_mcp.cli.hosts.paths import Host
from ltx_mcp.cli.hosts.toml import put_toml, take_toml, write_toml
from ltx_mcp.domain.errors import ErrorCode, SetupError


@dataclass(frozen=True)
class EditPlan:
    """What the file holds under our name before and after, and its whole new text; None where it goes."""

    host: Host
    config: HostConfig
    old: Any
    new: Any
    text: str | None

    @property
    def is_needed(self) -> bool:
        """Whether anything would differ."""
        return bool(self.old != self.new)


def make_install(
    host: Host, path: Path, entry: dict[str, Any], names: Sequence[str] = (), *, force: bool = False
) -> EditPlan:
    """Our entry put into the configuration at `path`. Raises SetupError where it cannot be, or is somebody else's."""
    config = read_config(path)
    with _naming(config.path):
        text = config.text
        old = read_entry(host, text)
        new = merge_entry(old, entry, names) if is_ours(old) else entry
        if old == new:
            return EditPlan(host, config, old, new, text)
        _check_ours(host, config.path, old, force)
        where = (host.table, SERVER)
        if _loses(old, new) or not is_ours(old):
            text = _taken(host, text, where) if old is not None else text
        text = (put_toml if host.is_toml else put_json)(text, where, new)
        return EditPlan(host, config, old, new, text)


def make_uninstall(host: Host, path: Path, *, force: bool = False) -> EditPlan:
    """Our entry taken out of the configuration at `path`, and what install had made around it."""
    config = read_config(path)
    with _naming(config.path):
        text = config.text
        old = read_entry(host, text)
        if old is None:
            return EditPlan(host, config, None, None, text)
        _check_ours(host, config.path, old, force)
        left: str | None = _taken(host, text, (host.table, SERVER))
        assert left is not None
        first = read_config(config.backup)
        if not host.is_toml and is_bare(left, [host.table]) and not _had(host, first):
            left = take_json(left, [host.table])
        if first.data is None and (not left.strip() or (not host.is_toml and is_bare(left))):
            left = None  # the file was made by install
        return EditPlan(host, config, old, None, left)


def write(change: EditPlan, *, private: bool) -> Path | None:
    """Carry it out; the path of the backup that was made now, if any."""
    config = change.config
    if change.text is None:
        remove_config(config)
        return None
    data = config.encoded(change.text)
    backup = None if change.new is None else _free_backup(change)
    replace_config(config, data, private=private, backup=backup)
    if change.new is None and read_config(config.backup).data == data:
        config.backup.unlink()  # all is as it was
    return backup


def _free_backup(change: EditPlan) -> Path | None:
    """Where the file as it was before us is to be kept; None where there is no such file, or it is kept already."""
    config = change.config
    if config.data is None or (change.old is not None and is_ours(change.old)):
        return None
    kept = read_config(config.backup).data
    if kept is None or kept == config.data:
        return config.backup if kept is None else None
    return config.backup.with_name(f"{config.backup.name}-{datetime.now():%Y%m%d-%H%M%S}")


def difference(change: EditPlan, public: Sequence[str]) -> Iterator[str]:
    """The change as a unified diff of our entry, without line ends; keys are hidden, other servers are not shown."""
    before, after = (_lines(change, entry, public) for entry in (change.old, change.new))
    name = str(change.config.path)
    for line in difflib.unified_diff(before, after, name, name, lineterm=""):
        # numbers of lines would be those of the entry, not of the file
        yield f"@@ {change.host.table} @@" if line.startswith("@@") else line


def _lines(change: EditPlan, entry: Any, public: Sequence[str]) -> list[str]:
    if entry is None:
        return []
    entry = shown(entry, public, ours=is_ours(entry))
    if change.host.is_toml and isinstance(entry, dict):
        return write_toml((change.host.table, SERVER), entry).splitlines()
    return json.dumps({SERVER: entry}, indent=2, ensure_ascii=False).split("\n")[1:-1]


def _check_ours(host: Host, path: Path, entry: Any, force: bool) -> None:
    if entry is None or is_ours(entry) or force:
        return
    command = entry.get("command") if isinstance(entry, dict) else None
    raise SetupError(
        ErrorCode.INVALID_REQUEST,
        f'{path} has a server called "{SERVER}" that is not this program{f": {command}" if command else ""}.',
        "Rename it there, or give --force to replace it.",
    )


def _loses(old: Any, new: dict[str, Any]) -> bool:
    """Whether a variable of the old entry is not in the new one; merging by name would keep it."""
    env = old.get("env") if isinstance(old, dict) else None
    return isinstance(env, dict) and not env.keys() <= new.get("env", {}).keys()


def _taken(host: Host, text: str, where: tuple[str, str]) -> str:
    return (take_toml if host.is_toml else take_json)(text, where)


def _had(host: Host, first: HostConfig) -> bool:
    """Whether the file had the table of servers before us."""
    try:
        return first.data is not None and read_json(first.text, [host.table]) is not None
    except BrokenConfigError:
        return False


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Says in which file it was that something is broken."""
    try:
        yield
    except BrokenConfigError as error:
        message = f"{path}, {error.message}."
        raise SetupError(ErrorCode.INVALID_REQUEST, message, "Mend it first; nothing was changed.") from error
