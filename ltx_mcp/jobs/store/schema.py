"""The tables as the code names them. `migrations` decides what a database really has."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    text,
)
from sqlalchemy.types import TypeDecorator


class Moment(TypeDecorator[datetime]):
    """An aware UTC time, stored as microseconds since 1970: exact, sortable and the same in every database."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Any) -> int | None:
        """To microseconds."""
        return None if value is None else round(value.timestamp() * 1_000_000)

    def process_result_value(self, value: Any | None, dialect: Any) -> datetime | None:
        """From microseconds."""
        return None if value is None else datetime.fromtimestamp(value / 1_000_000, UTC)


metadata = MetaData()

IS_LIVE = "state IN ('queued', 'submitting', 'running', 'saving')"
"""The condition of an index. A query must use the same text, without parameters, to use this index."""
IN_SET = "set_id IS NOT NULL"
UNBLOCKED = f"waits_for = '' AND {IS_LIVE}"
FREE = f"holder = '' AND waits_for = '' AND {IS_LIVE}"
UNDER_WAY = "(state IN ('submitting', 'running', 'saving') OR state = 'queued' AND holder <> '')"
TO_ASK = "state = 'unknown' AND remote IS NOT NULL"
IS_SETTLED = "bill <> 'held'"
IS_TO_SEND = "outcome = ''"


def _partial(name: str, where: str, *columns: str, unique: bool = False) -> Index:
    """An index that holds only some rows."""
    return Index(name, *columns, unique=unique, sqlite_where=text(where), postgresql_where=text(where))


jobs = Table(
    "jobs",
    metadata,
    Column("id", Text, primary_key=True),
    Column("caller", Text, nullable=False),
    Column("request_key", Text),
    Column("fingerprint", Text, nullable=False),
    Column("normal", JSON, nullable=False, key="canonical_request"),
    Column("operation", Text, nullable=False),
    Column("prompt", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("bill", Text, nullable=False),
    Column("day", Text, nullable=False),
    Column("offers", JSON, nullable=False),
    Column("offer_index", Integer, nullable=False),
    Column("provider", Text, nullable=False),
    Column("inputs", JSON, nullable=False),
    Column("cost_micro", BigInteger, nullable=False),
    Column("held_micro", BigInteger, nullable=False),
    Column("charged_micro", BigInteger),
    Column("most_micro", BigInteger),
    Column("waits_for", Text, nullable=False, key="blocked_by"),
    Column("holder", Text, nullable=False, key="lease_owner"),
    Column("sent_by", Text, nullable=False, key="submitted_by"),
    Column("fence", Integer, nullable=False, key="fencing_token"),
    Column("revision", Integer, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("remote", JSON(none_as_null=True), key="provider_ref"),
    Column("progress", Float),
    Column("queue_position", Integer),
    Column("note", Text, nullable=False, key="status_message"),
    Column("result_url", Text, nullable=False),
    Column("result_url_expires_at", Moment),
    Column("film", JSON(none_as_null=True)),
    Column("adjustments", JSON, nullable=False),
    Column("error", JSON(none_as_null=True)),
    Column("cancel_wanted", Boolean, nullable=False, key="cancel_requested"),
    Column("cancel", Text),
    Column("next_at", Moment, nullable=False, key="run_after"),
    Column("created_at", Moment, nullable=False),
    Column("ordered_at", Moment),
    Column("finished_at", Moment),
    Column("set_id", Text, ForeignKey("sets.id")),
    Column("take", Integer),
    Column("team", Text),
    Column("account", Text),
    Column("traceparent", Text),
    Index("jobs_by_key", "caller", "request_key", unique=True),
    Index("jobs_by_fingerprint", "caller", "fingerprint"),
    Index("jobs_by_age", "caller", "created_at", "id"),
    Index("jobs_by_state", "state", "run_after"),
    Index("jobs_by_day", "day", "bill"),
    Index("jobs_by_holder", "lease_owner", "state"),
    Index("jobs_by_wait", "blocked_by"),
    _partial("jobs_live", IS_LIVE, "caller", "state"),
    _partial("jobs_by_set", IN_SET, "set_id", "take", unique=True),
    _partial("jobs_free", FREE, "created_at"),
    _partial("jobs_due", FREE, "run_after"),
    _partial("jobs_accounts", UNBLOCKED, "provider", "account"),
    _partial("jobs_under_way", UNDER_WAY, "provider"),
    _partial("jobs_to_ask", TO_ASK, "run_after"),
    _partial("jobs_settled", IS_SETTLED, "finished_at"),
    Index("jobs_by_time", "created_at", "id"),
)

sets = Table(
    "sets",
    metadata,
    Column("id", Text, primary_key=True),
    Column("caller", Text, nullable=False),
    Column("request_key", Text),
    Column("fingerprint", Text, nullable=False),
    Column("normal", JSON, nullable=False, key="canonical_request"),
    Column("created_at", Moment, nullable=False),
    Index("sets_by_key", "caller", "request_key", unique=True),
    Index("sets_by_fingerprint", "caller", "fingerprint"),
)

events = Table(
    "events",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("job_id", Text, ForeignKey("jobs.id"), nullable=False),
    Column("at", Moment, nullable=False),
    Column("what", Text, nullable=False),
    Column("detail", JSON, nullable=False),
    Index("events_by_job", "job_id", "id"),
)

spent = Table(
    "spent",
    metadata,
    Column("day", Text, primary_key=True),
    Column("scope", Text, primary_key=True),
    Column("bill", Text, primary_key=True),
    Column("micro", BigInteger, nullable=False),
)
"""What is held and booked of each UTC day, by scope; only triggers of the database change it. See m0007_callers."""

tombstones = Table(
    "tombstones",
    metadata,
    Column("caller", Text, primary_key=True),
    Column("request_key", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("fingerprint", Text, nullable=False),
)
"""What a request_key named: a job or a set that was removed since."""

job_inputs = Table(
    "job_inputs",
    metadata,
    Column("name", Text, primary_key=True),
    Column("job_id", Text, ForeignKey("jobs.id"), primary_key=True),
    Index("job_inputs_by_job", "job_id"),
)
"""What each job is made from: files by their digest, and other jobs by their id; only triggers of the database change
it. See m0008_scale."""

webhooks = Table(
    "webhooks",
    metadata,
    Column("name", Text, primary_key=True),
    Column("url_sha256", Text, nullable=False),
    Column("disabled_at", Moment),
)

subscriptions = Table(
    "subscriptions",
    metadata,
    Column("webhook", Text, ForeignKey("webhooks.name"), primary_key=True),
    Column("state", Text, primary_key=True),
    Column("caller", Text, primary_key=True),
    Column("is_prefix", Boolean, primary_key=True),
)
"""Which ends of whose jobs a webhook is told of: of a caller, or with `is_prefix` of all whose name begins so."""

deliveries = Table(
    "deliveries",
    metadata,
    Column("webhook", Text, primary_key=True),
    Column("job_id", Text, primary_key=True),
    Column("state", Text, primary_key=True),
    Column("caller", Text, nullable=False),
    Column("request_key", Text),
    Column("ended_at", Moment, nullable=False),
    Column("next_at", Moment, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("answer", Text, nullable=False),
    _partial("deliveries_due", IS_TO_SEND, "webhook", "next_at"),
    Index("deliveries_by_time", "webhook", "ended_at"),
)
"""The outbox of the webhooks: a trigger of the database puts each end of a job in. `next_at` is when it is due, while it
is sent when it is due again. `outcome` is empty until it is delivered, given up or its webhook disabled; `answer` is
what the last try met. See m0009_webhooks."""

uploads = Table(
    "uploads",
    metadata,
    Column("provider", Text, primary_key=True),
    Column("account", Text, primary_key=True),
    Column("sha256", Text, primary_key=True),
    Column("format", Text, primary_key=True),
    Column("uri", Text, nullable=False),
    Column("expires_at", Moment),
    Column("created_at", Moment, nullable=False),
)

workers = Table(
    "workers",
    metadata,
    Column("name", Text, primary_key=True),
    Column("host", Text, nullable=False),
    Column("beat_at", Moment, nullable=False),
)

asked = Table(
    "asked",
    metadata,
    Column("caller", Text, primary_key=True),
    Column("fingerprint", Text, primary_key=True),
    Column("cost_micro", BigInteger, nullable=False),
    Column("asked_at", Moment, nullable=False),
)

unit_prices = Table(
    "unit_prices",
    metadata,
    Column("provider", Text, primary_key=True),
    Column("endpoint", Text, primary_key=True),
    Column("unit", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("unit_price", Text, nullable=False),
    Column("read_at", Moment, nullable=False),
    Column("confirmed_at", Moment),
)

price_calls = Table(
    "price_calls",
    metadata,
    Column("provider", Text, primary_key=True),
    Column("asked_at", Moment, nullable=False),
)
