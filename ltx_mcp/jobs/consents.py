"""What is remembered of asking a person for a price.

A price told in a refusal is remembered under the request; a question put to a person under a token of its own, so
that an answer counts once, whoever sends it again.
"""

import secrets
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from sqlalchemy import Connection, delete, insert, select
from sqlalchemy.exc import IntegrityError

from ltx_mcp.domain.consent import Answer, Question, declined, not_asked, question_text
from ltx_mcp.domain.offer import Offer
from ltx_mcp.domain.price import to_micro
from ltx_mcp.domain.request import fingerprint
from ltx_mcp.jobs.database import Database
from ltx_mcp.jobs.schema import asked

VALID = timedelta(minutes=10)


@dataclass(frozen=True)
class Wish:
    """A request whose price is above the limit; `capped` says that its caller named a most they would pay."""

    caller: str
    request_key: str
    normal: dict[str, str]
    offers: tuple[Offer, ...]
    above_usd: Decimal
    capped: bool

    @property
    def name(self) -> str:
        """What makes it the same wish when it is repeated."""
        return name_of(self.normal, self.request_key)


def name_of(normal: dict[str, str], request_key: str) -> str:
    """What consent belongs to: the request, and the key, because another key is another video."""
    return fingerprint(normal | {"request_key": request_key})


class Consents:
    """The asking of one database. Blocking; async code calls these through `Database.do`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def settle(self, wish: Wish, answer: Answer | None, now: datetime, *, can_ask: bool) -> Question | None:
        """None when the price is agreed to, else the question to put to a person.

        Raises CallerError(needs_confirmation) where nobody can be asked, or somebody said no.
        """
        price = to_micro(wish.offers[0].at_most_usd)
        if answer is not None and not answer.yes:
            self.forget(wish)
            raise declined(wish.offers, wish.above_usd)
        told = {wish.name} if wish.capped else set()
        if answer is not None and answer.token.startswith(f"{wish.name}/"):
            told.add(answer.token)
        if any(self._was_told(wish.caller, each, price, now) for each in told):
            return None
        if can_ask:
            question = Question(f"{wish.name}/{secrets.token_urlsafe(16)}", question_text(wish.offers, wish.above_usd))
            self._remember(wish.caller, question.token, price, now)
            return question
        self._remember(wish.caller, wish.name, price, now)
        raise not_asked(wish.offers, wish.above_usd)

    def forget(self, wish: Wish) -> None:
        """All that was asked about a wish: it was declined, or its consent is used up."""
        with self._database.write() as connection:
            use_up(connection, wish.caller, wish.name)

    def _was_told(self, caller: str, name: str, price: int, now: datetime) -> bool:
        """Whether this price, or a higher one, was told not long ago."""
        query = select(asked.c.cost_micro).where(
            asked.c.caller == caller, asked.c.fingerprint == name, asked.c.asked_at >= now - VALID
        )
        with self._database.read() as connection:
            return (connection.execute(query).scalar() or 0) >= price

    def _remember(self, caller: str, name: str, price: int, now: datetime) -> None:
        row = {"caller": caller, "fingerprint": name, "cost_micro": price, "asked_at": now}
        before = (asked.c.caller == caller) & (asked.c.fingerprint == name)
        with self._database.write() as connection:
            connection.execute(delete(asked).where(before | (asked.c.asked_at < now - VALID)))
            # another process may tell the same price at this moment: its row is as good
            with suppress(IntegrityError), connection.begin_nested():
                connection.execute(insert(asked), row)


def use_up(connection: Connection, caller: str, name: str) -> None:
    """Forget all that was asked under a name, inside a transaction."""
    of_wish = (asked.c.fingerprint == name) | asked.c.fingerprint.startswith(f"{name}/")
    connection.execute(delete(asked).where(asked.c.caller == caller, of_wish))
