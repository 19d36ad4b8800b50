"""A film that is taken away: what its timeline says to an editor, its README, and that it is there complete or not at
all."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from ltx_mcp.cli.take_away.contents import Contents, Media, Shot
from ltx_mcp.cli.take_away.folder import write_folder
from ltx_mcp.cli.take_away.readme import readme_text
from ltx_mcp.cli.take_away.timeline import timeline_text
from ltx_mcp.domain.arguments import GenerateVideo
from ltx_mcp.domain.errors import CallerError, SetupError
from ltx_mcp.domain.job import ChargeState, Job, State
from ltx_mcp.domain.join import Clip, JoinPlan, JoinSettings
from ltx_mcp.domain.media_info import VideoInfo
from ltx_mcp.domain.plan import Catalog, select_offers
from ltx_mcp.domain.request import canonical_form, to_request
from ltx_mcp.jobs.store.rows import NewJob
from ltx_mcp.jobs.store.store import Store
from ltx_mcp.providers.catalog_loader import make_catalog, read_providers

VIDEO = VideoInfo(duration=6, width=1920, height=1080, fps=25, frames=150, has_audio=True, size_bytes=1)
SIGNED = "https://example.com/film.mp4?X-Amz-Signature=sk-secret"
MakeJob = Callable[..., Job]


@pytest.fixture
def database_url() -> str:
    """One database is enough here."""
    return ""


@pytest.fixture
def make_job(store: Store) -> MakeJob:
    """A job that fal made."""
    catalog: Catalog = make_catalog(read_providers(), (), lambda name: "key" if name == "FAL_KEY" else "")

    def make(prompt: str, **changes: Any) -> Job:
        request = to_request(GenerateVideo(prompt=prompt, provider="fal"))
        new = NewJob("local", "", canonical_form(request, ()), select_offers(request, (), catalog), ())
        placed = store.place(new, datetime(2026, 11, 29, tzinfo=UTC)).job
        ended = replace(placed, state=State.SUCCEEDED, bill=ChargeState.BOOKED, film=VIDEO, result_url=SIGNED)
        return replace(ended, **changes)

    return make


@pytest.fixture
def contents_of(make_job: MakeJob, tmp_path: Path) -> Callable[[JoinSettings], Contents]:
    """A film of three shots: all of the first, seconds 1 to 4 of the second, and a silent one that goes on from it."""

    def make(settings: JoinSettings) -> Contents:
        jobs = [make_job(f"shot {number}") for number in (1, 2, 3)]
        media = [
            Media(_file(tmp_path, job.id), f"shots/{number:02}-shot-{number}.mp4", job, 6.0, 25.0, number < 3)
            for number, job in enumerate(jobs, 1)
        ]
        shots = (
            Shot(media[0], 0.0, 6.0, False, "The pond"),
            Shot(media[1], 1.0, 4.0, False, ""),
            Shot(media[2], 0.0, 6.0, True, ""),
        )
        plan = JoinPlan(settings, (Clip(), Clip(1, 4), Clip(continues=True)))
        film = make_job("The pond")
        offer = replace(film.offer, join=plan, operation="join", fps=25, cost_usd=Decimal())
        film = replace(film, operation="join", offers=(offer,), offer_index=0, cost_micro=0)
        song = Media(_file(tmp_path, "song"), "sound.mp3", None, 60.0, 0.0, True)
        return Contents(film, _file(tmp_path, "film"), _file(tmp_path, "sheet"), None, shots, song, tuple(jobs))

    return make


def _file(folder: Path, name: str) -> Path:
    path = folder / f"{name}.bin"
    path.write_bytes(name.encode())
    return path


def _read(contents: Contents) -> Any:
    otio = pytest.importorskip("opentimelineio")
    return otio.adapters.read_from_string(timeline_text(contents, "pond"), "otio_json")


def _spans(track: Any) -> list[tuple[str, float, float]]:
    """What an editor reads of a track: names, first frames and lengths; of a transition both its sides."""
    found = []
    for each in track:
        if hasattr(each, "in_offset"):
            found.append((each.transition_type, each.in_offset.value, each.out_offset.value))
        else:
            found.append((each.name, each.source_range.start_time.value, each.source_range.duration.value))
    return found


def test_an_editor_reads_the_shots_in_order_with_what_was_cut_off(contents_of: Callable[..., Contents]) -> None:
    timeline = _read(contents_of(JoinSettings()))
    video, sound, under = timeline.tracks
    assert [track.kind for track in timeline.tracks] == ["Video", "Audio", "Audio"]
    # the first frame of a shot that goes on is the last one before it
    assert _spans(video) == [("The pond", 0, 150), ("02-shot-2", 25, 75), ("03-shot-3", 1, 149)]
    assert _spans(sound) == [("The pond", 0, 150), ("02-shot-2", 25, 75), ("", 0, 149)]
    assert _spans(under) == [("sound", 0, 374)]
    assert {each.source_range.duration.rate for each in video} == {25}
    assert [each.media_reference.target_url for each in video] == SHOTS
    assert video[1].available_range().duration.value == 150
    assert video[1].metadata["ltx-mcp"]["prompt"] == "shot 2"


@pytest.mark.parametrize(
    ("transition", "shots", "between"),
    [
        ("crossfade", [("The pond", 0, 145), ("02-shot-2", 30, 70)], ("SMPTE_Dissolve", 5, 5)),
        ("fade", [("The pond", 0, 150), ("02-shot-2", 25, 75)], ("Custom_Transition", 5, 5)),
    ],
)
def test_a_transition_lies_where_the_story_cuts_and_makes_the_film_as_long_as_it_is(
    contents_of: Callable[..., Contents], transition: Any, shots: list[Any], between: Any
) -> None:
    timeline = _read(contents_of(JoinSettings(transition, Decimal("0.4"))))
    assert _spans(timeline.tracks[0]) == [shots[0], between, shots[1], ("03-shot-3", 1, 149)]
    assert timeline.duration().value == 150 + 75 + 149 - (10 if transition == "crossfade" else 0)


def test_the_readme_has_prompts_models_and_prices_and_nothing_that_opens_a_door(
    contents_of: Callable[..., Contents], tmp_path: Path
) -> None:
    contents = contents_of(JoinSettings(captions="WEBVTT\n\n00:01.000 --> 00:02.000\nhello\n"))
    files = write_folder(contents, tmp_path / "pond")
    assert files == ["README.md", "captions.vtt", "film.mp4", "film.otio", "sheet.jpg", *SHOTS, "sound.mp3"]
    page = (tmp_path / "pond" / "README.md").read_text("utf-8")
    assert page.startswith("# pond\n")
    assert page.count("0.24 USD") == 6
    assert "All of it: 0.72 USD." in page
    assert "> shot 2" in page
    assert "from the last frame of the shot before" in page
    assert all(f"`{file}`" in page for file in files if file != "README.md")
    for file in files:
        assert b"sk-secret" not in (tmp_path / "pond" / file).read_bytes()


SHOTS = [f"shots/0{number}-shot-{number}.mp4" for number in (1, 2, 3)]


def test_words_of_others_are_no_markup(contents_of: Callable[..., Contents]) -> None:
    contents = contents_of(JoinSettings())
    job = contents.shots[0].media.job
    assert job is not None
    wild = replace(job, prompt="# A <script>\n- [link](https://example.com) `code` | *bold*\n1. one")
    shot = replace(contents.shots[0], media=replace(contents.shots[0].media, job=wild))
    page = readme_text(replace(contents, shots=(shot,)), "a_b*c", ["film.mp4"])
    assert page.startswith("# a\\_b\\*c\n")
    quoted = [line for line in page.splitlines() if line.startswith("> ")]
    assert quoted == [
        "> \\# A \\<script\\>",
        "> \\- \\[link\\]\\(https://example.com\\) \\`code\\` \\| \\*bold\\*",
        "> 1\\. one",
    ]


def test_what_is_there_already_is_never_touched(contents_of: Callable[..., Contents], tmp_path: Path) -> None:
    contents, target = contents_of(JoinSettings()), tmp_path / "pond"
    target.mkdir()
    with pytest.raises(CallerError, match="is there already"):
        write_folder(contents, target)
    assert [*target.iterdir()] == []


def test_what_cannot_be_written_completely_leaves_nothing(contents_of: Callable[..., Contents], tmp_path: Path) -> None:
    contents = contents_of(JoinSettings())
    before = sorted(tmp_path.iterdir())
    gone = replace(contents, sheet=tmp_path / "gone.jpg")
    with pytest.raises(SetupError, match="could not be written"):
        write_folder(gone, tmp_path / "pond")
    assert sorted(tmp_path.iterdir()) == before
