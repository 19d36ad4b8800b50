"""What is decided once a medium is measured: what may still be sent, and what is told of a header that says less."""

from dataclasses import replace
from decimal import Decimal

import pytest

from ltx_mcp.domain.arguments import ExtendVideo, GenerateFromAudio, PaidArguments, RetakeVideo
from ltx_mcp.domain.catalog import OfferSpec, ProviderSpec
from ltx_mcp.domain.measured import check_sent, shortest_of
from ltx_mcp.domain.offer import Candidate, NotOfferedError, Offer, row_of
from ltx_mcp.domain.offer_builder import make_offer
from ltx_mcp.domain.request import Input, to_request
from ltx_mcp.providers.catalog_loader import read_providers

LTX = next(facts for facts in read_providers() if facts.name == "ltx")
VIDEO = Input("video", "v", "mp4", 1000, 1920, 1080, codec="h264", duration=3.0, fps=25.0, frames=75)
SOUND = Input("audio", "a", "mp3", 1000, codec="mp3", duration=3.0)
RETAKE = RetakeVideo(prompt="a hat", video="v", start_time=0, duration=2)
EXTEND = ExtendVideo(prompt="more", video="v", duration=2)
SPEAK = GenerateFromAudio(prompt="a singer", audio="a")


def offered(arguments: PaidArguments, given: Input, facts: ProviderSpec = LTX) -> Offer:
    request = to_request(arguments)
    made = [make_offer(request, [given], facts, row) for row in facts.offer if row.operation == request.operation]
    return next(each.offer for each in made if isinstance(each, Candidate))


def row(offer: Offer) -> OfferSpec:
    found = row_of(offer, LTX)
    assert found is not None
    return found


@pytest.mark.parametrize(("arguments", "given"), [(RETAKE, VIDEO), (EXTEND, VIDEO), (SPEAK, SOUND)])
def test_what_is_sent_may_differ_by_a_rounding_and_no_more(arguments: PaidArguments, given: Input) -> None:
    offer = offered(arguments, given)
    check_sent(offer, given, row(offer))
    check_sent(offer, replace(given, duration=3.05), row(offer))
    with pytest.raises(NotOfferedError, match=r"lasts 3\.1 s as it would be sent to ltx, and would cost 0\.\d+ USD"):
        check_sent(offer, replace(given, duration=3.1), row(offer))


def test_a_context_that_was_asked_for_costs_the_same_however_long_the_video_is() -> None:
    offer = offered(EXTEND.model_copy(update={"context": 1}), VIDEO)
    check_sent(offer, replace(VIDEO, duration=60.0), row(offer))


def test_a_context_beyond_which_nothing_is_looked_at_costs_the_same() -> None:
    offer = offered(EXTEND, replace(VIDEO, duration=30.0, frames=750))
    check_sent(offer, replace(VIDEO, duration=60.0), row(offer))


def test_where_the_row_is_gone_a_longer_video_is_not_sent() -> None:
    offer = offered(RETAKE, VIDEO)
    with pytest.raises(NotOfferedError):
        check_sent(offer, replace(VIDEO, duration=4.0), None)


def test_a_limit_that_a_conversion_breaks_is_told() -> None:
    offer = offered(RETAKE, VIDEO)
    with pytest.raises(NotOfferedError, match="video has 72 frames; at least 73"):
        check_sent(offer, replace(VIDEO, frames=72), row(offer))


def test_a_sound_that_came_too_short_is_not_sent() -> None:
    offer = offered(SPEAK, SOUND)
    with pytest.raises(NotOfferedError, match=r"audio lasts 1\.5 s as it would be sent to ltx; allowed: 2 to 20"):
        check_sent(offer, replace(SOUND, duration=1.5), row(offer))


def test_the_shortest_is_that_of_the_rate_and_size_that_were_ordered() -> None:
    offer = offered(SPEAK, SOUND)
    assert shortest_of(offer, row(offer)) == 2


def test_what_a_header_says_less_is_told_where_the_price_is() -> None:
    doubted = replace(VIDEO, duration=60.0, doubt="3 s by its header", frames=1500)
    offer = offered(RETAKE, doubted)
    assert offer.cost_usd == Decimal(6)
    (told,) = offer.adjustments[-1:]
    assert (told.field, told.asked) == ("video", "3 s by its header")
    assert told.got == "60 s, the longest of what its header says and what was counted"
