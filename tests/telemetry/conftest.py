"""The SDK in this process: what is counted and traced from the start of a test on."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import anyio.to_thread
import pytest
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import Counter, Histogram, MeterProvider
from opentelemetry.sdk.metrics.export import AggregationTemporality, InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from ltx_mcp.telemetry import NAME

Points = dict[str, dict[frozenset[tuple[str, Any]], Any]]
"""By the name of the metric and its attributes: a number, or the count and the sum of a histogram."""


@dataclass(frozen=True)
class Seen:
    """What was told. An SDK is set up once for a process, so others of this one may tell something too."""

    reader: InMemoryMetricReader
    exporter: InMemorySpanExporter

    async def metrics(self) -> Points:
        """Ours since the last look, collected in a thread, as exporters do it."""
        return await anyio.to_thread.run_sync(self.metrics_here)

    def metrics_here(self) -> Points:
        """The same, collected on this thread."""
        data = self.reader.get_metrics_data()
        return {
            metric.name: {
                frozenset((point.attributes or {}).items()): _value(point) for point in metric.data.data_points
            }
            for resource in (data.resource_metrics if data else ())
            for scoped in resource.scope_metrics
            if scoped.scope.name == NAME
            for metric in scoped.metrics
        }

    def spans(self) -> Sequence[ReadableSpan]:
        """All spans that have ended, whoever made them."""
        return self.exporter.get_finished_spans()


def _value(point: Any) -> Any:
    return (point.count, point.sum) if hasattr(point, "bucket_counts") else point.value


@pytest.fixture(scope="session")
def sdk() -> Seen:
    delta: dict[type, AggregationTemporality] = {each: AggregationTemporality.DELTA for each in (Counter, Histogram)}
    seen = Seen(InMemoryMetricReader(delta), InMemorySpanExporter())
    metrics.set_meter_provider(MeterProvider([seen.reader]))
    tracers = TracerProvider()
    tracers.add_span_processor(SimpleSpanProcessor(seen.exporter))
    trace.set_tracer_provider(tracers)
    return seen


@pytest.fixture
def seen(sdk: Seen) -> Iterator[Seen]:
    """Nothing yet."""
    sdk.metrics_here()
    sdk.exporter.clear()
    yield sdk
    sdk.exporter.clear()
