"""What not every decoder shows as players do is made plain before it is sent, and told; padding is no length."""

from dataclasses import replace
from decimal import Decimal

import pytest

from ltx_mcp.domain.arguments import ExtendVideo, GenerateFromAudio, PaidArguments
from ltx_mcp.domain.measured import check_sent
from ltx_mcp.domain.offer import Candidate, Offer, Refusal, row_of
from ltx_mcp.domain.offer_builder import make_offer
from ltx_mcp.domain.request import Input, to_request
from ltx_mcp.providers.catalog_loader import read_providers

PROVIDERS = {facts.name: facts for facts in read_providers()}
VIDEO = Input("video", "v", "mp4", 1000, 1920, 1080, codec="h264", duration=4.0, fps=25.0, frames=100)
SOUND = Input("audio", "a", "aac", 1000, codec="aac", duration=20.039)
EXTEND = ExtendVideo(prompt="more", video="v", duration=2)
SPEAK = GenerateFromAudio(prompt="a singer", audio="a")


def answered(provider: str, arguments: PaidArguments, given: Input) -> Offer | Refusal:
    request, facts = to_request(arguments), PROVIDERS[provider]
    answers = [make_offer(request, [given], facts, row) for row in facts.offer if row.operation == request.operation]
    made = next((each for each in answers if isinstance(each, Candidate)), answers[0])
    return made if isinstance(made, Refusal) else made.offer


def offered(provider: str, arguments: PaidArguments, given: Input) -> Offer:
    answer = answered(provider, arguments, given)
    assert isinstance(answer, Offer), answer
    return answer


@pytest.mark.parametrize("provider", ["fal", "ltx"])
@pytest.mark.parametrize(
    ("traits", "got"),
    [
        ("mirrored", "mp4/h264, as a player shows it"),
        ("turned by 90° to the right", "mp4/h264, as a player shows it"),
        ("HDR (HLG)", "mp4/h264, SDR (BT.709), as a player shows it"),
        ("turned by 90° to the left, HDR (PQ)", "mp4/h264, SDR (BT.709), as a player shows it"),
    ],
)
def test_a_film_with_traits_is_made_plain_for_a_provider_and_told(provider: str, traits: str, got: str) -> None:
    offer = offered(provider, EXTEND, replace(VIDEO, traits=tuple(traits.split(", "))))
    assert offer.conversions == {"video": "mp4/h264"}
    (told,) = offer.adjustments
    assert (told.field, told.asked, told.got, told.by) == ("video", f"mp4/h264, {traits}", got, "server")


def test_here_only_other_colours_are_told() -> None:
    (told,) = offered("local", EXTEND, replace(VIDEO, traits=("mirrored", "HDR (HLG)"))).adjustments
    assert (told.asked, told.got) == ("mp4/h264, mirrored, HDR (HLG)", "SDR (BT.709), as a player shows it")
    assert offered("local", EXTEND, replace(VIDEO, traits=("mirrored",))).adjustments == ()


def test_a_plain_film_goes_as_it_is() -> None:
    offer = offered("fal", EXTEND, VIDEO)
    assert (offer.conversions, offer.adjustments) == ({}, ())


def test_a_sound_of_parts_becomes_one() -> None:
    offer = offered(
        "fal", SPEAK, replace(SOUND, format="mp3", codec="mp3", duration=6.0, traits=("joined of 2 parts",))
    )
    assert offer.conversions == {"audio": "m4a/aac"}
    (told,) = offer.adjustments
    assert (told.asked, told.got) == ("mp3/mp3, joined of 2 parts", "m4a/aac")


def test_a_sound_of_twenty_seconds_in_full_frames_is_twenty_seconds() -> None:
    offer = offered("fal", SPEAK, SOUND)
    assert (offer.duration, offer.billed, offer.cost_usd) == (Decimal(20), Decimal(20), Decimal(2))
    check_sent(offer, SOUND, row_of(offer, PROVIDERS["fal"]))


@pytest.mark.parametrize("given", [replace(SOUND, duration=20.06), replace(SOUND, format="wav", codec="pcm")])
def test_a_sound_that_is_longer_than_padding_makes_it_is_refused(given: Input) -> None:
    answer = answered("fal", SPEAK, given)
    assert isinstance(answer, Refusal)
    assert "audio lasts 20.0" in answer.reason
