"""Joining, decided without a file: which section is meant, what size, rate and length come of it, what is the same."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from ltx_mcp.domain.arguments import JoinVideos
from ltx_mcp.domain.errors import CallerError
from ltx_mcp.domain.media_reference import Section, split_section
from ltx_mcp.domain.offer import Offer
from ltx_mcp.domain.plan import Catalog, select_offers
from ltx_mcp.domain.request import Input, canonical_form, to_request

LANDSCAPE = Input("video1", job_id="job_a", width=1920, height=1080, duration=6, fps=25, has_audio=True)
"""A shot that was ordered."""


def shots(*changes: dict[str, Any]) -> list[Input]:
    """A video for each, which differs so from LANDSCAPE."""
    return [replace(LANDSCAPE, role=f"video{number}", **change) for number, change in enumerate(changes, 1)]


def joined(catalog: Catalog, inputs: list[Input], **arguments: Any) -> Offer:
    """What is made of them. Raises CallerError."""
    given = JoinVideos(videos=["x" for each in inputs if each.kind == "video"], **arguments)
    return select_offers(to_request(given), inputs, catalog)[0]


@pytest.mark.parametrize(
    ("text", "reference", "section"),
    [
        ("job_a@1.5-4", "job_a", Section(1.5, 4)),
        ("`set_a/2@2-`", "`set_a/2", Section(2, None)),
        ("clips/me@home.mp4@0-3", "clips/me@home.mp4", Section(0, 3)),
        ("https://a.example/x@2/y.mp4?z=1@3-9", "https://a.example/x@2/y.mp4?z=1", Section(3, 9)),
        ("clips/me@home-2.mp4", "clips/me@home-2.mp4", Section()),
        ("https://me:p@a.example/1-2", "https://me:p@a.example/1-2", Section()),
    ],
)
def test_only_two_numbers_at_the_end_are_a_section(text: str, reference: str, section: Section) -> None:
    assert split_section(text, "video1") == (reference, section)


def test_a_section_that_ends_before_it_begins_is_refused() -> None:
    with pytest.raises(CallerError, match="ends after it begins"):
        split_section("job_a@4-1.5", "video1")


def test_what_is_left_out_is_that_of_most_videos(catalog: Catalog) -> None:
    upright = {"width": 720, "height": 1280, "fps": 50}
    offer = joined(catalog, shots({"width": 1280, "height": 720}, upright, upright, {}))
    assert (offer.width, offer.height, offer.fps, offer.resolution, offer.aspect_ratio) == (
        720,
        1280,
        25,
        "720p",
        "9:16",
    )
    offer = joined(catalog, shots(upright, {}, upright), aspect_ratio="1:1", fps=24)
    assert (offer.width, offer.height, offer.fps) == (720, 720, 24)
    offer = joined(catalog, shots(upright, {}, {}), resolution="720p")
    assert (offer.width, offer.height, offer.fps) == (1280, 720, 25)


@pytest.mark.parametrize(
    ("changes", "arguments", "seconds"),
    [
        (({}, {}, {}), {}, "18"),
        (({}, {"start": 1.6, "end": 4}), {}, "8.4"),
        (({}, {"continues": True}, {"continues": False}), {}, "17.96"),
        (({}, {}, {}), {"transition": "fade", "transition_seconds": 1}, "18"),
        (({}, {}, {}), {"transition": "crossfade", "transition_seconds": 1}, "16"),
        (({}, {"continues": True}, {}), {"transition": "crossfade", "transition_seconds": 1}, "16.96"),
    ],
)
def test_the_length_is_known_before(catalog: Catalog, changes: Any, arguments: dict[str, Any], seconds: str) -> None:
    assert joined(catalog, shots(*changes), **arguments).length == Decimal(seconds)


def test_a_part_that_is_shorter_than_the_transitions_at_its_ends_is_refused(catalog: Catalog) -> None:
    short = {"start": 1, "end": 2.5}
    assert joined(catalog, shots(short, {}), transition="crossfade", transition_seconds=1.5)
    with pytest.raises(CallerError, match=r"^video2 lasts 1.5 s; at least 2 s are needed for its crossfades of 1 s"):
        joined(catalog, shots({}, short, {}), transition="crossfade", transition_seconds=1)


def test_a_film_longer_than_half_an_hour_is_refused(catalog: Catalog) -> None:
    with pytest.raises(CallerError, match="would last 2000 s; at most 1800 s"):
        joined(catalog, shots({"duration": 1000}, {"duration": 1000}))


def test_joining_is_free_and_a_preview_only_where_a_part_is_one(catalog: Catalog) -> None:
    offer = joined(catalog, shots({}, {}), titles=["", "Dusk"])
    assert (offer.provider, offer.cost_usd, offer.prompt) == ("local", Decimal(), "Dusk")
    assert not offer.is_preview
    assert offer.join is not None
    assert [clip.title for clip in offer.join.clips] == ["", "Dusk"]
    assert joined(catalog, shots({}, {"is_preview": True})).is_preview


def same(**arguments: Any) -> dict[str, str]:
    """The canonical form of a film of two shots."""
    return canonical_form(to_request(JoinVideos(videos=["a", "b"], **arguments)), shots({}, {}))


def test_every_argument_makes_another_film_and_a_default_none() -> None:
    other: list[dict[str, Any]] = [
        {"transition": "fade"},
        {"transition": "fade", "transition_seconds": 1},
        {"captions": "1\n00:00:01,000 --> 00:00:02,000\nx"},
        {"captions": "1\n00:00:01,000 --> 00:00:02,000\nx", "burn_captions": True},
        {"audio": "x", "audio_level": 0.5},
        {"titles": ["a"]},
        {"fps": 24},
        {"resolution": "720p"},
        {"aspect_ratio": "1:1"},
    ]
    forms = [same(), *(same(**each) for each in other)]
    assert all(forms.count(form) == 1 for form in forms)
    assert same(transition="cut", transition_seconds=0.5, titles=[""], audio_level=0.3, fps=0) == same()
    cut = canonical_form(to_request(JoinVideos(videos=["a", "b"])), shots({}, {"start": 1}))
    assert cut["video2"] == "job:job_a#@1-"
    assert max(len(value) for form in forms for value in form.values()) < 100, "captions are known by their digest"


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"titles": ["a", "b", "c"]}, "titles should be one for each of the 2 videos"),
        ({"transition_seconds": 2}, "transition_seconds should come with"),
        ({"burn_captions": True}, "burn_captions should come with captions"),
    ],
)
def test_what_does_not_fit_together_is_refused(arguments: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        JoinVideos(videos=["a", "b"], **arguments)
