"""Under `opentelemetry-instrument`, with all instrumentations that `opentelemetry-bootstrap` finds for us: one trace
from a call to the saved film, across processes, all metrics, and no secret in anything that is told.
"""

import base64
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from PIL import Image

from ltx_mcp.emulator.app import settings
from ltx_mcp.private import open_private
from ltx_mcp.server.auth.links import LinkSigner
from ltx_mcp.server.auth.principal import ORDER, READ
from ltx_mcp.server.auth.tokens_file import new_token, to_row_text
from ltx_mcp.telemetry import METRICS
from tests.cli.conftest import environment
from tests.conftest import Emulated
from tests.facts import facts_on_wire
from tests.jobs.test_processes import processes_of, wait_for
from tests.patience import HANG_S
from tests.server.auth.people import result_of
from tests.server.auth.service import call, send
from tests.telemetry.receiver import OURS, Received, ReceivedSpan, receiving

TOKEN = new_token()
PROMPT = "an otter that nobody may hear of"
SIGNING_KEY = "k" * 32
ENDLESS_S = 3600.0
STEPS = ["job prepare", "job submit", "job track", "job save"]


@pytest.fixture
def received() -> Iterator[Received]:
    with receiving() as opened:
        yield opened


class Service:
    """A traced server over HTTP at DEBUG, listening when this is made; its log is a file."""

    def __init__(self, home: Path, log: Path, world: str, received: Received, **more: str) -> None:
        tokens = home.with_name("tokens.toml")
        if not tokens.exists():
            with open_private(tokens, "wb") as file:
                file.write(to_row_text(TOKEN, "shop", (READ, ORDER), may_act=False, expires=None).encode())
        ours = {
            "TOKENS_FILE": str(tokens),
            "SIGNING_KEY": SIGNING_KEY,
            "PUBLIC_URL": "https://films.example.com",
            "LOG_LEVEL": "DEBUG",
            "BUDGET_USD_PER_DAY": "20",
        }
        theirs = {
            "EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{received.port}",
            "EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            "LOGS_EXPORTER": "otlp",
            "SEMCONV_STABILITY_OPT_IN": "http/dup,database/dup",
            "METRIC_EXPORT_INTERVAL": "300",
            "BSP_SCHEDULE_DELAY": "50",
            "BLRP_SCHEDULE_DELAY": "50",
            **more,
        }
        env = environment(home) | settings(world)
        env |= {f"LTX_MCP_{name}": value for name, value in ours.items()}
        env |= {f"OTEL_{name}": value for name, value in theirs.items()}
        self._home, self.log = home, log
        folder = Path(sys.executable).parent
        command = [str(folder / name) for name in ("opentelemetry-instrument", "ltx-mcp")]
        command += ["serve", "--http", "--port", "0"]
        with log.open("wb") as out:
            self.process = subprocess.Popen(command, env=env, stderr=out)
        found = wait_for(lambda: re.search(r"http://127\.0\.0\.1:\d+(?=/mcp; )", log.read_text("utf-8")), HANG_S)
        self.address = found[0]

    def ask(self, name: str, **arguments: Any) -> dict[str, Any]:
        """What a tool answers with."""
        return anyio.run(self._ask, name, arguments)

    async def _ask(self, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        async with httpx.AsyncClient(base_url=self.address, timeout=HANG_S) as web:
            return facts_on_wire(result_of(await send(web, TOKEN, "tools/call", call(name, **arguments))))

    def end(self) -> None:
        """As an orchestrator does it, so that everything is sent."""
        self.process.terminate()
        self.process.wait(HANG_S)


Start = Callable[..., Service]


@pytest.fixture
def start(home: Path, emulator: Emulated, received: Received) -> Iterator[Start]:
    """Starts traced servers over one home, with more settings of the SDK, and ends them."""
    started: list[Service] = []

    def begin(**more: str) -> Service:
        started.append(Service(home, home.with_name(f"log{len(started)}"), emulator[0], received, **more))
        return started[-1]

    yield begin
    for service in started:
        service.process.kill()
        service.process.wait()
    wait_for(lambda: not processes_of(home), HANG_S)


def picture() -> str:
    out = BytesIO()
    Image.new("RGB", (1280, 720), (40, 90, 7)).save(out, "PNG")
    return f"data:image/png;base64,{base64.b64encode(out.getvalue()).decode()}"


def of_job(received: Received, job_id: str) -> list[ReceivedSpan]:
    """Our spans of a job, as they came."""
    return [span for span in received.spans(OURS) if span.attributes.get("ltx.job_id") == job_id]


def the_trace(received: Received, job_id: str) -> list[ReceivedSpan]:
    """All spans of the one trace that a job is in."""
    (trace_id,) = {span.trace_id for span in of_job(received, job_id)}
    return [span for span in received.spans() if span.trace_id == trace_id]


def is_whole(spans: list[ReceivedSpan]) -> bool:
    """Whether every span that another one hangs on has come."""
    return {span.parent_id for span in spans} <= {span.span_id for span in spans} | {""}


def ancestors(span: ReceivedSpan, spans: list[ReceivedSpan]) -> list[str]:
    """The names from a span up to the first of its trace."""
    by_id = {each.span_id: each for each in spans}
    above = [span]
    while above[-1].parent_id in by_id:
        above.append(by_id[above[-1].parent_id])
    assert above[-1].parent_id == "", f"{above[-1]} hangs on a span that never came"
    return [each.name for each in above[1:]]


def test_a_call_and_all_that_comes_of_it_is_one_trace_and_nothing_tells_a_secret(
    start: Start, emulator: Emulated, received: Received
) -> None:
    world, service = emulator[1], start()
    placed = service.ask("animate_image", prompt=PROMPT, image=picture(), provider="fal", resolution="1080p")
    keyed = service.ask("generate_video", prompt=PROMPT, provider="netwrck")
    refused = service.ask("generate_video", prompt=PROMPT, provider="fal", max_cost_usd="0.01")
    assert "job_id" not in refused
    seen = [service.ask("check_job", job_id=job["job_id"], wait_seconds=50) for job in (placed, keyed)]
    assert [view["state"] for view in seen] == ["succeeded", "succeeded"]
    query, _ = LinkSigner([SIGNING_KEY]).sign(placed["job_id"], datetime.now(UTC))
    film = httpx.get(f"{service.address}/videos/{placed['job_id']}.mp4?{query}")
    assert (film.status_code, len(film.content)) == (200, seen[0]["size_bytes"])
    service.end()

    trace = the_trace(received, placed["job_id"])
    ours = [span for span in trace if span.scope == OURS]
    assert [span.name for span in ours if span.name != "job place"] == STEPS
    (call_span,) = [span for span in trace if span.name == "tools/call animate_image"]
    for span in ours:
        assert call_span.name in ancestors(span, trace)
        assert {name: span.attributes[f"ltx.{name}"] for name in ("provider", "operation")} == {
            "provider": "fal",
            "operation": "image_to_video",
        }
        assert not span.is_error
    assert [span.attributes["ltx.state"] for span in ours if span.name == STEPS[-1]] == ["succeeded"]
    # those of others are there, but for the command line and what is sent to providers
    scopes = {span.scope.removeprefix("opentelemetry.instrumentation.") for span in received.spans()}
    assert scopes == {OURS, "mcp-python-sdk", "starlette", "sqlite3"}
    assert received.logs()

    check_metrics(received)
    written = b"".join(received.bodies) + service.log.read_bytes()
    assert b"DEBUG" in written
    assert b"Traceback" not in written
    secrets = [PROMPT, TOKEN, SIGNING_KEY, query.rpartition("=")[2], *settings(emulator[0]).values()]
    secrets += [upload["secret"] for upload in world.uploads.values()]
    assert [secret for secret in secrets if "://" not in secret and secret.encode() in written] == []


def check_metrics(received: Received) -> None:
    """All that has happened is told under the names and attributes that dashboards are made for."""
    never = {"ltx.webhook.deliveries", "ltx.webhook.waiting"}
    assert received.metric_names() == {metric.name for metric in METRICS} - never
    for metric in METRICS:
        for attributes in received.points(metric.name):
            assert {name for name, _ in attributes} == set(metric.attributes), metric.name
    fal, netwrck = (frozenset({"provider": each}.items()) for each in ("fal", "netwrck"))
    made = fal | {("operation", "image_to_video")}
    assert received.points("ltx.jobs.placed") == {made: 1, netwrck | {("operation", "text_to_video")}: 1}
    assert received.points("ltx.jobs.ended")[made | {("state", "succeeded")}] == 1
    assert received.points("ltx.job.duration")[made | {("state", "succeeded")}][0] == 1
    assert received.points("ltx.job.accept.duration")[fal][0] == 1
    assert received.points("ltx.refusals") == {frozenset({("code", "over_budget")}): 1}
    assert received.points("ltx.money.budget") == {frozenset(): 20}


def test_a_process_that_takes_a_job_over_goes_on_with_its_trace(
    start: Start, emulator: Emulated, received: Received
) -> None:
    world, first = emulator[1], start()
    world.wait_s, world.work_s = 0.0, ENDLESS_S
    job_id = first.ask("generate_video", prompt=PROMPT, provider="fal")["job_id"]
    wait_for(lambda: "job submit" in [span.name for span in of_job(received, job_id)], HANG_S)
    wait_for(lambda: is_whole(the_trace(received, job_id)), HANG_S)  # what a process has not told yet dies with it
    first.process.kill()
    first.process.wait()
    world.work_s = 0.0
    second = start()
    assert second.ask("check_job", job_id=job_id, wait_seconds=50)["state"] == "succeeded"
    second.end()

    trace = the_trace(received, job_id)
    ours = [span for span in trace if span.scope == OURS]
    assert [span.name for span in ours if span.name in STEPS] == STEPS
    for span in ours:
        assert "tools/call generate_video" in ancestors(span, trace)
    assert len(world.orders) == 1


def test_a_worker_that_a_server_leaves_behind_goes_on_with_the_trace(
    start: Start, emulator: Emulated, received: Received
) -> None:
    world, service = emulator[1], start()
    world.wait_s, world.work_s = 0.0, ENDLESS_S
    job_id = service.ask("generate_video", prompt=PROMPT, provider="fal")["job_id"]
    wait_for(lambda: "job submit" in [span.name for span in of_job(received, job_id)], HANG_S)
    service.end()
    world.work_s = 0.0
    wait_for(lambda: "job save" in [span.name for span in of_job(received, job_id)], HANG_S)
    assert "tools/call generate_video" in [span.name for span in the_trace(received, job_id)]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_server_that_ends_tells_before_what_it_has_not_told_yet(
    start: Start, received: Received, number: signal.Signals
) -> None:
    """By itself the SDK would tell it in an hour."""
    late = dict.fromkeys(("METRIC_EXPORT_INTERVAL", "BSP_SCHEDULE_DELAY", "BLRP_SCHEDULE_DELAY"), "3600000")
    service = start(**late)
    service.ask("check_job", job_id="job_of_nobody")
    service.process.send_signal(number)
    assert service.process.wait(HANG_S) == 0
    assert received.points("ltx.refusals") == {frozenset({("code", "job_not_found")}): 1}
    assert "tools/call check_job" in [span.name for span in received.spans()]
    assert received.logs()


def test_a_collector_that_does_not_answer_holds_up_no_end(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        late = {"METRIC_EXPORT_INTERVAL": "3600000", "BSP_SCHEDULE_DELAY": "3600000"}
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        service = start(EXPORTER_OTLP_ENDPOINT=address, EXPORTER_OTLP_TIMEOUT="3600", LOGS_EXPORTER="none", **late)
        service.ask("check_job", job_id="job_of_nobody")
        service.end()
    assert service.process.returncode == 0
