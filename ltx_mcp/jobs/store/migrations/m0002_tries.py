"""Form 2: how often an offer was turned away for now, and what the day's budget counts for a job."""

from sqlalchemy import Connection, text


def apply(connection: Connection) -> None:
    """Add the columns; a job that is already there is counted by its price."""
    connection.execute(text("ALTER TABLE jobs ADD COLUMN tries INTEGER NOT NULL DEFAULT 0"))
    connection.execute(text("ALTER TABLE jobs ADD COLUMN held_micro BIGINT NOT NULL DEFAULT 0"))
    connection.execute(text("UPDATE jobs SET held_micro = cost_micro"))
