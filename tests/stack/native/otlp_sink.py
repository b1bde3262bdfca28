"""A backend that we control: takes OTLP over HTTP, remembers what came, and can be out of order for a while."""

from __future__ import annotations

import gzip
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

REQUESTS = {
    "traces": ExportTraceServiceRequest,
    "otlp": ExportTraceServiceRequest,
    "metrics": ExportMetricsServiceRequest,
    "logs": ExportLogsServiceRequest,
}


class OtlpSink:
    """An OTLP/HTTP server on loopback."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, str], Any]] = []
        self.out_of_order = False
        self.refused = 0
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> OtlpSink:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    @property
    def url(self) -> str:
        """Its base address."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def spans(self) -> Iterator[Any]:
        """Every span that has come, in order of arrival."""
        for _, _, message in self._messages("resource_spans"):
            for resource in message.resource_spans:
                for scope in resource.scope_spans:
                    yield from scope.spans

    def metrics(self) -> Iterator[Any]:
        """Every metric that has come."""
        for _, _, message in self._messages("resource_metrics"):
            for resource in message.resource_metrics:
                for scope in resource.scope_metrics:
                    yield from scope.metrics

    def log_records(self) -> Iterator[Any]:
        """Every log record that has come."""
        for _, _, message in self._messages("resource_logs"):
            for resource in message.resource_logs:
                for scope in resource.scope_logs:
                    yield from scope.log_records

    def span_names(self) -> Counter[str]:
        """How often each span name has come."""
        return Counter(span.name for span in self.spans())

    def _messages(self, field: str) -> list[tuple[str, dict[str, str], Any]]:
        with self._lock:
            return [entry for entry in self.requests if field in entry[2].DESCRIPTOR.fields_by_name]

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        sink = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = sink._take(self.path, dict(self.headers), body)
                self.send_response(status)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Stays quiet."""

        return Handler

    def _take(self, path: str, headers: dict[str, str], body: bytes) -> int:
        with self._lock:
            if self.out_of_order:
                self.refused += 1
                return 503
            message = REQUESTS[path.rsplit("/", 1)[-1]]()
            message.ParseFromString(gzip.decompress(body) if headers.get("Content-Encoding") == "gzip" else body)
            self.requests.append((path, {key.lower(): value for key, value in headers.items()}, message))
            return 200
