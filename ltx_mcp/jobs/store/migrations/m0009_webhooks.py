"""Form 9: what is told to webhooks, and the trace that a job belongs to.

`subscriptions` say which ends of whose jobs a webhook is told of. A trigger puts a delivery into the outbox in the
transaction that ends a job, so that a server of an older version, or a terminal that knows no webhook, tells them too.
Of each job a webhook is told each end once: `unknown` may be followed by another. What a webhook that is disabled is
not told is kept for a replay.
"""

from collections.abc import Iterator

from sqlalchemy import Connection

from ltx_mcp.jobs.store.migrations.beside import short

TABLES = (
    """
CREATE TABLE IF NOT EXISTS webhooks (
    name TEXT PRIMARY KEY,
    url_sha256 TEXT NOT NULL,
    disabled_at BIGINT
)
""",
    """
CREATE TABLE IF NOT EXISTS subscriptions (
    webhook TEXT NOT NULL REFERENCES webhooks (name) ON DELETE CASCADE,
    state TEXT NOT NULL,
    caller TEXT NOT NULL,
    is_prefix BOOLEAN NOT NULL,
    PRIMARY KEY (webhook, state, caller, is_prefix)
)
""",
    """
CREATE TABLE IF NOT EXISTS deliveries (
    webhook TEXT NOT NULL,
    job_id TEXT NOT NULL,
    state TEXT NOT NULL,
    caller TEXT NOT NULL,
    request_key TEXT,
    ended_at BIGINT NOT NULL,
    next_at BIGINT NOT NULL,
    tries INTEGER NOT NULL,
    outcome TEXT NOT NULL,
    answer TEXT NOT NULL,
    PRIMARY KEY (webhook, job_id, state)
)
""",
    "CREATE INDEX IF NOT EXISTS deliveries_due ON deliveries (webhook, next_at) WHERE outcome = ''",
    "CREATE INDEX IF NOT EXISTS deliveries_by_time ON deliveries (webhook, ended_at)",
)
TELL = """
INSERT INTO deliveries (webhook, job_id, state, caller, request_key, ended_at, next_at, tries, outcome, answer)
SELECT DISTINCT name, NEW.id, NEW.state, NEW.caller,
    coalesce(NEW.request_key, (SELECT request_key FROM sets WHERE sets.id = NEW.set_id)),
    coalesce(NEW.finished_at, NEW.next_at), coalesce(NEW.finished_at, NEW.next_at), 0,
    CASE WHEN disabled_at IS NULL THEN '' ELSE 'disabled' END, ''
FROM webhooks JOIN subscriptions ON subscriptions.webhook = name WHERE subscriptions.state = NEW.state AND
    (subscriptions.caller = NEW.caller AND NOT is_prefix
    OR is_prefix AND substr(NEW.caller, 1, length(subscriptions.caller)) = subscriptions.caller)
ON CONFLICT DO NOTHING
"""
HAS_ENDED = "NEW.state IN ('succeeded', 'failed', 'cancelled', 'unknown') AND OLD.state <> NEW.state"


def apply(connection: Connection) -> None:
    """Nothing of it reads the rows that are there."""
    for statement in _of_sqlite() if connection.dialect.name == "sqlite" else _of_postgres():
        connection.exec_driver_sql(statement)


def apply_beside(connection: Connection) -> None:
    """The same on PostgreSQL while servers go on; they wait for a moment."""
    with short(connection):
        apply(connection)


def _of_sqlite() -> Iterator[str]:
    yield from TABLES
    yield "ALTER TABLE jobs ADD COLUMN traceparent TEXT"
    yield f"CREATE TRIGGER job_ended AFTER UPDATE OF state ON jobs WHEN {HAS_ENDED} BEGIN {TELL}; END"


def _of_postgres() -> Iterator[str]:
    yield from TABLES
    yield "ALTER TABLE jobs ADD COLUMN IF NOT EXISTS traceparent TEXT"
    yield (
        "CREATE OR REPLACE FUNCTION job_ended() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN {TELL}; RETURN NULL; END $$"
    )
    yield "DROP TRIGGER IF EXISTS job_ended ON jobs"
    yield (
        f"CREATE TRIGGER job_ended AFTER UPDATE OF state ON jobs FOR EACH ROW WHEN ({HAS_ENDED}) "
        "EXECUTE FUNCTION job_ended()"
    )
