"""Providers' own prices: one process of a database asks for them once an hour and stores them; all read them there.

They are asked with the operator's keys, for the orders of teams too. No order waits for this: the calls run beside the
work, and a placement reads what is stored.
"""

import logging
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal

import anyio
from sqlalchemy import ColumnElement, Connection, delete, insert, select, update

from ltx_mcp.domain.errors import LtxError
from ltx_mcp.domain.unit_price import UnitPrice, UnitPrices
from ltx_mcp.jobs.store.database import Database
from ltx_mcp.jobs.store.schema import price_calls, unit_prices
from ltx_mcp.providers.base import Provider, SupportsPricing

logger = logging.getLogger(__name__)

EVERY = timedelta(hours=1)
MAX_AGE = timedelta(days=7)
"""Older prices are not used."""
CHECK_EVERY = timedelta(minutes=1)
"""How often a busy process checks in the database whether the hour is over."""
CALL_S = 15.0


class PriceBook:
    """The stored prices of one database. Blocking."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.run_in_thread = database.run_in_thread

    def read(self, now: datetime) -> UnitPrices:
        """The prices of the last days. A date in the future comes from a clock that has been set back since."""
        recent = (unit_prices.c.read_at > now - MAX_AGE, unit_prices.c.read_at < now + EVERY)
        with self._database.read() as connection:
            rows = connection.execute(select(unit_prices).where(*recent)).all()
        return {
            (row.provider, row.endpoint): UnitPrice(
                row.unit, row.currency, Decimal(row.unit_price), row.read_at, row.confirmed_at is not None
            )
            for row in rows
        }

    def begin_call(self, provider: str, now: datetime) -> bool:
        """Whether this process may ask now: one of all may in an hour, even if its call fails."""
        asked_at = select(price_calls.c.asked_at).where(price_calls.c.provider == provider)
        with self._database.read() as connection:
            if _is_recent(connection.execute(asked_at).scalar(), now):
                return False
        with self._database.write() as connection:
            self._lock(connection, provider)
            if _is_recent(connection.execute(asked_at).scalar(), now):
                return False
            connection.execute(delete(price_calls).where(price_calls.c.provider == provider))
            connection.execute(insert(price_calls).values(provider=provider, asked_at=now))
            return True

    def keep(self, provider: str, prices: Mapping[str, UnitPrice]) -> None:
        """Replace the stored prices of a provider; a unit stays confirmed while its name is the same."""
        with self._database.write() as connection:
            self._lock(connection, provider)
            before = {row.endpoint: row for row in connection.execute(select(unit_prices).where(*_rows(provider)))}
            for endpoint, price in prices.items():
                old = before.get(endpoint)
                same = old is not None and (old.unit, old.currency) == (price.unit, price.currency)
                connection.execute(delete(unit_prices).where(*_rows(provider, endpoint)))
                connection.execute(
                    insert(unit_prices).values(
                        provider=provider,
                        endpoint=endpoint,
                        unit=price.unit,
                        currency=price.currency,
                        unit_price=format(price.amount, "f"),
                        read_at=price.read_at,
                        confirmed_at=old.confirmed_at if old is not None and same else None,
                    )
                )

    def confirm(self, provider: str, endpoint: str, now: datetime) -> None:
        """Record that a charge has shown the stored unit to be a second."""
        rows = (*_rows(provider, endpoint), unit_prices.c.confirmed_at.is_(None))
        with self._database.write(durable=False) as connection:
            connection.execute(update(unit_prices).where(*rows).values(confirmed_at=now))

    def _lock(self, connection: Connection, provider: str) -> None:
        self._database.lock(connection, f"prices {provider}")


class PriceWatch:
    """Asks the providers that report prices. Nothing is asked before `wake`; a failure is only logged."""

    def __init__(self, price_book: PriceBook, adapters: Mapping[str, Provider], now: Callable[[], datetime]) -> None:
        self._price_book = price_book
        able = {name: adapter for name, adapter in adapters.items() if isinstance(adapter, SupportsPricing)}
        self._sources = {name: adapter for name, adapter in able.items() if adapter.tells_prices}
        self._now = now
        self._checked_at: datetime | None = None
        self._wanted = anyio.Event()
        self._running: anyio.CancelScope | None = None
        self._ended = anyio.Event()

    def wake(self) -> None:
        """There is work, so prices matter: check whether it is time to ask."""
        now = self._now()
        if self._checked_at is None or abs(now - self._checked_at) >= CHECK_EVERY:
            self._checked_at = now
            self._wanted.set()

    async def run(self) -> None:
        """Ask when it is time, until `stop`."""
        if not self._sources or self._running is not None:
            return
        try:
            with anyio.CancelScope() as self._running:
                while True:
                    await self._wanted.wait()
                    self._wanted = anyio.Event()
                    for name, adapter in self._sources.items():
                        await self._ask(name, adapter)
        finally:
            self._ended.set()

    async def stop(self) -> None:
        """Stop asking; returns when the database is no longer needed."""
        if self._running is not None:
            self._running.cancel()
            await self._ended.wait()

    async def _ask(self, provider: str, adapter: SupportsPricing) -> None:
        try:
            if not await self._price_book.run_in_thread(self._price_book.begin_call, provider, self._now()):
                return
            with anyio.fail_after(CALL_S):
                prices = await adapter.prices()
            await self._price_book.run_in_thread(self._price_book.keep, provider, prices)
        except (LtxError, TimeoutError) as error:
            logger.warning("%s did not tell its prices, those that are known stay: %s", provider, error or "no answer")
        except Exception:  # it runs beside the orders, and its fault must not end them
            logger.exception("the prices of %s could not be taken in", provider)


def _is_recent(asked_at: datetime | None, now: datetime) -> bool:
    return asked_at is not None and abs(now - asked_at) < EVERY


def _rows(provider: str, endpoint: str = "") -> tuple[ColumnElement[bool], ...]:
    by_endpoint = (unit_prices.c.endpoint == endpoint,) if endpoint else ()
    return (unit_prices.c.provider == provider, *by_endpoint)
