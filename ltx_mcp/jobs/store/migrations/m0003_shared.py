"""Form 3: workers that share no kernel, and prices a caller was asked to confirm."""

from sqlalchemy import Connection, text

WORKERS = """
CREATE TABLE workers (
    name TEXT NOT NULL PRIMARY KEY,
    host TEXT NOT NULL,
    beat_at BIGINT NOT NULL
)
"""

ASKED = """
CREATE TABLE asked (
    caller TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    cost_micro BIGINT NOT NULL,
    asked_at BIGINT NOT NULL,
    PRIMARY KEY (caller, fingerprint)
)
"""


def apply(connection: Connection) -> None:
    """Make the two tables, and find the jobs that wait for another, and those of a holder, by an index."""
    connection.execute(text(WORKERS))
    connection.execute(text(ASKED))
    connection.execute(text("CREATE INDEX jobs_by_holder ON jobs (holder, state)"))
    connection.execute(text("CREATE INDEX jobs_by_wait ON jobs (waits_for)"))
