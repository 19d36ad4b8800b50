"""What is remembered of asking for a price: what counts as consent, for how long, for whom, and how often."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from ltx_mcp.domain.confirmation import ConfirmationPrompt, ConfirmationReply, needs_confirmation, question_text
from ltx_mcp.domain.errors import CallerError, ErrorCode
from ltx_mcp.domain.offer import Offer
from ltx_mcp.domain.plan import ceiling, within
from ltx_mcp.jobs.confirmation import ConfirmationStore, PriceRequest
from ltx_mcp.jobs.store.database import Database
from ltx_mcp.jobs.store.rows import NewJob
from tests.conftest import Clock

New = Callable[..., NewJob]
LIMIT = Decimal("1")


@pytest.fixture
def confirmations(database: Database) -> ConfirmationStore:
    return ConfirmationStore(database)


@pytest.fixture
def price_request(new_job: New) -> Callable[..., PriceRequest]:
    """Makes a wish for a film that costs `usd`."""

    def make(
        usd: str = "1.50", *, cap: Decimal | None = None, caller: str = "local", key: str = "", **asked: object
    ) -> PriceRequest:
        new = new_job(caller, key, **asked)
        return PriceRequest(caller, key, new.normal, offers_of(new, usd), LIMIT, cap)

    return make


def offers_of(new: NewJob, *usd: str) -> tuple[Offer, ...]:
    """The same offer at these prices."""
    return tuple(replace(new.offers[0], provider="fal", cost_usd=Decimal(each)) for each in usd)


Make = Callable[..., PriceRequest]


def refused(
    confirmations: ConfirmationStore,
    price_request: PriceRequest,
    clock: Clock,
    answer: ConfirmationReply | None = None,
    *,
    can_ask: bool = False,
) -> str:
    """The refusal, where nobody can be asked, or nobody said yes."""
    with pytest.raises(CallerError) as raised:
        confirmations.settle(price_request, answer, clock(), can_ask=can_ask)
    assert raised.value.code is ErrorCode.NEEDS_CONFIRMATION
    return str(raised.value)


def amount_in(told: str) -> Decimal:
    """The one-time amount that a refusal names."""
    return Decimal(told.partition("max_cost_usd=")[2].partition(":")[0])


def pays(confirmations: ConfirmationStore, price_request: PriceRequest, clock: Clock) -> bool:
    """Whether a call is consent by its cap alone."""
    try:
        return confirmations.settle(price_request, None, clock(), can_ask=False) is None
    except CallerError:
        return False


def asked(
    confirmations: ConfirmationStore, price_request: PriceRequest, clock: Clock, answer: ConfirmationReply | None = None
) -> ConfirmationPrompt:
    """The question, where somebody can be asked."""
    question = confirmations.settle(price_request, answer, clock(), can_ask=True)
    assert question is not None
    return question


def agreed(
    confirmations: ConfirmationStore, price_request: PriceRequest, clock: Clock, answer: ConfirmationReply | None = None
) -> bool:
    return confirmations.settle(price_request, answer, clock(), can_ask=True) is None


# -- an amount told in a refusal ----------------------------------------------------------------------------------


def test_the_refusal_says_price_film_limit_and_what_to_do(
    confirmations: ConfirmationStore, price_request: Make, clock: Clock
) -> None:
    told = refused(confirmations, price_request(), clock)
    price, film = "1.50 USD at fal (preview)", "6 s of 1080p, 16:9, 25 fps"
    for words in (price, film, "Above 1.00 USD", "exactly max_cost_usd=1.50"):
        assert words in told
    assert "within ten minutes" in told
    assert "nothing was ordered" in told


@pytest.mark.parametrize("usd", ["1.50", "1.152", "2", "1.4999", "1.23456789"])
def test_the_amount_is_the_price_rounded_up_to_a_cent_and_unique_below_it(
    confirmations: ConfirmationStore, price_request: Make, clock: Clock, usd: str
) -> None:
    amounts = {amount_in(refused(confirmations, price_request(usd, key=f"take {n}"), clock)) for n in range(12)}
    cents = {amount.quantize(Decimal("0.01"), "ROUND_DOWN") for amount in amounts}
    assert cents == {Decimal(usd).quantize(Decimal("0.01"), "ROUND_CEILING")}
    assert len(amounts) > 6
    assert not amounts & cents
    assert all(amount == amount.quantize(Decimal("0.0001")) for amount in amounts)


def test_exactly_the_amount_is_consent_and_nothing_near_it(
    confirmations: ConfirmationStore, price_request: Make, clock: Clock
) -> None:
    amount = amount_in(refused(confirmations, price_request(), clock))
    near = (None, Decimal("1.50"), Decimal("1.51"), Decimal(5), amount + Decimal("0.0001"), amount + Decimal("1e-9"))
    for cap in near:
        assert not pays(confirmations, price_request(cap=cap), clock)
    assert pays(confirmations, price_request(cap=amount), clock)


@pytest.mark.parametrize("cap", [None, Decimal(5), Decimal("1.50")])
def test_the_same_call_again_is_no_consent_and_is_told_the_same_amount(
    confirmations: ConfirmationStore, price_request: Make, clock: Clock, cap: Decimal | None
) -> None:
    told = [refused(confirmations, price_request(cap=cap), clock) for _ in range(3)]
    assert len(set(told)) == 1
    assert pays(confirmations, price_request(cap=amount_in(told[0])), clock)


@pytest.mark.parametrize(("seconds", "counts"), [(599, True), (601, False)])
def test_consent_must_come_within_ten_minutes(
    confirmations: ConfirmationStore, price_request: Make, clock: Clock, seconds: int, counts: bool
) -> None:
    amount = amount_in(refused(confirmations, price_request(), clock))
    clock.turn(seconds=seconds)
    assert pays(confirmations, price_request(cap=amount), clock) is counts


@pytest.mark.parametrize("usd", ["1.60", "1.40"])
def test_a_price_that_has_changed_has_an_amount_of_its_own(
    confirmations: ConfirmationStore, price_request: Make, clock: Clock, usd: str
) -> None:
    amount = amount_in(refused(confirmations, price_request("1.50"), clock))
    told = refused(confirmations, price_request(usd, cap=amount), clock)
    assert amount_in(told) != amount
    assert pays(confirmations, price_request(usd, cap=amount_in(told)), clock)


@pytest.mark.parametrize("other", [{"caller": "somebody else"}, {"key": "take 2"}, {"prompt": "a lake"}])
def test_consent_is_for_one_request_of_one_caller(
    confirmations: ConfirmationStore, price_request: Make, clock: Clock, other: dict[str, str]
) -> None:
    amount = amount_in(refused(confirmations, price_request(), clock))
    assert not pays(confirmations, price_request(cap=amount, **other), clock)


def test_consent_outlives_the_process_that_asked(
    confirmations: ConfirmationStore, price_request: Make, clock: Clock, database: Database
) -> None:
    amount = amount_in(refused(confirmations, price_request(), clock))
    assert pays(ConfirmationStore(database), price_request(cap=amount), clock)


def test_consent_that_was_used_up_is_asked_for_again(
    confirmations: ConfirmationStore, price_request: Make, clock: Clock
) -> None:
    amount = amount_in(refused(confirmations, price_request(), clock))
    confirmations.forget(price_request())
    assert not pays(confirmations, price_request(cap=amount), clock)


def test_no_amount_is_consent_before_it_was_told(
    confirmations: ConfirmationStore, price_request: Make, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ltx_mcp.jobs.confirmation.secrets.choice", lambda amounts: amounts[0])
    first = Decimal("1.5001")
    assert not pays(confirmations, price_request(cap=first), clock)
    assert not pays(confirmations, price_request(cap=first), clock)
    assert pays(confirmations, price_request(cap=Decimal("1.5002")), clock)


def test_where_a_person_can_be_asked_the_amount_is_no_consent(
    confirmations: ConfirmationStore, price_request: Make, clock: Clock
) -> None:
    amount = amount_in(refused(confirmations, price_request(), clock))
    asked(confirmations, price_request(cap=amount), clock)


# -- a question put to a person -----------------------------------------------------------------------------------


def test_a_yes_to_the_question_is_consent(confirmations: ConfirmationStore, price_request: Make, clock: Clock) -> None:
    question = asked(confirmations, price_request(), clock)
    assert agreed(confirmations, price_request(), clock, ConfirmationReply(question.token, yes=True))


def test_a_question_that_nobody_answered_is_no_consent_and_names_no_amount(
    confirmations: ConfirmationStore, price_request: Make, clock: Clock
) -> None:
    question = asked(confirmations, price_request(), clock)
    told = refused(confirmations, price_request(), clock, ConfirmationReply(question.token, yes=None), can_ask=True)
    assert "Nobody answered" in told
    assert "max_cost_usd" not in told
    asked(confirmations, price_request(cap=Decimal("1.50")), clock)


@pytest.mark.parametrize("token", ["", "x", "{name}", "{name}/", "{name}/forged", "{name}/%"])
def test_a_yes_with_a_token_we_did_not_give_is_no_consent(
    confirmations: ConfirmationStore, price_request: Make, clock: Clock, token: str
) -> None:
    asked(confirmations, price_request(), clock)
    asked(confirmations, price_request(), clock, ConfirmationReply(token.format(name=price_request().name), yes=True))


def test_a_yes_to_another_question_is_no_consent(
    confirmations: ConfirmationStore, price_request: Make, clock: Clock
) -> None:
    question = asked(confirmations, price_request(prompt="a lake"), clock)
    asked(confirmations, price_request(), clock, ConfirmationReply(question.token, yes=True))


def test_a_yes_counts_once(confirmations: ConfirmationStore, price_request: Make, clock: Clock) -> None:
    question = asked(confirmations, price_request(), clock)
    assert agreed(confirmations, price_request(), clock, ConfirmationReply(question.token, yes=True))
    confirmations.forget(price_request())
    asked(confirmations, price_request(), clock, ConfirmationReply(question.token, yes=True))


def test_a_yes_to_a_price_that_has_risen_is_asked_again(
    confirmations: ConfirmationStore, price_request: Make, clock: Clock
) -> None:
    question = asked(confirmations, price_request("1.50"), clock)
    again = asked(confirmations, price_request("1.60"), clock, ConfirmationReply(question.token, yes=True))
    assert "1.60 USD" in again.text
    assert again.token != question.token


def test_a_yes_after_ten_minutes_is_asked_again(
    confirmations: ConfirmationStore, price_request: Make, clock: Clock
) -> None:
    question = asked(confirmations, price_request(), clock)
    clock.turn(minutes=10, seconds=1)
    asked(confirmations, price_request(), clock, ConfirmationReply(question.token, yes=True))


def test_a_no_takes_back_what_was_told_before(
    confirmations: ConfirmationStore, price_request: Make, clock: Clock
) -> None:
    amount = amount_in(refused(confirmations, price_request(), clock))
    question = asked(confirmations, price_request(), clock)
    told = refused(confirmations, price_request(), clock, ConfirmationReply(question.token, yes=False), can_ask=True)
    assert "declined" in told
    assert "nothing was ordered" in told
    assert "max_cost_usd" not in told
    assert not pays(confirmations, price_request(cap=amount), clock)


def test_two_questions_about_one_request_can_both_be_answered(
    confirmations: ConfirmationStore, price_request: Make, clock: Clock
) -> None:
    first, second = asked(confirmations, price_request(), clock), asked(confirmations, price_request(), clock)
    for question in (first, second):
        assert agreed(confirmations, price_request(), clock, ConfirmationReply(question.token, yes=True))


def test_what_is_too_old_to_count_is_not_kept(
    confirmations: ConfirmationStore, price_request: Make, clock: Clock, database: Database
) -> None:
    from sqlalchemy import func, select

    from ltx_mcp.jobs.store.schema import asked as table

    for n in range(3):
        refused(confirmations, price_request(prompt=f"p{n}"), clock)
        clock.time += timedelta(minutes=11)
    with database.read() as connection:
        assert connection.execute(select(func.count()).select_from(table)).scalar() == 1


# -- how far consent goes -----------------------------------------------------------------------------------------


def test_a_price_at_the_limit_needs_nobody(new_job: New) -> None:
    offers = offers_of(new_job(), "1.00")
    assert not needs_confirmation(offers, LIMIT)
    assert needs_confirmation(offers, Decimal("0.99"))
    assert not needs_confirmation(offers, None)


def test_a_limit_of_nothing_leaves_previews_free(new_job: New) -> None:
    assert not needs_confirmation(new_job().offers, Decimal(0))
    assert needs_confirmation(offers_of(new_job(), "0.01"), Decimal(0))


@pytest.mark.parametrize(
    ("limit", "tried"),
    [
        (None, ["0.90", "0.95", "1.50"]),
        (Decimal("0.92"), ["0.90"]),  # what needs no consent never falls back to what would need it
        (Decimal("0.50"), ["0.90", "0.95"]),  # what was agreed to is exceeded by a tenth at most
    ],
)
def test_no_later_offer_costs_more_than_was_agreed_to(new_job: New, limit: Decimal | None, tried: list[str]) -> None:
    offers = offers_of(new_job(), "0.90", "0.95", "1.50")
    assert [str(offer.cost_usd) for offer in within(offers, ceiling(offers, Decimal(9), limit))] == tried


def test_the_question_names_the_most_that_it_may_come_to(new_job: New) -> None:
    assert "at most 1.60 USD" in question_text(offers_of(new_job(), "1.50", "1.60"), LIMIT)
    assert "at most" not in question_text(offers_of(new_job(), "1.50"), LIMIT)


def test_the_question_asks_for_whole_credits(new_job: New) -> None:
    offer = replace(offers_of(new_job(), "1.152")[0], credits=116, whole_credits_usd=Decimal("1.16"))
    assert "1.152 USD, at most 1.16 (116 credits)" in question_text((offer,), LIMIT)


def test_the_question_begins_with_the_price_and_ends_with_the_prompt_which_cannot_speak_for_us(new_job: New) -> None:
    prompt = "a boat” for 0.01 USD at local? Press Accept.\n\n\u202eOrder “it\u2028"
    text = question_text(offers_of(new_job(prompt=prompt), "2"), LIMIT)
    order = "1 video, text_to_video, 6 s of 1080p, 16:9, 25 fps, with sound?"
    assert text.startswith(f"Pay 2.00 USD at fal (preview): {order} Prices above 1.00 USD")
    assert text.endswith(" Prompt: “a boat for 0.01 USD at local? Press Accept. Order it”")
    assert (text.count("“"), text.count("”"), text.isprintable()) == (1, 1, True)


def test_a_long_prompt_is_cut_in_the_question(new_job: New) -> None:
    text = question_text(offers_of(new_job(prompt="a\nb " * 200), "2"), LIMIT)
    assert text.isprintable()
    assert len(text) < 300
