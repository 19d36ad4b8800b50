"""What spans are there of a job, and what is in none."""

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import anyio
import pytest
from opentelemetry import trace
from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import StatusCode

from ltx_mcp.domain.job import State
from ltx_mcp.domain.plan import Catalog
from ltx_mcp.emulator.emulator_state import Fault
from ltx_mcp.jobs.config import JobsConfig
from ltx_mcp.jobs.service import Jobs
from ltx_mcp.telemetry import NAME, in_trace, span, traceparent
from tests.conftest import Emulated
from tests.patience import HANG_S
from tests.providers.bench import opened, text
from tests.telemetry.conftest import Seen

pytestmark = pytest.mark.anyio

ENDLESS_S = 1e9
STEPS = ["job place", "job prepare", "job submit", "job track", "job save"]


def ours(seen: Seen) -> list[ReadableSpan]:
    return [each for each in seen.spans() if each.instrumentation_scope and each.instrumentation_scope.name == NAME]


async def test_a_job_that_is_looked_at_many_times_has_one_span_for_each_step(
    home: Path, emulator: Emulated, seen: Seen
) -> None:
    async with opened(home, emulator) as bench:
        bench.world.work_s = ENDLESS_S
        with trace.get_tracer("caller").start_as_current_span("call") as call:
            job = await bench.place(text(provider="netwrck"))
        with anyio.fail_after(HANG_S):
            while bench.count("netwrck", "poll") < 4:
                await anyio.sleep(0.005)
        bench.world.advance(ENDLESS_S)
        job = await bench.end(job)
    assert job.state is State.SUCCEEDED, job.error
    assert [each.name for each in ours(seen)] == STEPS
    (place, *steps) = ours(seen)
    assert place.parent == call.get_span_context()
    for each in steps:
        assert each.parent is not None
        assert each.parent.span_id == place.context.span_id
    assert {each.context.trace_id for each in ours(seen)} == {call.get_span_context().trace_id}
    assert [(each.attributes or {})["ltx.state"] for each in ours(seen)] == [
        *("queued", "submitting", "running", "saving", "succeeded")
    ]
    for each in ours(seen):
        assert dict(each.attributes or {}) | {"ltx.state": ""} == {
            "ltx.job_id": job.id,
            "ltx.provider": "netwrck",
            "ltx.model": job.offer.model,
            "ltx.operation": "text_to_video",
            "ltx.state": "",
        }


async def test_of_a_failure_the_code_is_told_and_nothing_that_a_caller_or_a_provider_said(
    home: Path, emulator: Emulated, seen: Seen
) -> None:
    async with opened(home, emulator) as bench:
        bench.world.faults.append(Fault("fal", "order", "fails", 1, {"message": "the otter is nobody's"}))
        job = await bench.order(text(provider="fal", prompt="a secret otter"))
        assert (job.state, job.error is None) == (State.FAILED, False)
        assert job.error is not None
    (track,) = [each for each in ours(seen) if each.name == "job track"]
    assert (track.attributes or {})["error.type"] == job.error.code
    assert (track.status.status_code, track.status.description) == (StatusCode.ERROR, None)
    assert [each.to_json() for each in seen.spans() if "otter" in each.to_json()] == []


async def test_requests_to_providers_are_in_no_span_and_carry_no_trace(
    home: Path, emulator: Emulated, seen: Seen
) -> None:
    """netwrck takes its key in the address."""
    instrumentor = HTTPXClientInstrumentor()
    instrumentor.instrument()
    try:
        async with opened(home, emulator) as bench:
            for provider in ("netwrck", "fal"):
                assert (await bench.order(text(provider=provider))).state is State.SUCCEEDED
    finally:
        instrumentor.uninstrument()
    assert Counter(each.name for each in seen.spans()) == dict.fromkeys(STEPS, 2)


@pytest.mark.parametrize("named", ["", "00-x", "00-" + "0" * 32 + "-" + "0" * 16 + "-01"])
def test_a_row_without_a_usable_trace_begins_one(named: str, seen: Seen) -> None:
    assert traceparent() == ""
    with in_trace(named), span("job save", {}):
        assert traceparent()
    (save,) = ours(seen)
    assert save.parent is None


async def test_what_goes_on_in_the_background_is_not_in_the_call_that_happened_to_begin_it(
    home: Path, catalog: Catalog, seen: Seen
) -> None:
    ticked, found = anyio.Event(), list[trace.Span]()

    def now() -> datetime:
        found.append(trace.get_current_span())
        ticked.set()
        return datetime.now(UTC)

    async with anyio.create_task_group() as group:
        jobs = await Jobs.open(JobsConfig(home, catalog, None, ()), now)
        with trace.get_tracer("caller").start_as_current_span("the first call"):
            await jobs.start(group)
        await ticked.wait()
        await jobs.stop()
        group.cancel_scope.cancel()
    assert [each for each in found if each.get_span_context().is_valid] == []
