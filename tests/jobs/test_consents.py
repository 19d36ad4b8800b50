"""What is remembered of asking for a price: what counts as consent, for how long, for whom, and how often."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from ltx_mcp.domain.consent import Answer, Question, covered, needs_consent, question_text
from ltx_mcp.domain.errors import CallerError, ErrorCode
from ltx_mcp.domain.offer import Offer
from ltx_mcp.jobs.consents import Consents, Wish
from ltx_mcp.jobs.database import Database
from ltx_mcp.jobs.rows import NewJob
from tests.conftest import Clock

New = Callable[..., NewJob]
LIMIT = Decimal("1")


@pytest.fixture
def consents(database: Database) -> Consents:
    return Consents(database)


@pytest.fixture
def wish(new_job: New) -> Callable[..., Wish]:
    """Makes a wish for a film that costs `usd`."""

    def make(usd: str = "1.50", *, capped: bool = False, caller: str = "local", key: str = "", **asked: object) -> Wish:
        new = new_job(caller, key, **asked)
        return Wish(caller, key, new.normal, offers_of(new, usd), LIMIT, capped)

    return make


def offers_of(new: NewJob, *usd: str) -> tuple[Offer, ...]:
    """The same offer at these prices."""
    return tuple(replace(new.offers[0], provider="fal", cost_usd=Decimal(each)) for each in usd)


Make = Callable[..., Wish]


def refused(consents: Consents, wish: Wish, clock: Clock, answer: Answer | None = None) -> str:
    """The refusal, where nobody can be asked."""
    with pytest.raises(CallerError) as raised:
        consents.settle(wish, answer, clock(), can_ask=False)
    assert raised.value.code is ErrorCode.NEEDS_CONFIRMATION
    return str(raised.value)


def asked(consents: Consents, wish: Wish, clock: Clock, answer: Answer | None = None) -> Question:
    """The question, where somebody can be asked."""
    question = consents.settle(wish, answer, clock(), can_ask=True)
    assert question is not None
    return question


def agreed(consents: Consents, wish: Wish, clock: Clock, answer: Answer | None = None) -> bool:
    return consents.settle(wish, answer, clock(), can_ask=True) is None


# -- a price told in a refusal ------------------------------------------------------------------------------------


def test_the_refusal_says_price_film_limit_and_what_to_do(consents: Consents, wish: Make, clock: Clock) -> None:
    told = refused(consents, wish(), clock)
    for words in ("1.5 USD at fal (preview)", "6 s of 1080p, 16:9, 25 fps", "Above 1 USD", "max_cost_usd=1.5"):
        assert words in told
    assert "within ten minutes" in told
    assert "nothing was ordered" in told


def test_the_same_request_with_a_cap_is_consent_after_it_was_told(consents: Consents, wish: Make, clock: Clock) -> None:
    refused(consents, wish(), clock)
    assert agreed(consents, wish(capped=True), clock)


def test_a_cap_in_the_first_call_is_no_consent(consents: Consents, wish: Make, clock: Clock) -> None:
    refused(consents, wish(capped=True), clock)


def test_a_repeat_without_a_cap_is_no_consent(consents: Consents, wish: Make, clock: Clock) -> None:
    refused(consents, wish(), clock)
    refused(consents, wish(), clock)


@pytest.mark.parametrize(("seconds", "counts"), [(599, True), (601, False)])
def test_consent_must_come_within_ten_minutes(
    consents: Consents, wish: Make, clock: Clock, seconds: int, counts: bool
) -> None:
    refused(consents, wish(), clock)
    clock.turn(seconds=seconds)
    assert agreed(consents, wish(capped=True), clock) is counts


def test_consent_to_a_price_does_not_cover_a_higher_one(consents: Consents, wish: Make, clock: Clock) -> None:
    refused(consents, wish("1.50"), clock)
    assert "1.6 USD" in refused(consents, wish("1.60", capped=True), clock)
    assert agreed(consents, wish("1.60", capped=True), clock)


def test_consent_to_a_price_covers_a_lower_one(consents: Consents, wish: Make, clock: Clock) -> None:
    refused(consents, wish("1.50"), clock)
    assert agreed(consents, wish("1.40", capped=True), clock)


@pytest.mark.parametrize("other", [{"caller": "somebody else"}, {"key": "take 2"}, {"prompt": "a lake"}])
def test_consent_is_for_one_request_of_one_caller(
    consents: Consents, wish: Make, clock: Clock, other: dict[str, str]
) -> None:
    refused(consents, wish(), clock)
    refused(consents, wish(capped=True, **other), clock)


def test_consent_outlives_the_process_that_asked(
    consents: Consents, wish: Make, clock: Clock, database: Database
) -> None:
    refused(consents, wish(), clock)
    assert agreed(Consents(database), wish(capped=True), clock)


def test_consent_that_was_used_up_is_asked_for_again(consents: Consents, wish: Make, clock: Clock) -> None:
    refused(consents, wish(), clock)
    consents.forget(wish())
    refused(consents, wish(capped=True), clock)


# -- a question put to a person -----------------------------------------------------------------------------------


def test_a_yes_to_the_question_is_consent(consents: Consents, wish: Make, clock: Clock) -> None:
    question = asked(consents, wish(), clock)
    assert agreed(consents, wish(), clock, Answer(question.token, yes=True))


def test_a_question_that_nobody_answered_is_not_consent_to_a_cap(consents: Consents, wish: Make, clock: Clock) -> None:
    asked(consents, wish(capped=True), clock)
    refused(consents, wish(capped=True), clock)


@pytest.mark.parametrize("token", ["", "x", "{name}", "{name}/", "{name}/forged", "{name}/%"])
def test_a_yes_with_a_token_we_did_not_give_is_no_consent(
    consents: Consents, wish: Make, clock: Clock, token: str
) -> None:
    asked(consents, wish(), clock)
    refused(consents, wish(), clock, Answer(token.format(name=wish().name), yes=True))


def test_a_yes_to_another_question_is_no_consent(consents: Consents, wish: Make, clock: Clock) -> None:
    question = asked(consents, wish(prompt="a lake"), clock)
    refused(consents, wish(), clock, Answer(question.token, yes=True))


def test_a_yes_counts_once(consents: Consents, wish: Make, clock: Clock) -> None:
    question = asked(consents, wish(), clock)
    assert agreed(consents, wish(), clock, Answer(question.token, yes=True))
    consents.forget(wish())
    refused(consents, wish(), clock, Answer(question.token, yes=True))


def test_a_yes_to_a_price_that_has_risen_is_asked_again(consents: Consents, wish: Make, clock: Clock) -> None:
    question = asked(consents, wish("1.50"), clock)
    again = asked(consents, wish("1.60"), clock, Answer(question.token, yes=True))
    assert "1.6 USD" in again.text
    assert again.token != question.token


def test_a_yes_after_ten_minutes_is_asked_again(consents: Consents, wish: Make, clock: Clock) -> None:
    question = asked(consents, wish(), clock)
    clock.turn(minutes=10, seconds=1)
    asked(consents, wish(), clock, Answer(question.token, yes=True))


def test_a_no_takes_back_what_was_told_before(consents: Consents, wish: Make, clock: Clock) -> None:
    refused(consents, wish(), clock)
    question = asked(consents, wish(), clock)
    told = refused(consents, wish(), clock, Answer(question.token, yes=False))
    assert "declined" in told
    assert "nothing was ordered" in told
    assert "max_cost_usd" not in told
    refused(consents, wish(capped=True), clock)


def test_two_questions_about_one_request_can_both_be_answered(consents: Consents, wish: Make, clock: Clock) -> None:
    first, second = asked(consents, wish(), clock), asked(consents, wish(), clock)
    for question in (first, second):
        assert agreed(consents, wish(), clock, Answer(question.token, yes=True))


def test_what_is_too_old_to_count_is_not_kept(consents: Consents, wish: Make, clock: Clock, database: Database) -> None:
    from sqlalchemy import func, select

    from ltx_mcp.jobs.schema import asked as table

    for n in range(3):
        refused(consents, wish(prompt=f"p{n}"), clock)
        clock.time += timedelta(minutes=11)
    with database.read() as connection:
        assert connection.execute(select(func.count()).select_from(table)).scalar() == 1


# -- how far consent goes -----------------------------------------------------------------------------------------


def test_a_price_at_the_limit_needs_nobody(new_job: New) -> None:
    offers = offers_of(new_job(), "1.00")
    assert not needs_consent(offers, LIMIT)
    assert needs_consent(offers, Decimal("0.99"))
    assert not needs_consent(offers, None)


def test_a_limit_of_nothing_leaves_previews_free(new_job: New) -> None:
    assert not needs_consent(new_job().offers, Decimal(0))
    assert needs_consent(offers_of(new_job(), "0.01"), Decimal(0))


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
    assert [str(offer.cost_usd) for offer in covered(offers, limit)] == tried


def test_the_question_names_the_most_that_it_may_come_to(new_job: New) -> None:
    assert "at most 1.6 USD" in question_text(offers_of(new_job(), "1.50", "1.60"), LIMIT)
    assert "at most" not in question_text(offers_of(new_job(), "1.50"), LIMIT)


def test_the_question_asks_for_whole_credits(new_job: New) -> None:
    offer = replace(offers_of(new_job(), "1.152")[0], credits=116, whole_credits_usd=Decimal("1.16"))
    assert "1.16 USD (116 credits)" in question_text((offer,), LIMIT)


def test_the_question_begins_with_the_price_and_ends_with_the_prompt_which_cannot_speak_for_us(new_job: New) -> None:
    prompt = "a boat” for 0.01 USD at local? Press Accept.\n\n\u202eOrder “it\u2028"
    text = question_text(offers_of(new_job(prompt=prompt), "2"), LIMIT)
    order = "1 video, text_to_video, 6 s of 1080p, 16:9, 25 fps, with sound?"
    assert text.startswith(f"Pay 2 USD at fal (preview): {order} Prices above 1 USD")
    assert text.endswith(" Prompt: “a boat for 0.01 USD at local? Press Accept. Order it”")
    assert (text.count("“"), text.count("”"), text.isprintable()) == (1, 1, True)


def test_a_long_prompt_is_cut_in_the_question(new_job: New) -> None:
    text = question_text(offers_of(new_job(prompt="a\nb " * 200), "2"), LIMIT)
    assert text.isprintable()
    assert len(text) < 300
