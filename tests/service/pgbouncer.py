"""PgBouncer in transaction mode in front of a PostgreSQL of these tests. Not a test."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from tests.jobs.test_processes import wait_for
from tests.patience import HANG_S
from tests.service.replicas import find_daemon

PORT = 6432
CONFIG = """
[databases]
* = host={host} port={port} user={user}
[pgbouncer]
listen_addr =
listen_port = {own_port}
unix_socket_dir = {folder}
auth_type = any
pool_mode = transaction
default_pool_size = {pool_size}
max_client_conn = 500
server_login_retry = 1
"""


class PgBouncer:
    """One PgBouncer, which has so few sessions of a database that its clients share them. `url` leads through it."""

    def __init__(self, database_url: str, pool_size: int) -> None:
        program = find_daemon("pgbouncer")
        url = urlsplit(database_url)
        query = parse_qs(url.query)
        self._folder = Path(tempfile.mkdtemp(prefix="ltx-pool-"))
        self._folder.chmod(0o777)
        config = self._folder / "pgbouncer.ini"
        port = query.get("port", [str(url.port or 5432)])[0]
        values = {"host": query["host"][0], "port": port, "user": url.username or "postgres"}
        config.write_text(CONFIG.format(own_port=PORT, folder=self._folder, pool_size=pool_size, **values))
        # as root it runs as another user: the one that the server itself runs as, who can reach it
        user = ["-u", Path(values["host"]).owner()] if os.geteuid() == 0 else []
        self._command = [program, "-q", *user, str(config)]
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"postgresql://{values['user']}@{url.path}?host={self._folder}&port={PORT}"

    def start(self) -> None:
        """Start it, and wait until it listens."""
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for((self._folder / f".s.PGSQL.{PORT}").exists, HANG_S)

    def kill(self) -> None:
        """End it at once, with every connection through it."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        (self._folder / f".s.PGSQL.{PORT}").unlink(missing_ok=True)

    def close(self) -> None:
        """Kill it, and remove what it has."""
        if self._process is not None:
            self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)


@contextmanager
def pooled(database_url: str, pool_size: int = 4) -> Iterator[str]:
    """The address of a database behind a PgBouncer."""
    bouncer = PgBouncer(database_url, pool_size)
    try:
        bouncer.start()
        yield bouncer.url
    finally:
        bouncer.close()
