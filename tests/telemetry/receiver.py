"""An OTLP receiver: what processes send over HTTP is decoded and kept, byte for byte too. Not a test."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

OURS = "ltx_mcp"
KINDS: dict[str, Any] = {
    "/v1/traces": ExportTraceServiceRequest,
    "/v1/metrics": ExportMetricsServiceRequest,
    "/v1/logs": ExportLogsServiceRequest,
}


@dataclass(frozen=True)
class ReceivedSpan:
    """A span; `scope` is who made it."""

    scope: str
    name: str
    trace_id: str
    span_id: str
    parent_id: str
    attributes: dict[str, Any]
    took_s: float
    is_error: bool


@dataclass
class Received:
    """What came so far, from all processes."""

    port: int
    bodies: list[bytes] = field(default_factory=list)
    messages: dict[str, list[Any]] = field(default_factory=lambda: {path: [] for path in KINDS})

    def spans(self, scope: str = "") -> list[ReceivedSpan]:
        """All spans, or those of one scope."""
        found = [
            _to_span(scoped.scope.name, span)
            for message in tuple(self.messages["/v1/traces"])
            for resource in message.resource_spans
            for scoped in resource.scope_spans
            for span in scoped.spans
        ]
        return [span for span in found if scope in ("", span.scope)]

    def points(self, name: str) -> dict[frozenset[tuple[str, Any]], Any]:
        """The newest point of each set of attributes of one of our metrics: a number, or the sum of a histogram."""
        found = {}
        for metric in self._metrics():
            if metric.name == name:
                data = getattr(metric, metric.WhichOneof("data"))
                for point in data.data_points:
                    found[frozenset(_attributes(point.attributes).items())] = _value(point)
        return found

    def metric_names(self) -> set[str]:
        """Of ours."""
        return {metric.name for metric in self._metrics()}

    def _metrics(self) -> list[Any]:
        return [
            metric
            for message in tuple(self.messages["/v1/metrics"])
            for resource in message.resource_metrics
            for scoped in resource.scope_metrics
            if scoped.scope.name == OURS
            for metric in scoped.metrics
        ]

    def logs(self) -> list[Any]:
        """All log records."""
        return [
            record
            for message in tuple(self.messages["/v1/logs"])
            for resource in message.resource_logs
            for scoped in resource.scope_logs
            for record in scoped.log_records
        ]


def _to_span(scope: str, span: Any) -> ReceivedSpan:
    ids = (span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex())
    took_s = (span.end_time_unix_nano - span.start_time_unix_nano) / 1e9
    return ReceivedSpan(scope, span.name, *ids, _attributes(span.attributes), took_s, span.status.code == 2)


def _attributes(pairs: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value") or "string_value") for pair in pairs}


def _value(point: Any) -> Any:
    if hasattr(point, "bucket_counts"):
        return (point.count, point.sum)
    return getattr(point, point.WhichOneof("value"))


@contextmanager
def receiving() -> Iterator[Received]:
    """A receiver on a free port."""

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            received.bodies.append(body)
            received.messages[self.path].append(KINDS[self.path].FromString(body))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as server:
        received = Received(server.server_port)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield received
        finally:
            server.shutdown()
            thread.join()
