"""A film that is joined here is a job like every other: it waits for its shots, ends with one that fails, is cancelled,
repeated and chained.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from ltx_mcp.domain.arguments import JoinVideos
from ltx_mcp.domain.errors import CallerError, ErrorCode
from ltx_mcp.domain.job import ChargeState, Job, State, input_of
from ltx_mcp.domain.plan import Catalog, select_offers
from ltx_mcp.domain.request import canonical_form, to_request
from ltx_mcp.emulator.emulator_state import Fault
from ltx_mcp.jobs.store.rows import NewJob, PlacedSet
from ltx_mcp.jobs.store.store import Store
from tests.conftest import Clock, Emulated
from tests.media.films import Recipe, make
from tests.patience import HANG_S
from tests.providers.bench import CALLER, Bench, image, joins, opened, text

pytestmark = pytest.mark.anyio

SHOT = {"provider": "fal", "resolution": "1080p"}
SMALL = {"resolution": "720p", "fps": 24}
SLOW = 20.0
"""So much faster time runs where a shot must not be given up while it is waited for."""
LONG = Recipe(size=(1920, 1080), frames=250, seconds=10, options=(("preset", "ultrafast"), ("g", "25")))


async def refused(bench: Bench, arguments: JoinVideos) -> CallerError:
    with pytest.raises(CallerError) as caught:
        await bench.place(arguments)
    return caught.value


async def test_shots_and_their_film_are_ordered_in_one_breath(home: Path, emulator: Emulated) -> None:
    async with opened(home, emulator, factor=SLOW) as bench:
        bench.world.work_s = 600
        first = await bench.place(text(**SHOT))
        second = await bench.place(image(f"{first.id}#last", **SHOT))
        film = await bench.place(joins(first.id, second.id, f"{first.id}@1.5-4", **SMALL))
        assert (film.state, film.blocked_by) == (State.QUEUED, first.id)
        bench.world.work_s = 0.05
        ended = await bench.end(film)
        shown = bench.view(ended)
    assert (ended.state, ended.sources, ended.offer.is_preview) == (State.SUCCEEDED, (first.id, second.id), False)
    assert ended.film is not None
    assert (ended.film.width, ended.film.height, ended.film.fps) == (1280, 720, 24)
    assert ended.film.duration == pytest.approx(6 + 6 + 2.5, abs=0.1)
    assert (ended.bill, ended.cost_micro, shown.adjustments) == (ChargeState.BOOKED, 0, [])
    assert len(bench.orders()) == 2


async def test_a_shot_that_was_made_from_the_last_frame_of_the_one_before_goes_on_from_it(
    home: Path, emulator: Emulated
) -> None:
    async with opened(home, emulator, factor=SLOW) as bench:
        bench.world.work_s = 600
        first = await bench.place(text(**SHOT))
        second = await bench.place(image(f"{first.id}#last", **SHOT))

        async def continued(*videos: str) -> list[bool | None]:
            film = await bench.place(joins(*videos))
            return [given.continues for given in film.inputs]

        assert await continued(first.id, second.id, first.id) == [None, True, None]
        assert await continued(f"{first.id}@0-3", second.id) == [None, False]
        assert await continued(f"{first.id}@1-", f"{second.id}@2-") == [None, False]
        assert await continued(second.id, first.id) == [None, None]


async def test_a_shot_that_failed_is_refused_as_it_was_given(home: Path, emulator: Emulated) -> None:
    async with opened(home, emulator) as bench:
        bench.world.faults.append(Fault("fal", "order", "content"))
        failed = await bench.order(text(**SHOT))
        running = await bench.place(text(prompt="a hill", **SHOT))
        told = await refused(bench, joins(running.id, f" {failed.id}@1-2"))
        assert told.code is ErrorCode.INPUT_FAILED
        assert told.message.startswith(f"videos: {failed.id}@1-2: {failed.id} is failed")


async def test_a_shot_that_is_cancelled_ends_the_film(home: Path, emulator: Emulated) -> None:
    async with opened(home, emulator, factor=SLOW) as bench:
        bench.world.wait_s = 600  # one that is in line is stopped
        shot, other = await bench.place(text(**SHOT)), await bench.place(text(prompt="a hill", **SHOT))
        film = await bench.place(joins(other.id, shot.id))
        await bench.until(other, "running")
        await bench.jobs.cancel(other.id, CALLER)
        ended = await bench.end(film)
    assert ended.error is not None
    assert (ended.state, ended.error.code, ended.bill) == (State.FAILED, ErrorCode.INPUT_FAILED, ChargeState.RELEASED)
    assert ended.error.message == f"videos: {other.id} is cancelled, so it has no film to be made from."


async def test_a_section_is_held_to_the_length_of_its_video(home: Path, emulator: Emulated, tmp_path: Path) -> None:
    clip = make(tmp_path / "clip@home.mp4", Recipe())
    async with opened(home, emulator, folders=(tmp_path,), factor=SLOW) as bench:
        bench.world.work_s = 600
        shot = await bench.place(text(**SHOT))
        told = await refused(bench, joins(shot.id, f"{clip}@1-2.5"))
        assert told.message.endswith(" lasts 2 s; @1-2.5 does not lie within it.")
        film = await bench.place(joins(f"{shot.id}@5-9", clip))
        bench.world.work_s = 0.05
        ended = await bench.end(film)
    assert ended.error is not None
    assert (ended.error.code, ended.error.message) == (
        ErrorCode.INPUT_FAILED,
        f"videos: {shot.id} lasts 6 s; @5-9 does not lie within it.",
    )


async def test_a_removed_video_is_refused_as_it_was_given(home: Path, emulator: Emulated, tmp_path: Path) -> None:
    clip = make(tmp_path / "clip.mp4", Recipe())
    async with opened(home, emulator, folders=(tmp_path,)) as bench:
        first = await bench.order(joins(clip, f"{clip}@0.5-1"))
        kept = {path.name.removeprefix(first.id) for path in (home / "videos").iterdir()}
        assert kept == {".mp4", ".jpg", ".poster.jpg", ".json"}
        await bench.jobs.keeping.remove(first)
        assert list((home / "videos").iterdir()) == []
        told = await refused(bench, joins(clip, f"{first.id}@0-1"))
    assert told.code is ErrorCode.INPUT_FAILED
    assert told.message.startswith(f"videos: {first.id}@0-1: the film of {first.id} is not on this machine")


async def test_a_shot_whose_file_is_deleted_while_the_film_waits_for_another_ends_it(
    home: Path, emulator: Emulated
) -> None:
    async with opened(home, emulator, factor=SLOW) as bench:
        shot = await bench.order(text(**SHOT))
        bench.world.work_s = 600
        other = await bench.place(text(prompt="a hill", **SHOT))
        film = await bench.place(joins(other.id, f"{shot.id}@0-2"))
        await bench.until(other, "running")
        with pytest.raises(CallerError, match=f"{shot.id} is needed by {film.id}"):
            await bench.jobs.keeping.remove(shot)
        (home / "videos" / f"{shot.id}.mp4").unlink()
        bench.world.work_s = 0.05
        ended = await bench.end(film)
    assert ended.error is not None
    assert (ended.state, ended.error.code, ended.bill) == (State.FAILED, ErrorCode.INPUT_FAILED, ChargeState.RELEASED)
    assert ended.error.message == f"videos: the film of {shot.id} is not on this machine any more."


async def test_a_film_is_joined_with_others_again_and_a_take_is_named(
    home: Path, emulator: Emulated, tmp_path: Path
) -> None:
    clip = make(tmp_path / "clip.mp4", Recipe())
    async with opened(home, emulator, folders=(tmp_path,)) as bench:
        takes = await bench.jobs.order_or_ask(text(takes=2, **SHOT), CALLER, None, can_ask=False)
        assert isinstance(takes, PlacedSet)
        first = await bench.place(joins(clip, clip, transition="crossfade"))
        whole = await bench.order(joins(first.id, f"{takes.job_set.id}/2@0-1", resolution="720p"))
    assert whole.film is not None
    assert whole.sources == (first.id, takes.job_set.takes[1].id)
    assert whole.film.duration == pytest.approx(2 + 2 - 0.5 + 1, abs=0.1)


async def test_the_same_film_is_joined_once_and_a_key_names_it(home: Path, emulator: Emulated, tmp_path: Path) -> None:
    clip = make(tmp_path / "clip.mp4", Recipe())
    async with opened(home, emulator, folders=(tmp_path,)) as bench:
        first = await bench.place(joins(clip, f"{clip}@0-1", request_key="pond"))
        again = await bench.jobs.order(joins(clip, f"{clip}@0-1", request_key="pond"), CALLER)
        assert (again.job.id, again.fresh) == (first.id, False)
        told = await refused(bench, joins(clip, f"{clip}@0-1.5", request_key="pond"))
        assert "video2" in told.message
        assert (await bench.place(joins(clip, f"{clip}@0-1"))).id == (await bench.place(joins(clip, f"{clip}@0-1"))).id


async def test_bad_captions_are_refused_before_anything_is_read(home: Path, emulator: Emulated) -> None:
    async with opened(home, emulator) as bench:
        told = await refused(bench, joins("nothing.mp4", "nothing.mp4", captions="hello"))
    assert told.code is ErrorCode.INVALID_REQUEST
    assert "captions" in told.message


async def test_joining_can_be_cancelled_and_leaves_nothing(home: Path, emulator: Emulated, tmp_path: Path) -> None:
    clip = make(tmp_path / "clip.mp4", LONG)
    async with opened(home, emulator, folders=(tmp_path,), factor=1) as bench:
        film = await bench.place(joins(*[clip] * 8, resolution="2160p", fps=50))
        await bench.until(film, State.RUNNING)
        with anyio.fail_after(HANG_S):
            await bench.jobs.cancel(film.id, CALLER)
            ended = await bench.end(film)
    assert (ended.state, ended.bill) == (State.CANCELLED, ChargeState.RELEASED)
    assert list((home / "videos").iterdir()) == []


def test_what_is_joined_and_how_is_kept_whole_in_both_databases(
    store: Store, new_job: Callable[..., NewJob], catalog: Catalog, clock: Clock
) -> None:
    shots = [store.place(new_job(request_key=key), clock()).job for key in "ab"]
    inputs = tuple(
        replace(input_of(shot, f"video{number}"), start=1.5, end=4.0, continues=number == 2)
        for number, shot in enumerate(shots, 1)
    )
    arguments = JoinVideos(
        videos=["a", "b"], transition="fade", transition_seconds=0.7, titles=["Dämmerung"], captions="WEBVTT\n"
    )
    request = to_request(arguments)
    offers, normal = select_offers(request, inputs, catalog), canonical_form(request, inputs)
    film = store.place(NewJob(CALLER, "film", normal, offers, inputs), clock()).job
    assert (film.offers, film.inputs, film.blocked_by) == (offers, inputs, shots[0].id)
    assert film.offer.join is not None
    assert film.offer.join.is_preview, "the shots are previews"
    for shot in shots:
        ended_by_hand(store, shot, clock)
    again = store.get(film.id)
    assert again is not None
    assert again.blocked_by == ""


def ended_by_hand(store: Store, shot: Job, clock: Clock) -> None:
    """The shot is cancelled before it was begun."""
    store.request_cancel(CALLER, shot.id, clock())
