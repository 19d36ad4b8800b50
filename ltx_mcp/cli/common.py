"""What the commands share: exit codes, failures in one line, leaving on a signal, a port of this machine, open Jobs,
and care for those that nobody works on."""

import errno
import logging
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import anyio
from anyio.abc import TaskStatus

from ltx_mcp.cli.output.messages import agrees, print_error, say
from ltx_mcp.cli.output.text import name_options, spoken
from ltx_mcp.domain.confirmation import ConfirmationRequiredError
from ltx_mcp.domain.errors import ErrorCode, LtxError, SetupError
from ltx_mcp.domain.job import State
from ltx_mcp.domain.quoting import shorten
from ltx_mcp.presentation.config import make_config, read_edge, warn_of_ended
from ltx_mcp.presentation.json_logs import strike_out
from ltx_mcp.presentation.logs import log_to_stderr

if TYPE_CHECKING:
    from ltx_mcp.jobs.config import JobsConfig
    from ltx_mcp.jobs.service import Jobs

logger = logging.getLogger(__name__)

T = TypeVar("T")

USAGE, REFUSED, STILL_RUNNING, FAILED, UNKNOWN = 2, 3, 4, 5, 6
USAGE_CODES = frozenset(
    {ErrorCode.INVALID_REQUEST, ErrorCode.NOT_SUPPORTED, ErrorCode.JOB_NOT_FOUND, ErrorCode.INPUT_FAILED}
)
EXIT = {State.SUCCEEDED: 0, State.FAILED: FAILED, State.CANCELLED: FAILED, State.UNKNOWN: UNKNOWN}
OPEN_AGAIN_S = 2.0
WORK = "ltx-mcp work --until-idle"
if sys.platform == "win32":
    ENDING = (signal.SIGTERM, signal.SIGINT)
else:
    ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@contextmanager
def report_errors() -> Iterator[None]:
    """An expected failure is one line on stderr and an exit code, not a traceback."""
    try:
        yield
    except (LtxError, BaseExceptionGroup) as raised:
        error = _lone(raised)
        if not isinstance(error, LtxError):
            raise
        message, hint = error.message, error.hint
        if isinstance(error, ConfirmationRequiredError):
            message, hint = error.terminal_message, ""
        print_error(error.code, spoken(name_options(message)), spoken(f"{hint} {getattr(error, 'where', '')}"))
        callers_fault = error.code in USAGE_CODES and not isinstance(error, SetupError)
        raise SystemExit(USAGE if callers_fault else REFUSED) from error


def _lone(error: BaseException) -> BaseException:
    """The one error inside the groups that task groups wrap around it."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


@asynccontextmanager
async def open_jobs(*, work: bool = False, home: str = "", patience_s: float = 0) -> "AsyncIterator[Jobs]":
    """The jobs of this machine; with `work` they are worked on here, and handed over when this ends before them.

    A database that is out of reach is tried again for `patience_s`, which only workers do.
    """
    from ltx_mcp.jobs.handover import start_worker

    settings, catalog = read_edge(home)
    log_to_stderr(settings.log_level)
    strike_out(settings.secrets)
    if work or patience_s:
        warn_of_ended(settings, catalog)
    jobs = await _opened(make_config(settings, catalog, paths=True, is_typed=True), patience_s)
    async with anyio.create_task_group() as group:
        if work:
            await jobs.start(group)
        try:
            yield jobs
        finally:
            start = partial(anyio.to_thread.run_sync, start_worker, settings.home, settings.environment)
            await jobs.stop(start if work else None)


async def _opened(config: "JobsConfig", patience_s: float) -> "Jobs":
    from ltx_mcp.jobs.service import Jobs
    from ltx_mcp.jobs.store.errors import DatabaseUnavailableError

    until = anyio.current_time() + patience_s
    while True:
        try:
            return await Jobs.open(config)
        except DatabaseUnavailableError as error:
            if anyio.current_time() >= until:
                raise
            logger.warning("%s", error)
            await anyio.sleep(OPEN_AGAIN_S)


@asynccontextmanager
async def at_signal(leave: Callable[[signal.Signals], object]) -> AsyncIterator[None]:
    """Call `leave` with the signal when this process is asked to end. Until this closes, asking again does not cut a
    handover short."""

    async def listen(*, task_status: TaskStatus[None]) -> None:
        with anyio.open_signal_receiver(*ENDING) as signals:
            task_status.started()
            async for number in signals:
                leave(number)

    async with anyio.create_task_group() as group:
        if sys.platform != "win32":  # event loops cannot listen to signals there: Ctrl-C is a KeyboardInterrupt
            await group.start(listen)
        yield
        group.cancel_scope.cancel()


def listen(host: str, port: int) -> socket.socket:
    """A socket that accepts connections to `host`. Raises SetupError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except (OSError, UnicodeError) as error:
        if not isinstance(error, OSError) or isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
            message = f"--host {shorten(host)} is no address of this machine."
            raise SetupError(ErrorCode.INVALID_REQUEST, message, "0.0.0.0 is all of them.") from error
        taken = "another program has it" if error.errno == errno.EADDRINUSE else os.strerror(error.errno or 0)
        message = f"Port {port} on {host} cannot be used: {taken}."
        raise SetupError(
            ErrorCode.INVALID_REQUEST, message, "Choose another with --port; 0 takes a free one."
        ) from error


def agree_or_leave(question: str, nothing: str) -> None:
    """Ask a person, and end with the exit code REFUSED where they say no; `nothing` says what then was not done."""
    if not agrees(question):
        say(nothing)
        raise SystemExit(REFUSED)


def run(command: Callable[[], Awaitable[T]]) -> T:
    """Run an async command to its end and report errors."""
    with report_errors():
        return anyio.run(command)


async def care_for_ownerless(jobs: "Jobs") -> None:
    """Start a detached worker where there is something for it; what lacks a key is reported."""
    ownerless = await jobs.ownerless()
    if ownerless.able and (problem := await anyio.to_thread.run_sync(_start_worker, jobs)):
        say(f"Nobody works on {name_some(ownerless.able)}: {WORK} does. It could not be started here: {problem}.")
    for account in dict.fromkeys(ownerless.lacking.values()):
        theirs = [job_id for job_id, name in ownerless.lacking.items() if name == account]
        say(f"Nobody works on {name_some(theirs)}: {jobs.why_not_served(*account)} With that set, {WORK} does.")


def _start_worker(jobs: "Jobs") -> str:
    """Why it could not be started; empty where it was."""
    from ltx_mcp.jobs.handover import start_worker

    try:
        start_worker(jobs.home, read_edge()[0].environment)
    except OSError as error:
        return error.strerror or type(error).__name__
    return ""


def name_some(job_ids: Sequence[str], most: int = 3) -> str:
    """The first of them, and how many more there are."""
    more = f" and {len(job_ids) - most} more" if len(job_ids) > most else ""
    return f"{', '.join(job_ids[:most])}{more}"
