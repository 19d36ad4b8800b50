"""What is kept: the home, room for films, the database and the jobs in it, the folders paths may lie in.

Nothing is made here: a home that is not there yet is looked at where it would be made.
"""

import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from ltx_mcp.cli.checks.bucket import check_bucket
from ltx_mcp.cli.checks.finding import Finding, failure, fine, warning
from ltx_mcp.cli.checks.timeouts import within
from ltx_mcp.domain.errors import LtxError
from ltx_mcp.jobs.home import find_trouble, stands_open
from ltx_mcp.media.inputs import input_folders
from ltx_mcp.presentation.config import working_folder
from ltx_mcp.settings import Settings, home_folder

if TYPE_CHECKING:
    from ltx_mcp.jobs.store.database_check import DatabaseReport

LOW_DISK_BYTES, FULL_DISK_BYTES = 1 << 30, 50 << 20
DATABASE_S = 7.0
MAX_NAMED = 3
MOVE_HOME = "Mend its permissions, or set LTX_MCP_HOME to a folder on a local disk that can be written."
MAKE_ROOM = "Free space, set LTX_MCP_KEEP_DAYS, or set LTX_MCP_HOME to a folder on another disk."


async def check_state(settings: Settings) -> list[Finding]:
    """The home, the disk, the database and its jobs, the bucket, the folders."""
    home = settings.home
    return [
        *await within(DATABASE_S, check_home, home),
        *await _database(settings),
        *await check_bucket(settings),
        *await _webhooks(settings),
        *_folders(settings),
    ]


def check_home(home: Path) -> list[Finding]:
    """Whether the home can be written, or made, and how much room there is."""
    place = next(each for each in (home, *home.parents) if os.path.exists(each))  # says no where it may not look
    if not place.is_dir():
        return [failure("home", f"{home} cannot be used: {place} is not a folder", MOVE_HOME)]
    try:
        with tempfile.TemporaryFile(dir=place) as file:
            file.write(bytes(1 << 16))
            file.flush()
    except OSError as error:
        return [failure("home", f"{place} cannot be written: {error.strerror}", MOVE_HOME), _disk(place)]
    if place != home:
        return [fine("home", f"{home} is made at the first start"), _disk(place)]
    return [_closed(home), _disk(place)]


def _closed(home: Path) -> Finding:
    """Whether it is one user's alone."""
    if reason := find_trouble(home):
        return failure("home", f"{home} is refused: {reason}", f"{MOVE_HOME} To close it: chmod 700 {home}")
    if stands_open(home):
        found = f"{home} can be written, but others can get at it; it is closed at the next start"
        return warning("home", found, f"chmod 700 {home}")
    return fine("home", f"{home} can be written")


def _disk(place: Path) -> Finding:
    free = shutil.disk_usage(place).free
    found = f"{free / (1 << 30):.1f} GiB free" if free >= LOW_DISK_BYTES else f"{free >> 20} MiB free"
    if free < FULL_DISK_BYTES:
        return failure("disk", f"{found}: too little for a film", MAKE_ROOM)
    return fine("disk", found) if free >= LOW_DISK_BYTES else warning("disk", found, MAKE_ROOM)


async def _database(settings: Settings) -> list[Finding]:
    from ltx_mcp.jobs.store.database_check import check_database, doubtful_disk

    try:
        books = await within(DATABASE_S, check_database, settings.home, settings.database_url)
    except TimeoutError:
        mend = "Check LTX_MCP_DATABASE_URL and the server." if settings.database_url else "See what holds the file."
        return [failure("database", f"no answer within {DATABASE_S:g} s", mend)]
    except (LtxError, OSError) as error:
        return [_unusable(error)]
    lines = []
    if not settings.database_url and (kind := await within(DATABASE_S, doubtful_disk, settings.home)):
        found = f"the home lies on a {kind} disk: only processes of one machine may use it at a time"
        lines.append(warning("database", found, "Set LTX_MCP_HOME, or share LTX_MCP_DATABASE_URL."))
    if books is None:
        return [*lines, fine("database", f"SQLite, made at the first start in {settings.home}")]
    if books.form > books.newest:
        found = f"{books.kind}, at form {books.form}, written by a newer ltx-mcp; this one knows {books.newest}"
        return [*lines, failure("database", found, "Upgrade ltx-mcp.")]
    if books.unsound:
        found = f"{books.kind}, broken: {books.unsound}"
        return [*lines, failure("database", found, "Stop every ltx-mcp, and put a copy of jobs.sqlite back.")]
    form = "up to date" if books.form == books.newest else "brought up to date at the next start"
    return [*lines, fine("database", f"{books.kind}, can be written, {form}"), *_jobs(books)]


async def _webhooks(settings: Settings) -> list[Finding]:
    from ltx_mcp.cli.checks.webhooks import check_webhooks

    try:
        return await within(DATABASE_S, check_webhooks, settings)
    except TimeoutError:
        return []  # the database is silent, as its own line says


def _unusable(error: Exception) -> Finding:
    where = getattr(error, "where", "")
    hint = "Check LTX_MCP_DATABASE_URL, and that the server is up." if where else getattr(error, "hint", MOVE_HOME)
    message = where or getattr(error, "message", str(error))
    if "locked" in message:
        hint = "Another process holds the file and does not let go: end it, or wait."
    return failure("database", message, hint)


def _jobs(books: "DatabaseReport") -> list[Finding]:
    lines = []
    if books.live and not books.workers:
        found = f"{books.live} under way, and nobody works on them"
        lines.append(warning("jobs", found, "ltx-mcp work --until-idle"))
    elif books.live:
        lines.append(fine("jobs", f"{books.live} under way; {books.workers} at work"))
    else:
        lines.append(fine("jobs", "none under way"))
    if books.unknown:
        named = ", ".join(books.unknown[:MAX_NAMED]) + (", ..." if len(books.unknown) > MAX_NAMED else "")
        found = f"{len(books.unknown)} with an unknown outcome, whose price stays held: {named}"
        first = books.unknown[0]
        lines.append(warning("jobs", found, f"ltx-mcp jobs show {first}; then ltx-mcp jobs resolve {first}"))
    return lines


def _folders(settings: Settings) -> list[Finding]:
    what, mend = "paths", "Set LTX_MCP_INPUT_DIRS to folders that are there."
    folders = input_folders(settings.input_dirs or None, working_folder(), home_folder())
    if not folders:
        return [warning(what, "no folder is there that files may lie in", mend)]
    missing = [str(folder) for folder in folders if not os.path.isdir(folder)]
    if missing:
        return [warning(what, f"files may lie in {', '.join(missing)}, which is not there", mend)]
    return [fine(what, f"files may lie in {os.pathsep.join(map(str, folders))}")]
