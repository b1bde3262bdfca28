"""The telemetry receivers of the other tests: they return what a program sent, over both protocols and in memory."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from redispan.testing import TelemetryInMemory
from servers.otlp_receiver import OtlpReceiver

PROGRAM = """
from opentelemetry import _logs, metrics, trace

with trace.get_tracer("tracer", "1.2").start_as_current_span("work", attributes={"text": "x", "list": [1, 2]}) as span:
    span.add_event("happened", {"n": 1})
    metrics.get_meter("meter").create_histogram("size", unit="By").record(20, {"kind": "a"})
    metrics.get_meter("meter").create_counter("calls").add(3)
    _logs.get_logger("logger").emit(event_name="noted", body="words", attributes={"q": 1}, timestamp=5)
"""


@pytest.mark.e2e
@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_receiver_reads_what_a_program_sent(otlp_receiver: OtlpReceiver, protocol: str):
    """A zero-code program's span, metrics and event arrive whole, with matching ids."""
    environment = {**os.environ, **otlp_receiver.environment(protocol=protocol), "OTEL_SERVICE_NAME": "sender"}
    cli = Path(sys.executable).with_name("opentelemetry-instrument")
    done = subprocess.run(
        [cli, sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    (span,) = otlp_receiver.wait_for(lambda receiver: receiver.spans("work"), "span")
    assert (span.kind, span.status, span.scope, span.scope_version) == ("INTERNAL", "UNSET", "tracer", "1.2")
    assert span.attributes == {"text": "x", "list": [1, 2]}
    assert span.events == [("happened", {"n": 1})]
    assert span.resource["service.name"] == "sender"
    (point,) = otlp_receiver.wait_for(lambda receiver: receiver.points("size"), "metric")
    assert (point.kind, point.unit, point.value, point.count) == ("histogram", "By", 20, 1)
    # An exemplar is exported once: in the first export, if there was time for more than one.
    points = otlp_receiver.points("size", latest=False)
    assert [trace_id for one in points for trace_id in one.exemplar_trace_ids] == [span.trace_id]
    assert [point.value for point in otlp_receiver.points("calls")] == [3]
    (event,) = otlp_receiver.wait_for(lambda receiver: receiver.logs("noted"), "event")
    assert (event.body, event.attributes, event.time_ns) == ("words", {"q": 1}, 5)
    assert (event.trace_id, event.span_id) == (span.trace_id, span.span_id)
    assert b"happened" in otlp_receiver.raw_bytes()


def test_receiver_can_fail(otlp_receiver: OtlpReceiver):
    """A receiver that is set to fail answers with a failure, and keeps nothing."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExportResult

    otlp_receiver.answer_status = 400
    exporter = OTLPSpanExporter(endpoint=f"{otlp_receiver.endpoint}/v1/traces")
    span = TracerProvider(shutdown_on_exit=False).get_tracer("t").start_span("lost")
    span.end()
    assert exporter.export([span]) is SpanExportResult.FAILURE
    assert otlp_receiver.spans() == []
    otlp_receiver.answer_status = 200
    assert exporter.export([span]) is SpanExportResult.SUCCESS
    assert [span.name for span in otlp_receiver.spans()] == ["lost"]


def test_waiting_in_vain_says_what_came(otlp_receiver: OtlpReceiver):
    """A wait that ends without the telemetry lists what was received instead."""
    with pytest.raises(AssertionError, match="no span of mine within"):
        otlp_receiver.wait_for(lambda receiver: receiver.spans("mine"), "span of mine", timeout_s=0.05)


def test_memory_keeps_all_three_signals(telemetry: TelemetryInMemory):
    """Spans, metrics and events are found by name, with their values."""
    with telemetry.tracer_provider.get_tracer("t").start_as_current_span("work"):
        meter = telemetry.meter_provider.get_meter("m")
        meter.create_counter("calls").add(2, {"kind": "a"})
        meter.create_histogram("size").record(7, {"kind": "a"})
        telemetry.logger_provider.get_logger("l").emit(event_name="noted", body="words")
    assert telemetry.span().name == "work"
    assert telemetry.value("calls") == 2
    assert telemetry.value("calls", {"kind": "other"}) == 0
    assert telemetry.value("size", {"kind": "a"}) == 1
    (event,) = telemetry.events("noted")
    assert event.span_id == telemetry.span("work").context.span_id
    assert telemetry.metric("absent") == []
