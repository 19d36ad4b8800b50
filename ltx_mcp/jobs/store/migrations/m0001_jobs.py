"""Form 1: jobs, their events, and the media already uploaded."""

from sqlalchemy import Connection, text

JOBS = """
CREATE TABLE jobs (
    id TEXT NOT NULL PRIMARY KEY,
    caller TEXT NOT NULL,
    request_key TEXT,
    fingerprint TEXT NOT NULL,
    normal JSON NOT NULL,
    operation TEXT NOT NULL,
    prompt TEXT NOT NULL,
    state TEXT NOT NULL,
    bill TEXT NOT NULL,
    day TEXT NOT NULL,
    offers JSON NOT NULL,
    offer_index INTEGER NOT NULL,
    provider TEXT NOT NULL,
    inputs JSON NOT NULL,
    cost_micro BIGINT NOT NULL,
    charged_micro BIGINT,
    waits_for TEXT NOT NULL,
    holder TEXT NOT NULL,
    sent_by TEXT NOT NULL,
    fence INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    remote JSON,
    progress DOUBLE PRECISION,
    queue_position INTEGER,
    note TEXT NOT NULL,
    result_url TEXT NOT NULL,
    result_url_expires_at BIGINT,
    film JSON,
    adjustments JSON NOT NULL,
    error JSON,
    cancel_wanted BOOLEAN NOT NULL,
    cancel TEXT,
    next_at BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    ordered_at BIGINT,
    finished_at BIGINT
)
"""

EVENTS = """
CREATE TABLE events (
    id {serial},
    job_id TEXT NOT NULL REFERENCES jobs (id),
    at BIGINT NOT NULL,
    what TEXT NOT NULL,
    detail JSON NOT NULL
)
"""

UPLOADS = """
CREATE TABLE uploads (
    provider TEXT NOT NULL,
    account TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    format TEXT NOT NULL,
    uri TEXT NOT NULL,
    expires_at BIGINT,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (provider, account, sha256, format)
)
"""

INDEXES = (
    "CREATE UNIQUE INDEX jobs_by_key ON jobs (caller, request_key)",
    "CREATE INDEX jobs_by_fingerprint ON jobs (caller, fingerprint)",
    "CREATE INDEX jobs_by_age ON jobs (caller, created_at, id)",
    "CREATE INDEX jobs_by_state ON jobs (state, next_at)",
    "CREATE INDEX jobs_by_day ON jobs (day, bill)",
    "CREATE INDEX events_by_job ON events (job_id, id)",
)


def apply(connection: Connection) -> None:
    """Make the three tables."""
    sqlite = connection.dialect.name == "sqlite"
    serial = "INTEGER PRIMARY KEY" if sqlite else "INTEGER GENERATED ALWAYS AS IDENTITY PRIMARY KEY"
    for statement in (JOBS, EVENTS.format(serial=serial), UPLOADS, *INDEXES):
        connection.execute(text(statement))
