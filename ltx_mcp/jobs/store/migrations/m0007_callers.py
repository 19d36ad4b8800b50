"""Form 7: the team and the account of a job, and what was spent of each UTC day, kept by the database itself.

`spent` holds, for each day, what is held and what is booked: of all jobs (scope ''), of each team (`team:x`) and of
each caller (`caller:y`). Triggers change it in the transaction that changes a job, so that a server of an older
version, which knows nothing of it, counts too.

PostgreSQL counts when a transaction commits, after all its locks on jobs. Whoever counts locks the row ('', 'held') of
the day first, even by adding nothing, and then the others in one order: so no two transactions wait for each other.
"""

from collections.abc import Iterator

from sqlalchemy import Connection

SPENT = """
CREATE TABLE spent (
    day TEXT NOT NULL,
    scope TEXT NOT NULL,
    bill TEXT NOT NULL,
    micro BIGINT NOT NULL,
    PRIMARY KEY (day, scope, bill)
)
"""
AMOUNT = "coalesce({row}.charged_micro, {row}.held_micro)"
SHARES = """
SELECT {row}.day AS day, '' AS scope, 'held' AS bill, 0 AS micro
UNION ALL SELECT {row}.day, '', {row}.bill, {sign}{amount} WHERE {row}.bill IN ('held', 'booked')
UNION ALL SELECT {row}.day, 'caller:' || {row}.caller, {row}.bill, {sign}{amount}
    WHERE {row}.bill IN ('held', 'booked')
UNION ALL SELECT {row}.day, 'team:' || {row}.team, {row}.bill, {sign}{amount}
    WHERE {row}.bill IN ('held', 'booked') AND {row}.team <> ''
"""
COUNT = """
INSERT INTO spent (day, scope, bill, micro)
SELECT day, scope, bill, sum(micro) FROM ({shares}) AS shares WHERE true
GROUP BY day, scope, bill ORDER BY day, scope, bill DESC
ON CONFLICT (day, scope, bill) DO UPDATE SET micro = spent.micro + excluded.micro
"""
FILL = """
INSERT INTO spent (day, scope, bill, micro)
SELECT day, scope, bill, sum(micro) FROM (
    SELECT day, '' AS scope, bill, micro FROM sums
    UNION ALL SELECT day, 'caller:' || caller, bill, micro FROM sums
) AS shares GROUP BY day, scope, bill
"""
SUMS = """
WITH sums AS (
    SELECT day, caller, bill, sum(coalesce(charged_micro, held_micro)) AS micro FROM jobs
    WHERE bill IN ('held', 'booked') GROUP BY day, caller, bill
)
"""
COUNTED = ("day", "caller", "team", "bill", "held_micro", "charged_micro")
ROWS = {"insert": (("NEW", ""),), "update": (("OLD", "-"), ("NEW", "")), "delete": (("OLD", "-"),)}
"""What each event takes away and adds."""


def apply(connection: Connection) -> None:
    """Add the columns, which are empty for the jobs that are there, count what those spent, and go on counting."""
    # the first statement locks the table: no job changes between the counting and the triggers
    for statement in (
        "ALTER TABLE jobs ADD COLUMN team TEXT",
        "ALTER TABLE jobs ADD COLUMN account TEXT",
        SPENT,
        SUMS + FILL,
        *_triggers(connection.dialect.name == "sqlite"),
    ):
        connection.exec_driver_sql(statement)


def _triggers(sqlite: bool) -> Iterator[str]:
    """Nothing is counted where no money is involved, as with previews."""
    for event, rows in ROWS.items():
        count = COUNT.format(shares=" UNION ALL ".join(_shares(row, sign) for row, sign in rows))
        has_money = " OR ".join(f"{AMOUNT.format(row=row)} <> 0" for row, _ in rows)
        differs = _differs("IS NOT" if sqlite else "IS DISTINCT FROM") if event == "update" else "true"
        when = f"({has_money}) AND ({differs})"
        on = f"UPDATE OF {', '.join(COUNTED)}" if event == "update" else event.upper()
        if sqlite:
            yield f"CREATE TRIGGER spent_{event} AFTER {on} ON jobs WHEN {when} BEGIN {count}; END"
            continue
        yield (
            f"CREATE FUNCTION spent_{event}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {count}; RETURN NULL; END $$"
        )
        yield (
            f"CREATE CONSTRAINT TRIGGER spent_{event} AFTER {on} ON jobs DEFERRABLE INITIALLY DEFERRED "
            f"FOR EACH ROW WHEN ({when}) EXECUTE FUNCTION spent_{event}()"
        )


def _shares(row: str, sign: str) -> str:
    return SHARES.format(row=row, sign=sign, amount=AMOUNT.format(row=row))


def _differs(operator: str) -> str:
    return " OR ".join(f"OLD.{name} {operator} NEW.{name}" for name in COUNTED)
