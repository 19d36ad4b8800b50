"""Form 4: the live jobs of a caller are found by an index that holds no others, however many have ended."""

from sqlalchemy import Connection, text

LIVE = "state IN ('queued', 'submitting', 'running', 'saving')"


def apply(connection: Connection) -> None:
    """Make the index."""
    connection.execute(text(f"CREATE INDEX jobs_live ON jobs (caller, state) WHERE {LIVE}"))
