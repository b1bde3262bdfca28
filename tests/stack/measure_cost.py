"""Measure the cost of a span in each kind of Collector, for docs/scaling.md: CPU time, memory, queue on disk.

Usage: PYTHONPATH=tests python tests/stack/measure_cost.py [SECONDS]

The measure is CPU time per span and not spans per second, because the program that makes the load shares the machine.
"""

from __future__ import annotations

import http.client
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import psutil
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from stack.native.collector import Collector
from stack.native.stack import Tools

SPANS_PER_REQUEST = 500
SPANS_PER_TRACE = 10
TRACE_MARK = b"\xabredispa"
CASES: dict[str, list[str]] = {
    "base alone (redaction, span metrics, service graph)": [],
    "base + OTLP over gRPC with the queue on disk": ["backends/otlp-grpc"],
    "the same + tail sampling": ["backends/otlp-grpc", "overlays/tail-sampling"],
    "agent (queue on disk, load balancing by trace)": ["scale/agent", "scale/resolver-static"],
}


def main() -> None:
    """Print one line per case."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 10.0
    print(f"{'case':<55} {'spans/s':>9} {'us CPU/span':>12} {'spans/s/core':>13} {'RSS MB':>7}")
    for case, files in CASES.items():
        with ExitStack() as running:
            folder = Path(running.enter_context(tempfile.TemporaryDirectory()))
            tools = Tools()
            end = running.enter_context(Collector(tools, folder, [], name="end"))
            addresses = {
                "OTLP_GRPC_ENDPOINT": end.grpc_address, "OTLP_PLAINTEXT": "true",
                "GATEWAYS": f"[{end.grpc_address}]", "GATEWAY_ENDPOINT": end.grpc_address,
                "OTELCOL_QUEUE_ITEMS": "1000000",
            }  # fmt: skip
            measured = running.enter_context(Collector(tools, folder, files, addresses, name="measured"))
            sent, cpu_s, rss_mb, took_s = load(measured, seconds)
        print(
            f"{case:<55} {sent / took_s:>9.0f} {cpu_s / sent * 1e6:>12.1f} {sent / cpu_s:>13.0f} {rss_mb:>7.0f}",
            flush=True,
        )


def load(collector: Collector, seconds: float) -> tuple[int, float, float, float]:
    """Send for some seconds, wait until the queue is empty, and return spans, CPU seconds, memory and time."""
    process = psutil.Process(collector.program.pid)
    connection = http.client.HTTPConnection("127.0.0.1", collector.http_port)
    body = request_body()
    post(connection, body)
    time.sleep(1)
    before, start, sent = cpu(process), time.monotonic(), 0
    while time.monotonic() < start + seconds:
        # New traces each time, because a sampler remembers its decision on the old ones.
        post(connection, body.replace(TRACE_MARK, sent.to_bytes(len(TRACE_MARK), "big")))
        sent += SPANS_PER_REQUEST
    took_s = time.monotonic() - start
    rss_mb = process.memory_info().rss / 1e6
    last = -1.0
    while cpu(process) - last > 0.05:  # the queue drains
        last = cpu(process)
        time.sleep(1)
    return sent, cpu(process) - before, rss_mb, took_s


def cpu(process: psutil.Process) -> float:
    """Return the CPU seconds used so far."""
    times = process.cpu_times()
    return float(times.user + times.system)


def post(connection: http.client.HTTPConnection, body: bytes) -> None:
    """Send one request and check that it is accepted."""
    connection.request("POST", "/v1/traces", body, {"Content-Type": "application/x-protobuf"})
    reply = connection.getresponse()
    reply.read()
    if reply.status != 200:
        raise SystemExit(f"refused with {reply.status}")


def request_body() -> bytes:
    """Build spans like redispan's: ten in a trace, eight attributes each."""
    request = ExportTraceServiceRequest()
    resource = request.resource_spans.add()
    for key, value in (("service.name", "shop"), ("service.instance.id", "1")):
        pair = resource.resource.attributes.add()
        pair.key, pair.value.string_value = key, value
    scope = resource.scope_spans.add()
    scope.scope.name = "redispan"
    now_ns = time.time_ns()
    texts = {
        "db.system.name": "redis", "db.operation.name": "GET", "db.namespace": "0", "server.address": "redis",
        "db.query.text": "GET ?", "network.peer.address": "::1", "network.peer.port": "6379", "server.port": "6379",
    }  # fmt: skip
    for index in range(SPANS_PER_REQUEST):
        span = scope.spans.add()
        span.trace_id = TRACE_MARK + (index // SPANS_PER_TRACE + 1).to_bytes(8, "big")
        span.span_id = (index + 1).to_bytes(8, "big")
        span.name, span.kind = "GET redis:6379", 3
        span.start_time_unix_nano, span.end_time_unix_nano = now_ns - 400_000, now_ns
        for key, value in texts.items():
            pair = span.attributes.add()
            pair.key, pair.value.string_value = key, value
    return bytes(request.SerializeToString())


if __name__ == "__main__":
    main()
