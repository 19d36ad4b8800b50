"""Uploads that a provider already has, by account and content, so that no file is sent twice before it expires.

They are of all callers of an account. Who has a file, and measures how soon its order is sent, may learn that somebody
used the same bytes shortly before, and nothing else: not who, nor for what. Teams with keys of their own share nothing.
"""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import insert, or_, select

from ltx_mcp.domain.request import Input
from ltx_mcp.jobs.store.database import Database
from ltx_mcp.jobs.store.schema import uploads

SPARE = timedelta(minutes=5)
"""An upload that expires sooner is not used: the provider reads it some time after the order."""


class UploadCache:
    """The uploads of one database. Blocking."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.run_in_thread = database.run_in_thread

    def find(self, provider: str, account: str, given: Input, now: datetime) -> str:
        """The URI of an earlier upload; empty when there is none or it expires soon."""
        alive = or_(uploads.c.expires_at.is_(None), uploads.c.expires_at > now + SPARE)
        query = select(uploads.c.uri).where(*_key(provider, account, given), alive)
        with self._database.read() as connection:
            return connection.execute(query).scalar() or ""

    def keep(
        self, provider: str, account: str, given: Input, uri: str, expires_at: datetime | None, now: datetime
    ) -> None:
        """Store the URI of an upload in place of the previous one."""
        with self._database.write() as connection:
            connection.execute(uploads.delete().where(*_key(provider, account, given)))
            row = {"provider": provider, "account": account, "sha256": given.sha256, "format": given.format}
            connection.execute(insert(uploads).values(**row, uri=uri, expires_at=expires_at, created_at=now))


def _key(provider: str, account: str, given: Input) -> tuple[Any, ...]:
    return (
        uploads.c.provider == provider,
        uploads.c.account == account,
        uploads.c.sha256 == given.sha256,
        uploads.c.format == given.format,
    )
