"""A small OTLP/HTTP receiver on loopback that keeps one program's telemetry, as plain records and as raw bytes."""

from __future__ import annotations

import gzip
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SIGNALS = ("traces", "metrics", "logs")
BODY_LIMIT = 16 * 1024 * 1024


@dataclass(frozen=True)
class Span:
    """One span. Times are in nanoseconds, and ids in hex; a root span has no ``parent_id``."""

    name: str
    span_id: str
    parent_id: str
    start_ns: int
    duration_ns: int
    failed: bool
    attributes: dict[str, Any]


@dataclass(frozen=True)
class Point:
    """The latest value of one series.

    Attributes:
        metric: The name of the metric.
        unit: Its unit.
        attributes: The attributes of the series.
        value: The value; for a histogram, the sum of the measurements.
        count: The number of measurements of a histogram; None for other metrics.
        largest: The largest measurement of a histogram.
        bounds: The bucket bounds of a histogram.
        bucket_counts: The number of measurements per bucket.
    """

    metric: str
    unit: str
    attributes: dict[str, Any]
    value: float
    count: int | None = None
    largest: float | None = None
    bounds: tuple[float, ...] = ()
    bucket_counts: tuple[int, ...] = ()


@dataclass(frozen=True)
class Event:
    """One log-based event, with OpenTelemetry's severity number and the id of its span in hex."""

    name: str
    severity: int
    span_id: str
    attributes: dict[str, Any]


@dataclass
class Inbox:
    """Everything received, and the server that receives it. Use it as a context manager.

    Attributes:
        raw: Pairs of signal (``traces``, ``metrics`` or ``logs``) and request body, in the order of arrival.
    """

    raw: list[tuple[str, bytes]] = field(default_factory=list)

    def __enter__(self) -> Inbox:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def endpoint(self) -> str:
        """The OTLP endpoint of this receiver."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def spans(self) -> list[Span]:
        """Return every span, in the order of their starts."""
        found = [
            Span(
                name=span.name,
                span_id=span.span_id.hex(),
                parent_id=span.parent_span_id.hex(),
                start_ns=span.start_time_unix_nano,
                duration_ns=span.end_time_unix_nano - span.start_time_unix_nano,
                failed=span.status.code == 2,
                attributes=_attributes(span.attributes),
            )
            for request in self._decoded("traces")
            for of_resource in request.resource_spans
            for of_scope in of_resource.scope_spans
            for span in of_scope.spans
        ]
        return sorted(found, key=lambda span: span.start_ns)

    def points(self) -> list[Point]:
        """Return the latest point of every series, sorted by metric and attributes."""
        latest: dict[Any, Point] = {}
        for request in self._decoded("metrics"):
            for of_resource in request.resource_metrics:
                for of_scope in of_resource.scope_metrics:
                    for metric in of_scope.metrics:
                        for point in _points(metric):
                            latest[point.metric, repr(sorted(point.attributes.items()))] = point
        return [latest[key] for key in sorted(latest)]

    def events(self) -> list[Event]:
        """Return every log record that is an event, in the order of arrival."""
        return [
            Event(record.event_name, record.severity_number, record.span_id.hex(), _attributes(record.attributes))
            for request in self._decoded("logs")
            for of_resource in request.resource_logs
            for of_scope in of_resource.scope_logs
            for record in of_scope.log_records
            if record.event_name
        ]

    def _decoded(self, signal: str) -> list[Any]:
        request_type = _request_type(signal)
        return [request_type.FromString(body) for kind, body in self.raw if kind == signal]


def _request_type(signal: str) -> Any:
    if signal == "traces":
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

        return ExportTraceServiceRequest
    if signal == "metrics":
        from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

        return ExportMetricsServiceRequest
    from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

    return ExportLogsServiceRequest


def _points(metric: Any) -> list[Point]:
    kind = metric.WhichOneof("data")
    if kind not in ("sum", "gauge", "histogram"):
        return []
    found = []
    for point in getattr(metric, kind).data_points:
        attributes = _attributes(point.attributes)
        if kind == "histogram":
            found.append(
                Point(
                    metric.name,
                    metric.unit,
                    attributes,
                    point.sum,
                    point.count,
                    point.max,
                    tuple(point.explicit_bounds),
                    tuple(point.bucket_counts),
                )
            )
        else:
            found.append(Point(metric.name, metric.unit, attributes, getattr(point, point.WhichOneof("value"))))
    return found


def _attributes(pairs: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value") or "string_value") for pair in pairs}


def _handler(inbox: Inbox) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            signal = self.path.rpartition("/")[2]
            if signal not in SIGNALS or not 0 < length <= BODY_LIMIT:
                self.send_error(404)
                return
            body = self.rfile.read(length)
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            inbox.raw.append((signal, body))
            # An empty response message means that everything was accepted.
            self.send_response(200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Log nothing, so that the terminal shows only the demo."""

    return Handler
