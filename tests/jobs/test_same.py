"""Which request is the same one: once more after a while, under another key, and when a provider was set up since."""

import pytest

from ltx_mcp.domain.errors import CallerError, ErrorCode
from ltx_mcp.domain.job import ChargeState, Job, State
from ltx_mcp.jobs.store.rows import NewJob
from ltx_mcp.jobs.store.same import Repeat
from ltx_mcp.jobs.store.store import Store
from tests.conftest import Clock
from tests.jobs.test_store import New, ordered, priced


def ended(store: Store, new: NewJob, clock: Clock, end: State = State.SUCCEEDED) -> Job:
    """A job of this request that has come to its end."""
    job = ordered(store, new, clock)
    if end is State.UNKNOWN:
        return store.transition(job, end, clock())
    job = store.record_submission(job, State.RUNNING, clock(), "started")
    return store.transition(
        store.transition(job, State.SAVING, clock()), State.SUCCEEDED, clock(), bill=ChargeState.BOOKED
    )


@pytest.mark.parametrize("key", ["", "k"])
@pytest.mark.parametrize("end", [State.SUCCEEDED, State.UNKNOWN])
def test_a_person_is_asked_for_a_day_whatever_key_it_had(
    store: Store, new_job: New, clock: Clock, key: str, end: State
) -> None:
    job = ended(store, priced(new_job(request_key=key), "0.24"), clock, end)
    again = priced(new_job(), "0.24")
    clock.turn(hours=23)
    assert store.place(again, clock(), Repeat.ASKED).job.id == job.id
    another = store.place(again, clock(), Repeat.ANOTHER).job
    assert another.id != job.id
    assert store.place(again, clock(), Repeat.ASKED).job.id == another.id
    clock.turn(hours=2)
    store.request_cancel("local", another.id, clock())
    assert store.place(again, clock(), Repeat.ASKED).fresh


def test_a_preview_is_not_the_real_video_and_the_real_video_stands_for_the_preview(
    store: Store, new_job: New, clock: Clock
) -> None:
    preview, real = new_job(), priced(new_job(), "0.24")
    drawn = ended(store, preview, clock)
    assert store.check(real, clock()) is None
    assert store.place(preview, clock()).job.id == drawn.id
    clock.turn(seconds=1)
    placed = store.place(real, clock())
    assert placed.fresh
    # without the key of its provider, as in another shell
    assert store.place(preview, clock()).job.id == placed.job.id


def test_the_key_of_a_preview_says_so_when_it_is_to_name_a_real_video(store: Store, new_job: New, clock: Clock) -> None:
    drawn = ended(store, new_job(request_key="kite"), clock)
    with pytest.raises(CallerError, match=f"already names {drawn.id}, a preview") as refused:
        store.place(priced(new_job(request_key="kite"), "0.24"), clock())
    assert refused.value.code is ErrorCode.INVALID_REQUEST
    assert store.place(new_job(request_key="kite"), clock()).job.id == drawn.id


def test_the_key_of_a_real_video_names_it_also_where_only_previews_can_be_made(
    store: Store, new_job: New, clock: Clock
) -> None:
    made = ended(store, priced(new_job(request_key="kite"), "0.24"), clock)
    assert store.place(new_job(request_key="kite"), clock()).job.id == made.id
