"""What an operator sees by OpenTelemetry: metrics, and spans that join a job to the call that placed it.

Only its API is used, which does nothing until somebody sets up an SDK, and it is imported late: the first answer of a
server does not wait for it. Nothing here takes a prompt, a key or an address.
"""

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache, partial
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.metrics import CallbackOptions, Counter, Histogram, Observation
    from opentelemetry.trace import Tracer

NAME = "ltx_mcp"
"""Of the meter and of the tracer."""
READ_EVERY_S = 5.0
FLUSH_S = 3.0
PROVIDERS = {"metrics": "get_meter_provider", "trace": "get_tracer_provider", "_logs": "get_logger_provider"}
"""By the module of OpenTelemetry that has it."""
SUPPRESSED = "suppress_instrumentation"
"""The key in a context by which the instrumentations of libraries know that they are to keep quiet."""

ACCEPT_S = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
JOB_S = (1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1200.0, 1800.0, 3600.0, 7200.0)


@dataclass(frozen=True)
class Metric:
    """One metric: `attributes` split it, `boundaries` are those of a histogram's buckets."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    attributes: tuple[str, ...]
    meaning: str
    unit: str = ""
    boundaries: tuple[float, ...] = ()


PLACED, ENDED, LIVE = "ltx.jobs.placed", "ltx.jobs.ended", "ltx.jobs.live"
UNKNOWN, ACCEPTED, TOOK = "ltx.jobs.unknown", "ltx.job.accept.duration", "ltx.job.duration"
MONEY, BUDGET, REFUSED = "ltx.money", "ltx.money.budget", "ltx.refusals"
DELIVERED, WAITING, REPLICAS = "ltx.webhook.deliveries", "ltx.webhook.waiting", "ltx.replicas"

METRICS = (
    Metric(PLACED, "counter", ("provider", "operation"), "Jobs that were placed; each take of a set is one."),
    Metric(
        ENDED,
        "counter",
        ("provider", "operation", "state"),
        "Ends of jobs. One of unknown outcome is asked about again for a day, and is counted each time that it ends.",
    ),
    Metric(LIVE, "gauge", ("provider", "state"), "Jobs that have not ended."),
    Metric(UNKNOWN, "gauge", ("provider",), "Jobs of the last seven days whose outcome is unknown."),
    Metric(ACCEPTED, "histogram", ("provider",), "From placed to accepted by the provider.", "s", ACCEPT_S),
    Metric(TOOK, "histogram", ("provider", "operation", "state"), "From placed to the end.", "s", JOB_S),
    Metric(MONEY, "gauge", ("bill",), "Held for live jobs and booked for ended ones, of today's UTC day.", "USD"),
    Metric(BUDGET, "gauge", (), "The budget of a day, where there is one.", "USD"),
    Metric(REFUSED, "counter", ("code",), "Calls of tools that were answered with an error code."),
    Metric(
        DELIVERED,
        "counter",
        ("webhook", "outcome"),
        "Tries to tell a webhook: delivered, failed, given_up or disabled.",
    ),
    Metric(WAITING, "gauge", ("webhook",), "What is still to be told to a webhook."),
    Metric(REPLICAS, "gauge", (), "Processes that are alive and work on this database."),
)

Reading = tuple[float, Mapping[str, str]]
"""The value of a gauge, and its attributes."""
Readings = Mapping[str, Sequence[Reading]]
"""By the name of the gauge."""
Facts = dict[str, str]
"""The attributes of a span by their short names; see `_attributes`."""


# -- metrics ------------------------------------------------------------------------------------------------------


def job_placed(provider: str, operation: str) -> None:
    """A job was placed."""
    _instruments().counters[PLACED].add(1, {"provider": provider, "operation": operation})


def job_accepted(provider: str, seconds: float) -> None:
    """The provider has taken the order of a job, so long after it was placed."""
    _instruments().histograms[ACCEPTED].record(max(0.0, seconds), {"provider": provider})


def job_ended(provider: str, operation: str, state: str, seconds: float) -> None:
    """A job has ended, so long after it was placed."""
    attributes = {"provider": provider, "operation": operation, "state": state}
    _instruments().counters[ENDED].add(1, attributes)
    _instruments().histograms[TOOK].record(max(0.0, seconds), attributes)


def call_refused(code: str) -> None:
    """A call was answered with this error code."""
    _instruments().counters[REFUSED].add(1, {"code": code})


def webhook_told(webhook: str, outcome: str) -> None:
    """One try to tell a webhook has ended: delivered, failed, given_up or disabled."""
    _instruments().counters[DELIVERED].add(1, {"webhook": webhook, "outcome": outcome})


class GaugeSource:
    """Reads all gauges at once, when somebody collects them and the last reading is READ_EVERY_S old. `read` blocks, so
    on the thread of an event loop the last reading is told again."""

    def __init__(self, read: Callable[[], Readings]) -> None:
        self._read = read
        self._lock = Lock()
        self._readings: Readings = {}
        self._stale_at_s = 0.0

    def readings(self, name: str) -> Sequence[Reading]:
        """Those of one gauge."""
        if not _is_on_event_loop():
            with self._lock:
                if time.monotonic() >= self._stale_at_s:
                    with _attached(_suppressed()):
                        self._readings = self._read()
                    self._stale_at_s = time.monotonic() + READ_EVERY_S
        return self._readings.get(name, ())


def observe(source: GaugeSource) -> None:
    """Tell what `source` reads, until `forget`."""
    _instruments().sources.append(source)


def forget(source: GaugeSource) -> None:
    """Tell it no longer."""
    sources = _instruments().sources
    if source in sources:
        sources.remove(source)


@dataclass(frozen=True)
class _Instruments:
    counters: "dict[str, Counter]" = field(default_factory=dict)
    histograms: "dict[str, Histogram]" = field(default_factory=dict)
    sources: list[GaugeSource] = field(default_factory=list)


@cache
def _instruments() -> _Instruments:
    """Those of this process; they begin to count when an SDK is set up, before or after this."""
    from opentelemetry.metrics import get_meter

    meter, made = get_meter(NAME), _Instruments()
    for each in METRICS:
        told = {"unit": each.unit, "description": each.meaning}
        if each.kind == "counter":
            made.counters[each.name] = meter.create_counter(each.name, **told)
        elif each.kind == "histogram":
            made.histograms[each.name] = meter.create_histogram(
                each.name, **told, explicit_bucket_boundaries_advisory=each.boundaries
            )
        else:
            meter.create_observable_gauge(each.name, [partial(_observed, made.sources, each.name)], **told)
    return made


def _observed(sources: Sequence[GaugeSource], name: str, options: "CallbackOptions") -> "Iterator[Observation]":
    from opentelemetry.metrics import Observation

    for source in tuple(sources):
        for value, attributes in source.readings(name):
            yield Observation(value, attributes)


def _is_on_event_loop() -> bool:
    import asyncio

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def flush() -> None:
    """Send what an SDK has not sent yet, before a process leaves without the interpreter's own end, which would do it.
    Blocking, for FLUSH_S at most: a collector that is away holds up nobody."""
    modules = [(sys.modules.get(f"opentelemetry.{name}"), get) for name, get in PROVIDERS.items()]
    found = [getattr(module, get)() for module, get in modules if module is not None]
    sends = [Thread(target=each.force_flush, daemon=True) for each in found if hasattr(each, "force_flush")]
    for each in sends:
        each.start()
    until_s = time.monotonic() + FLUSH_S
    for each in sends:
        each.join(max(0.0, until_s - time.monotonic()))


# -- spans --------------------------------------------------------------------------------------------------------


@contextmanager
def span(name: str, facts: Facts) -> Iterator[Facts]:
    """Work in a span. More facts may be added until it ends. Of an error only its code is told: its sentence may quote
    what a caller gave."""
    from opentelemetry.trace import set_span_in_context

    began = _tracer().start_span(name)
    try:
        with _attached(_suppressed(False, set_span_in_context(began))):
            yield facts
    except Exception as error:
        facts["error"] = code_of(error)
        raise
    finally:
        _end(began, facts)


def span_since(name: str, began_ns: int, facts: Facts) -> None:
    """A span of something that is over."""
    _end(_tracer().start_span(name, start_time=began_ns), facts)


@contextmanager
def in_trace(traceparent: str) -> Iterator[None]:
    """Work for the call that this names, wherever it was made. What libraries do meanwhile is in no span unless ours is
    open: they would add one for each look at a job."""
    from opentelemetry.context import Context
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    named = TraceContextTextMapPropagator().extract({"traceparent": traceparent}, Context())
    with _attached(_suppressed(True, named)):
        yield


def traceparent() -> str:
    """The span we are in, as W3C Trace Context has it; empty in none."""
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    carrier: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(carrier)
    return carrier.get("traceparent", "")


@contextmanager
def apart() -> Iterator[None]:
    """Begin work that belongs to no call, such as that of a loop: else its spans would be in the trace of the call that
    happened to begin it."""
    from opentelemetry.context import Context

    with _attached(_suppressed(True, Context())):
        yield


@contextmanager
def kept_quiet() -> Iterator[None]:
    """Work of which the instrumentations of libraries tell nothing."""
    with _attached(_suppressed()):
        yield


def code_of(error: Exception) -> str:
    """What a span tells of an error."""
    return str(getattr(error, "code", "") or type(error).__name__)


@cache
def _tracer() -> "Tracer":
    from opentelemetry.trace import get_tracer

    return get_tracer(NAME)


def _end(span: Any, facts: Facts) -> None:
    from opentelemetry.trace import StatusCode

    if span.is_recording():
        span.set_attributes(_attributes(facts))
        if "error" in facts:
            span.set_status(StatusCode.ERROR)
    span.end()


def _attributes(facts: Facts) -> dict[str, str]:
    return {"error.type" if name == "error" else f"ltx.{name}": value for name, value in facts.items()}


def _suppressed(quiet: bool = True, context: "Context | None" = None) -> "Context":
    from opentelemetry.context import set_value

    return set_value(SUPPRESSED, quiet, context)


@contextmanager
def _attached(context: "Context") -> Iterator[None]:
    from opentelemetry.context import attach, detach

    token = attach(context)
    try:
        yield
    finally:
        detach(token)
