"""An OTLP receiver, HTTP with protobuf and gRPC, that keeps what it receives for tests to read.

All tests use it as their backend, behind programs and behind Collectors.
"""

import gzip
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent import futures
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.logs.v1 import logs_service_pb2
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2

from servers.otlp_records import (
    ReceivedLog,
    ReceivedPoint,
    ReceivedSpan,
    frozen_of,
    log_of,
    points_of,
    span_of,
)
from waiting import PATIENCE_S

_SIGNALS = {
    "traces": (trace_service_pb2.ExportTraceServiceRequest, trace_service_pb2.ExportTraceServiceResponse),
    "metrics": (metrics_service_pb2.ExportMetricsServiceRequest, metrics_service_pb2.ExportMetricsServiceResponse),
    "logs": (logs_service_pb2.ExportLogsServiceRequest, logs_service_pb2.ExportLogsServiceResponse),
}
_GRPC_PATHS = {
    "/opentelemetry.proto.collector.trace.v1.TraceService/Export": "traces",
    "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export": "metrics",
    "/opentelemetry.proto.collector.logs.v1.LogsService/Export": "logs",
}


@dataclass(frozen=True)
class Request:
    """One request as it arrived: its path, its headers (names in lower case), its message and its bytes."""

    path: str
    headers: dict[str, str]
    message: Any
    body: bytes


class OtlpReceiver:
    """The receiver; a context manager. Set ``answer_status`` to make it fail, ``answer_delay_s`` to make it slow.

    ``refused`` counts the requests that it failed because of ``answer_status``; it keeps nothing of them.
    """

    def __init__(self) -> None:
        """Describe the receiver; ``start`` or ``with`` opens its ports."""
        self.host = "127.0.0.1"
        self.answer_status = 200
        self.answer_delay_s = 0.0
        self.refused = 0
        self._changed = threading.Condition()
        self._requests: dict[str, list[Request]] = {signal: [] for signal in _SIGNALS}
        self._span_names: Counter[str] = Counter()
        self._http: ThreadingHTTPServer | None = None
        self._grpc: Any = None
        self._grpc_port = 0

    def __enter__(self) -> "OtlpReceiver":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Open the HTTP port."""
        self._http = _Server((self.host, 0), _handler_for(self))
        threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True, name="otlp-receiver").start()

    def stop(self) -> None:
        """Close the ports."""
        if self._http is not None:
            self._http.shutdown()
            self._http.server_close()
        if self._grpc is not None:
            self._grpc.stop(None).wait()

    @property
    def endpoint(self) -> str:
        """The base URL for OTLP over HTTP."""
        assert self._http is not None, "the receiver is not running"
        return f"http://{self.host}:{self._http.server_address[1]}"

    @property
    def grpc_endpoint(self) -> str:
        """The URL for OTLP over gRPC; the port opens on first use."""
        if self._grpc is None:
            self._start_grpc()
        return f"http://{self.host}:{self._grpc_port}"

    def environment(self, *, protocol: str = "http/protobuf") -> dict[str, str]:
        """Build the environment variables that make a program export here, quickly."""
        return {
            "OTEL_EXPORTER_OTLP_ENDPOINT": self.grpc_endpoint if protocol == "grpc" else self.endpoint,
            "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
            "OTEL_EXPORTER_OTLP_INSECURE": "true",
            "OTEL_TRACES_EXPORTER": "otlp",
            "OTEL_METRICS_EXPORTER": "otlp",
            "OTEL_LOGS_EXPORTER": "otlp",
            "OTEL_BSP_SCHEDULE_DELAY": "100",
            "OTEL_BLRP_SCHEDULE_DELAY": "100",
            "OTEL_METRIC_EXPORT_INTERVAL": "500",
        }

    def clear(self) -> None:
        """Forget everything received."""
        with self._changed:
            self._span_names.clear()
            for requests in self._requests.values():
                requests.clear()

    def raw_bytes(self) -> bytes:
        """Return everything received, unpacked and as it was on the wire, to search for what must not be there."""
        return b"\0".join(request.body for request in self.requests())

    def requests(self) -> list[Request]:
        """List all requests that were accepted, by signal."""
        with self._changed:
            return [request for requests in self._requests.values() for request in requests]

    def span_names(self) -> Counter[str]:
        """Count the spans by name, which is cheaper than ``spans`` when thousands arrive."""
        with self._changed:
            return self._span_names.copy()

    def spans(self, name: str | None = None, *, scope: str | None = None) -> list[ReceivedSpan]:
        """List spans in order of their start."""
        found = [
            span_of(span, scoped, resourced)
            for request in self._snapshot("traces")
            for resourced in request.resource_spans
            for scoped in resourced.scope_spans
            for span in scoped.spans
        ]
        chosen = [span for span in found if name in (None, span.name) and scope in (None, span.scope)]
        return sorted(chosen, key=lambda span: span.start_ns)

    def points(self, metric: str | None = None, *, latest: bool = True) -> list[ReceivedPoint]:
        """List data points: the latest of each series, or every one received."""
        found = [
            point
            for request in self._snapshot("metrics")
            for resourced in request.resource_metrics
            for scoped in resourced.scope_metrics
            for one in scoped.metrics
            if metric in (None, one.name)
            for point in points_of(one, scoped, resourced)
        ]
        if not latest:
            return found
        newest: dict[Any, ReceivedPoint] = {}
        for point in sorted(found, key=lambda point: point.time_ns):
            series = (point.metric, frozen_of(point.attributes), frozen_of(point.resource), point.scope)
            newest[series] = point
        return list(newest.values())

    def logs(self, event_name: str | None = None) -> list[ReceivedLog]:
        """List log records, or the events of one name."""
        found = [
            log_of(record, scoped, resourced)
            for request in self._snapshot("logs")
            for resourced in request.resource_logs
            for scoped in resourced.scope_logs
            for record in scoped.log_records
        ]
        return [record for record in found if event_name in (None, record.event_name)]

    def wait_for(
        self, condition: Callable[["OtlpReceiver"], Any], what: str = "telemetry", timeout_s: float = PATIENCE_S
    ) -> Any:
        """Wait until ``condition(receiver)`` is truthy, and return what it returned."""
        deadline = time.monotonic() + timeout_s
        with self._changed:
            while not (result := condition(self)):
                if not self._changed.wait(max(0.0, deadline - time.monotonic())) and time.monotonic() >= deadline:
                    got = {path: len(requests) for path, requests in self._requests.items()}
                    names = sorted({span.name for span in self.spans()})[:20]
                    message = f"no {what} within {timeout_s} s; requests: {got}, spans: {names}"
                    raise AssertionError(message)
            return result

    def take(self, signal: str, body: bytes, path: str = "", headers: Mapping[str, str] | None = None) -> int:
        """Keep one request and return the HTTP status that answers it."""
        if self.answer_delay_s:
            time.sleep(self.answer_delay_s)
        with self._changed:
            if self.answer_status == 200:
                message = _SIGNALS[signal][0].FromString(body)
                small = {name.lower(): value for name, value in (headers or {}).items()}
                self._requests[signal].append(Request(path, small, message, body))
                if signal == "traces":
                    scopes = (scope for resource in message.resource_spans for scope in resource.scope_spans)
                    self._span_names.update(span.name for scope in scopes for span in scope.spans)
            else:
                self.refused += 1
            self._changed.notify_all()
            return self.answer_status

    def _snapshot(self, signal: str) -> Sequence[Any]:
        with self._changed:
            return [request.message for request in self._requests[signal]]

    def _start_grpc(self) -> None:
        import grpc

        receiver = self

        class Handler(grpc.GenericRpcHandler):  # type: ignore[misc]
            def service(self, details: Any) -> Any:
                signal = _GRPC_PATHS.get(details.method)
                return signal and grpc.unary_unary_rpc_method_handler(lambda body, ctx: answer(signal, body, ctx))

        def answer(signal: str, body: bytes, context: Any) -> bytes:
            if receiver.take(signal, body) != 200:
                context.abort(grpc.StatusCode.UNAVAILABLE, "told to fail")
            return _SIGNALS[signal][1]().SerializeToString()

        self._grpc = grpc.server(futures.ThreadPoolExecutor(4))
        self._grpc.add_generic_rpc_handlers((Handler(),))
        self._grpc_port = self._grpc.add_insecure_port(f"{self.host}:0")
        self._grpc.start()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False


def _handler_for(receiver: OtlpReceiver) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            # Backends put their own prefix before the path, such as Loki's /otlp/v1/logs.
            signal = self.path.rpartition("/v1/")[2]
            status = receiver.take(signal, body, self.path, self.headers) if signal in _SIGNALS else 404
            answer = _SIGNALS[signal][1]().SerializeToString() if status == 200 else b""
            self.send_response(status)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            """Stay silent."""

    return Handler
