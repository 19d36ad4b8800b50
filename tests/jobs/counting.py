"""What the database has counted of each day's money, and the same counted anew from its rows. Not a test."""

from collections import Counter

from sqlalchemy import Connection, text

Counted = Counter[tuple[str, str, str]]
"""Micro-dollars by day, scope and bill; what is nothing is left out."""


def counters(connection: Connection) -> Counted:
    """What the triggers made of it."""
    rows = connection.execute(text("SELECT day, scope, bill, micro FROM spent WHERE micro <> 0"))
    return Counter({(day, scope, bill): micro for day, scope, bill, micro in rows})


def recount(connection: Connection) -> Counted:
    """What the rows say."""
    rows = connection.execute(text("SELECT day, caller, team, bill, held_micro, charged_micro FROM jobs"))
    counted: Counted = Counter()
    for day, caller, team, bill, held, charged in rows:
        for scope in ("", f"caller:{caller}", f"team:{team}") if bill in ("held", "booked") else ():
            counted[day, scope, bill] += held if charged is None else charged
    return Counter({key: micro for key, micro in counted.items() if micro and key[1] not in ("team:None", "team:")})
