"""Form 8: what keeps a database of millions of jobs quick: indexes that hold only what is looked for, the inputs that
jobs use, keys that outlive the rows of their jobs, and ids of events that do not run out.

On PostgreSQL an id of an event had 32 bits, which a million jobs a day fill in 430 days. To change the type of a column
rewrites its table while nobody can use it. So a large database gets a second column, which a trigger fills in new rows
and batches fill in old ones, and the two are exchanged in a moment: see `apply_beside`.
"""

from collections.abc import Iterator

from sqlalchemy import Connection, text

from ltx_mcp.jobs.store.migrations.beside import index_beside, short

LIVE = "state IN ('queued', 'submitting', 'running', 'saving')"
FREE = f"holder = '' AND waits_for = '' AND {LIVE}"
UNDER_WAY = "(state IN ('submitting', 'running', 'saving') OR state = 'queued' AND holder <> '')"
INDEXES = {
    "jobs_free": f"jobs (created_at) WHERE {FREE}",
    "jobs_due": f"jobs (next_at) WHERE {FREE}",
    "jobs_accounts": f"jobs (provider, account) WHERE waits_for = '' AND {LIVE}",
    "jobs_under_way": f"jobs (provider) WHERE {UNDER_WAY}",
    "jobs_to_ask": "jobs (next_at) WHERE state = 'unknown' AND remote IS NOT NULL",
    "jobs_settled": "jobs (finished_at) WHERE bill <> 'held'",
    "jobs_by_time": "jobs (created_at, id)",
}
TABLES = (
    """
CREATE TABLE IF NOT EXISTS tombstones (
    caller TEXT NOT NULL,
    request_key TEXT NOT NULL,
    name TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    PRIMARY KEY (caller, request_key)
)
""",
    """
CREATE TABLE IF NOT EXISTS job_inputs (
    name TEXT NOT NULL,
    job_id TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    PRIMARY KEY (name, job_id)
)
""",
    "CREATE INDEX IF NOT EXISTS job_inputs_by_job ON job_inputs (job_id)",
)
NAMES = """
SELECT {digest} AS name, {row}.id AS job_id FROM {source} WHERE {digest} <> '' AND {where}
UNION SELECT {job}, {row}.id FROM {source} WHERE {job} <> '' AND {where}
"""
"""What a row of `jobs` is made from: files by their digest, and other jobs by their id."""
KEEP = """
INSERT INTO job_inputs (name, job_id)
SELECT name, job_id FROM ({names}) AS found WHERE true ON CONFLICT DO NOTHING
"""
EXCHANGE = (
    "LOCK TABLE events IN ACCESS EXCLUSIVE MODE",
    "DROP TRIGGER event_widened ON events",
    "DROP FUNCTION event_widened()",
    "ALTER TABLE events ALTER COLUMN wide SET NOT NULL",  # a valid check says so: no row is read
    "ALTER TABLE events DROP CONSTRAINT events_wide_filled",
    "ALTER TABLE events DROP COLUMN id",  # with its indexes
    "ALTER TABLE events RENAME COLUMN wide TO id",
    "ALTER TABLE events ADD CONSTRAINT events_pkey PRIMARY KEY USING INDEX events_wide",
    "ALTER INDEX events_by_job_wide RENAME TO events_by_job",
    "ALTER TABLE events ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY",
    "SELECT setval(pg_get_serial_sequence('events', 'id'), (SELECT coalesce(max(id), 0) + 1 FROM events), false)",
)
BATCH = 10_000


def apply(connection: Connection) -> None:
    """All of it in one transaction, for a database that is not large."""
    for name, on in INDEXES.items():
        connection.exec_driver_sql(f"CREATE INDEX IF NOT EXISTS {name} ON {on}")
    _prepare(connection)
    connection.exec_driver_sql(_keep(connection, "jobs"))
    if connection.dialect.name == "postgresql" and not _is_wide(connection):
        connection.exec_driver_sql("ALTER TABLE events ALTER COLUMN id TYPE BIGINT")


def apply_beside(connection: Connection) -> None:
    """The same on PostgreSQL while servers go on: each statement is a transaction of its own and holds up nobody. What
    was broken off can be begun again."""
    for name, on in INDEXES.items():
        index_beside(connection, name, on)
    with short(connection):
        _prepare(connection)
    _fill_beside(connection)
    if not _is_wide(connection):
        _widen_beside(connection)


# -- inputs and keys ----------------------------------------------------------------------------------------------


def _prepare(connection: Connection) -> None:
    sqlite = connection.dialect.name == "sqlite"
    keep = _keep(connection, "NEW")
    for statement in (*TABLES, *(_triggers_of_sqlite(keep) if sqlite else _triggers_of_postgres(keep))):
        connection.exec_driver_sql(statement)


def _keep(connection: Connection, row: str, where: str = "true") -> str:
    """Keeps what one row, or each that is met, is made from."""
    if connection.dialect.name == "sqlite":
        source, digest, job = (
            f"json_each({row}.inputs) AS each",
            *(f"json_extract(each.value, '$.{key}')" for key in ("sha256", "job_id")),
        )
    else:
        source, digest, job = f"json_array_elements({row}.inputs) AS each", "each ->> 'sha256'", "each ->> 'job_id'"
    source = source if row == "NEW" else f"{row}, {source}"
    return KEEP.format(names=NAMES.format(row=row, source=source, digest=digest, job=job, where=where))


def _triggers_of_sqlite(keep: str) -> Iterator[str]:
    has_any = "json_array_length(NEW.inputs) > 0"
    yield f"CREATE TRIGGER inputs_insert AFTER INSERT ON jobs WHEN {has_any} BEGIN {keep}; END"
    yield f"CREATE TRIGGER inputs_update AFTER UPDATE OF inputs ON jobs WHEN {has_any} BEGIN {keep}; END"
    for table in ("jobs", "sets"):
        yield (
            f"CREATE TRIGGER key_{table} BEFORE INSERT ON {table} WHEN NEW.request_key IS NOT NULL AND EXISTS "
            "(SELECT 1 FROM tombstones WHERE caller = NEW.caller AND request_key = NEW.request_key) "
            "BEGIN SELECT RAISE(ABORT, 'this request_key named a job that was removed'); END"
        )


def _triggers_of_postgres(keep: str) -> Iterator[str]:
    yield (
        "CREATE OR REPLACE FUNCTION inputs_kept() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN {keep}; RETURN NULL; END $$"
    )
    yield (
        "CREATE OR REPLACE FUNCTION key_checked() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "IF EXISTS (SELECT 1 FROM tombstones WHERE caller = NEW.caller AND request_key = NEW.request_key) "
        "THEN RAISE EXCEPTION 'this request_key named a job that was removed' USING ERRCODE = 'unique_violation'; "
        "END IF; RETURN NEW; END $$"
    )
    has_any = "json_array_length(NEW.inputs) > 0"
    triggers = {
        "inputs_insert": ("jobs", f"AFTER INSERT ON jobs FOR EACH ROW WHEN ({has_any})", "inputs_kept"),
        "inputs_update": ("jobs", f"AFTER UPDATE OF inputs ON jobs FOR EACH ROW WHEN ({has_any})", "inputs_kept"),
    } | {
        f"key_{table}": (
            table,
            f"BEFORE INSERT ON {table} FOR EACH ROW WHEN (NEW.request_key IS NOT NULL)",
            "key_checked",
        )
        for table in ("jobs", "sets")
    }
    for name, (table, when, function) in triggers.items():
        yield f"DROP TRIGGER IF EXISTS {name} ON {table}"
        yield f"CREATE TRIGGER {name} {when} EXECUTE FUNCTION {function}()"


def _fill_beside(connection: Connection) -> None:
    batch = text("SELECT max(id) FROM (SELECT id FROM jobs WHERE id > :last ORDER BY id LIMIT :batch) AS batch")
    keep = text(_keep(connection, "jobs", "jobs.id > :last AND jobs.id <= :until"))
    last = ""
    while (until := connection.execute(batch, {"last": last, "batch": BATCH}).scalar()) is not None:
        connection.execute(keep, {"last": last, "until": until})
        last = until


# -- ids of events ------------------------------------------------------------------------------------------------


def _is_wide(connection: Connection) -> bool:
    query = "SELECT data_type FROM information_schema.columns WHERE {} AND table_name = 'events' AND column_name = 'id'"
    found: str = connection.exec_driver_sql(query.format("table_schema = current_schema()")).scalar_one()
    return found == "bigint"


def _widen_beside(connection: Connection) -> None:
    """Fill a second column beside the first, and exchange them."""
    with short(connection):
        for statement in (
            "ALTER TABLE events ADD COLUMN IF NOT EXISTS wide BIGINT",
            "CREATE OR REPLACE FUNCTION event_widened() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN NEW.wide := NEW.id; RETURN NEW; END $$",
            "DROP TRIGGER IF EXISTS event_widened ON events",
            "CREATE TRIGGER event_widened BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION event_widened()",
        ):
            connection.exec_driver_sql(statement)
    newest = connection.exec_driver_sql("SELECT max(id) FROM events").scalar() or 0
    fill = text("UPDATE events SET wide = id WHERE id > :after AND id <= :until AND wide IS NULL")
    for after in range(0, newest, BATCH):
        connection.execute(fill, {"after": after, "until": after + BATCH})
    index_beside(connection, "events_wide", "events (wide)", unique=True)
    index_beside(connection, "events_by_job_wide", "events (job_id, wide)")
    has_check = "SELECT 1 FROM pg_constraint WHERE conname = 'events_wide_filled'"
    if connection.exec_driver_sql(has_check).scalar() is None:
        check = "ALTER TABLE events ADD CONSTRAINT events_wide_filled CHECK (wide IS NOT NULL) NOT VALID"
        with short(connection):
            connection.exec_driver_sql(check)
    connection.exec_driver_sql("ALTER TABLE events VALIDATE CONSTRAINT events_wide_filled")
    with short(connection):
        for statement in EXCHANGE:
            connection.exec_driver_sql(statement)
