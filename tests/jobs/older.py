"""Version 0.1.0 of this program, out of this repository's history, and large databases as it left them. Not a test."""

import io
import json
import subprocess
import tarfile
from contextlib import closing
from pathlib import Path

from sqlalchemy import text

from ltx_mcp.jobs.store.database import Database
from ltx_mcp.jobs.store.migrations import migrate
from ltx_mcp.jobs.store.postgres import Postgres
from tests.conftest import missing
from tests.jobs.test_first_version import ROWS, STEPS_OF_0_1_0

ROOT = Path(__file__).parents[2]
VERSION_0_1_0 = "6b2bafd2f7eaea7c0b7a802d7d69ba8124b06148"
"""The last commit before form 4."""
PART, DAYS, DAY_US = 10_000, 60, 86_400_000_000
INPUTS = json.dumps([{"role": "image", "sha256": "a" * 64, "format": "png"}])
WHATS = ("placed", "submitting", "accepted", "saving", "succeeded")


def program_of(commit: str, folder: Path) -> Path:
    """The program as it was, in a folder where PYTHONPATH finds it."""
    command = ["git", "-C", str(ROOT), "archive", commit, "ltx_mcp"]
    archive = subprocess.run(command, capture_output=True, check=False)
    if archive.returncode:
        missing(
            f"The older version is read from commit {commit}, which this copy of the repository does not have "
            f"({archive.stderr.decode().strip()}). Clone it with its complete history: git fetch --unshallow."
        )
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as tar:
        tar.extractall(folder, filter="data")
    return folder


def fill(url: str, jobs: int) -> None:
    """Make an empty PostgreSQL database one of version 0.1.0, with so many films of the last days, each with its
    history; some have a key, some are made from a picture."""
    row = ROWS["jobs"][0] | {"cancel_wanted": False}
    age = f"(i % {DAYS}) * {DAY_US} + i"
    now = "(extract(epoch FROM now()) * 1000000)::bigint"
    copied = {
        "id": "'job_' || i",
        "fingerprint": "'f' || i",
        "request_key": "CASE WHEN i % 3 = 0 THEN 'k' || i END",
        "inputs": f"CASE WHEN i % 5 = 0 THEN '{INPUTS}'::json ELSE '[]'::json END",
        "day": f"to_char(to_timestamp(({now} - {age}) / 1000000.0) AT TIME ZONE 'UTC', 'YYYY-MM-DD')",
        **{name: f"{now} - {age}" for name in ("created_at", "ordered_at", "finished_at", "next_at")},
    }
    values = ", ".join(copied.get(name, f":{name}") for name in row)
    with closing(Database(Postgres(url))) as database:
        with database.write() as connection:
            migrate(connection, until=STEPS_OF_0_1_0)
        for first in range(0, jobs, PART):
            numbers = f"generate_series({first + 1}, {min(first + PART, jobs)}) AS i"
            with database.write(durable=False) as connection:
                connection.execute(text(f"INSERT INTO jobs ({', '.join(row)}) SELECT {values} FROM {numbers}"), row)
                connection.execute(
                    text(
                        "INSERT INTO events (job_id, at, what, detail) SELECT 'job_' || i, e, what, '{}' "
                        f"FROM {numbers}, unnest(ARRAY{list(WHATS)}) WITH ORDINALITY AS told (what, e)"
                    )
                )
        with database.write() as connection:
            connection.execute(text("ANALYZE"))
