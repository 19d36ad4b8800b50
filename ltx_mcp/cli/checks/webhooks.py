"""Webhooks: whether their file can be used, and what waits for whom. No secret and no address is shown."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from ltx_mcp.cli.checks.finding import Finding, failure, fine, warning
from ltx_mcp.cli.output.text import age
from ltx_mcp.domain.errors import LtxError, SetupError
from ltx_mcp.domain.quoting import list_names
from ltx_mcp.private import is_open
from ltx_mcp.settings import Settings

if TYPE_CHECKING:
    from ltx_mcp.jobs.webhooks.file import Webhooks
    from ltx_mcp.jobs.webhooks.view import WebhookStatus

SETTING = "LTX_MCP_WEBHOOKS"
LATE = timedelta(minutes=10)
"""What waits for longer has failed three times."""


def check_webhooks(settings: Settings) -> list[Finding]:
    """The file and the database; nothing where neither has a webhook. Blocking."""
    found = _registered(settings)
    if settings.webhooks_file is None:
        return [_without_file(found)] if found else []
    from ltx_mcp.jobs.webhooks.file import read_webhooks

    path = settings.webhooks_file
    try:
        file = read_webhooks(path, settings.lookup)
    except SetupError as error:
        return [failure("webhooks file", error.message, error.hint)]
    lines = [line for status in found for line in _of(status)]
    if is_open(path.resolve()):
        lines.append(warning("webhooks file", f"{path} is open to other users of this machine", f"chmod 600 {path}"))
    return [*lines, *_differences(file, found)] or [fine("webhooks", _targets(file))]


def _registered(settings: Settings) -> "Sequence[WebhookStatus]":
    """What the database has; nothing where it cannot be read, which is told elsewhere."""
    from ltx_mcp.jobs.store.database_check import read_webhooks

    try:
        return read_webhooks(settings.home, settings.database_url)
    except (LtxError, OSError):
        return ()


def _without_file(found: "Sequence[WebhookStatus]") -> Finding:
    names = list_names([each.name for each in found])
    mend = f"Set {SETTING}, as the server has it; with an empty file nobody is told any more."
    return warning("webhooks", f"registered are {names}, and {SETTING} is not set here", mend)


def _of(status: "WebhookStatus") -> list[Finding]:
    what, now = f"webhook {status.name}", datetime.now(UTC)
    again = f"ltx-mcp webhooks replay --webhook {status.name} --since 1d"
    if status.disabled_at is not None:
        found = f"disabled since {age(status.disabled_at, now)}: it answered that it is gone"
        return [warning(what, found, f"Give it another url, or {again}")]
    if status.oldest_at is None or now - status.oldest_at < LATE:
        return []
    last = f"; the last answer: {status.last.answer}" if status.last else ""
    waiting = "1 delivery waits" if status.waiting == 1 else f"{status.waiting} deliveries wait"
    found = f"{waiting}, the first for {age(status.oldest_at, now)}{last}"
    return [warning(what, found, "See that it answers with 2xx, and that a server with the file runs.")]


def _differences(file: "Webhooks", found: "Sequence[WebhookStatus]") -> list[Finding]:
    registered = {each.name for each in found}
    lines = []
    if lacking := sorted(registered - file.outgoing.keys()):
        mend = "Give all servers the same file; the next that starts takes out what its file does not have."
        lines.append(warning("webhooks", f"registered, but not in this file: {list_names(lacking)}", mend))
    if new := sorted(file.outgoing.keys() - registered):
        mend = "Start a server that has the file, or look at its log."
        lines.append(warning("webhooks", f"in the file, but not registered yet: {list_names(new)}", mend))
    return lines


def _targets(file: "Webhooks") -> str:
    if not file.outgoing:
        return "none in the file"
    return ", ".join(f"{hook.name} at {hook.host}" for hook in file.outgoing.values())
