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
"""


@contextmanager
def pooled(database_url: str, pool_size: int = 4) -> Iterator[str]:
    """The address of a database behind PgBouncer, which has so few sessions that its clients share them."""
    program = find_daemon("pgbouncer")
    url = urlsplit(database_url)
    query = parse_qs(url.query)
    folder = Path(tempfile.mkdtemp(prefix="ltx-pool-"))
    folder.chmod(0o777)
    config = folder / "pgbouncer.ini"
    port = query.get("port", [str(url.port or 5432)])[0]
    values = {"host": query["host"][0], "port": port, "user": url.username or "postgres"}
    config.write_text(CONFIG.format(own_port=PORT, folder=folder, pool_size=pool_size, **values))
    # as root it runs as another user: the one that the server itself runs as, who can reach it
    user = ["-u", Path(values["host"]).owner()] if os.geteuid() == 0 else []
    command = [program, "-q", *user, str(config)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for((folder / f".s.PGSQL.{PORT}").exists, HANG_S)
        yield f"postgresql://{values['user']}@{url.path}?host={folder}&port={PORT}"
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)
