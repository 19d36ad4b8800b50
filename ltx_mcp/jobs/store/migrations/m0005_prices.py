"""Form 5: what providers told of their prices, when they were asked, and the most that a job may cost."""

from sqlalchemy import Connection, text

UNIT_PRICES = """
CREATE TABLE unit_prices (
    provider TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    unit TEXT NOT NULL,
    currency TEXT NOT NULL,
    unit_price TEXT NOT NULL,
    read_at BIGINT NOT NULL,
    confirmed_at BIGINT,
    PRIMARY KEY (provider, endpoint)
)
"""

PRICE_CALLS = """
CREATE TABLE price_calls (
    provider TEXT NOT NULL PRIMARY KEY,
    asked_at BIGINT NOT NULL
)
"""


def apply(connection: Connection) -> None:
    """Make the two tables; of a job that is already there no limit of its own is known."""
    connection.execute(text(UNIT_PRICES))
    connection.execute(text(PRICE_CALLS))
    connection.execute(text("ALTER TABLE jobs ADD COLUMN most_micro BIGINT"))
