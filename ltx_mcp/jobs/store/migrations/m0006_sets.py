"""Form 6: sets, which are several takes of one request."""

from sqlalchemy import Connection, text

SETS = """
CREATE TABLE sets (
    id TEXT NOT NULL PRIMARY KEY,
    caller TEXT NOT NULL,
    request_key TEXT,
    fingerprint TEXT NOT NULL,
    normal JSON NOT NULL,
    created_at BIGINT NOT NULL
)
"""

STATEMENTS = (
    SETS,
    "CREATE UNIQUE INDEX sets_by_key ON sets (caller, request_key)",
    "CREATE INDEX sets_by_fingerprint ON sets (caller, fingerprint)",
    "ALTER TABLE jobs ADD COLUMN set_id TEXT REFERENCES sets (id)",
    "ALTER TABLE jobs ADD COLUMN take INTEGER",
    "CREATE UNIQUE INDEX jobs_by_set ON jobs (set_id, take) WHERE set_id IS NOT NULL",
)


def apply(connection: Connection) -> None:
    """Make the table, and say of each job which take of which set it is; those that are there are jobs of their own."""
    for statement in STATEMENTS:
        connection.execute(text(statement))
