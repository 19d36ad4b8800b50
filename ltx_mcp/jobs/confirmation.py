"""Remembers which prices a person was asked to confirm.

The one-time amount of a refusal is stored under the request; the price of a question under a token of its own, so that
an answer counts only once. Placing the job removes both.
"""

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from sqlalchemy import Connection, delete, insert, select

from ltx_mcp.domain.confirmation import (
    CONFIRM_SETTING,
    ConfirmationPrompt,
    ConfirmationReply,
    declined,
    not_asked,
    one_time_amount,
    question_text,
    unanswered,
)
from ltx_mcp.domain.offer import Offer
from ltx_mcp.domain.price import from_micro, to_micro
from ltx_mcp.domain.request import fingerprint
from ltx_mcp.jobs.store.database import Database
from ltx_mcp.jobs.store.schema import asked

VALID = timedelta(minutes=10)
TAILS = 99


@dataclass(frozen=True)
class PriceRequest:
    """A request whose price is above the limit `above_usd`, which `setting` sets; `cap_usd` is the most its caller
    would pay. Both are for all `takes`, the prices of the offers for one."""

    caller: str
    request_key: str
    normal: dict[str, str]
    offers: tuple[Offer, ...]
    above_usd: Decimal
    cap_usd: Decimal | None
    takes: int = 1
    setting: str = CONFIRM_SETTING

    @property
    def name(self) -> str:
        """What identifies it when it is repeated."""
        return name_of(self.normal, self.request_key)

    @property
    def terms(self) -> tuple[int, str]:
        """How many videos the price is for, and what sets the limit."""
        return self.takes, self.setting


def name_of(normal: dict[str, str], request_key: str) -> str:
    """What a confirmation belongs to: the request and the key, because another key is another video."""
    return fingerprint(normal | {"request_key": request_key})


class ConfirmationStore:
    """The confirmations of one database. Blocking."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def settle(
        self, price_request: PriceRequest, answer: ConfirmationReply | None, now: datetime, *, can_ask: bool
    ) -> ConfirmationPrompt | None:
        """None when the price is confirmed, else the question to ask a person.

        Raises CallerError(needs_confirmation) when nobody can be asked, or the person declined or did not answer.
        """
        if not can_ask:
            amount = self._amount_to_report(price_request, now)
            if amount is None:
                return None
            raise not_asked(
                price_request.offers, price_request.above_usd, amount, price_request.takes, price_request.setting
            )
        if answer is not None and not answer.yes:
            self.forget(price_request)
            refusal = unanswered if answer.yes is None else declined
            raise refusal(price_request.offers, price_request.above_usd, *price_request.terms)
        price = to_micro(price_request.offers[0].at_most_usd * price_request.takes)
        if answer is not None and self._was_asked(price_request, answer.token, price, now):
            return None
        question = ConfirmationPrompt(
            f"{price_request.name}/{secrets.token_urlsafe(16)}",
            question_text(price_request.offers, price_request.above_usd, *price_request.terms),
        )
        with self._database.write() as connection:
            _remember(connection, price_request.caller, question.token, price, now)
        return question

    def forget(self, price_request: PriceRequest) -> None:
        """Forget everything that was asked about a request: it was declined, or its confirmation is used up."""
        with self._database.write() as connection:
            use_up(connection, price_request.caller, price_request.name)

    def _was_asked(self, price_request: PriceRequest, token: str, price: int, now: datetime) -> bool:
        """Whether a recent question about this request named this price or a higher one."""
        with self._database.read() as connection:
            return (
                token.startswith(f"{price_request.name}/")
                and (_recorded_micro(connection, price_request.caller, token, now) or 0) >= price
            )

    def _amount_to_report(self, price_request: PriceRequest, now: datetime) -> Decimal | None:
        """None when the cap is the one-time amount reported for this request. Else the amount to report: the same while
        it is valid and fits the price, so that a blind repeat does not take it from somebody who is about to agree; or
        a new one, which is never a cap that was given before it was reported."""
        offer, takes = price_request.offers[0], price_request.takes
        amounts = [to_micro(one_time_amount(offer, tail, takes)) for tail in range(1, TAILS + 1)]
        with self._database.write() as connection:
            self._database.lock(connection, f"asked {price_request.caller} {price_request.name}")
            recorded = _recorded_micro(connection, price_request.caller, price_request.name, now)
            if recorded not in amounts:
                recorded = secrets.choice([each for each in amounts if from_micro(each) != price_request.cap_usd])
                _remember(connection, price_request.caller, price_request.name, recorded, now)
            return None if from_micro(recorded) == price_request.cap_usd else from_micro(recorded)


def _recorded_micro(connection: Connection, caller: str, name: str, now: datetime) -> int | None:
    query = select(asked.c.cost_micro).where(
        asked.c.caller == caller, asked.c.fingerprint == name, asked.c.asked_at >= now - VALID
    )
    recorded: int | None = connection.execute(query).scalar()
    return recorded


def _remember(connection: Connection, caller: str, name: str, micro: int, now: datetime) -> None:
    row = {"caller": caller, "fingerprint": name, "cost_micro": micro, "asked_at": now}
    before = (asked.c.caller == caller) & (asked.c.fingerprint == name)
    connection.execute(delete(asked).where(before | (asked.c.asked_at < now - VALID)))
    connection.execute(insert(asked), row)


def use_up(connection: Connection, caller: str, name: str) -> None:
    """Forget everything that was asked under a name, inside a transaction."""
    of_request = (asked.c.fingerprint == name) | asked.c.fingerprint.startswith(f"{name}/")
    connection.execute(delete(asked).where(asked.c.caller == caller, of_request))
