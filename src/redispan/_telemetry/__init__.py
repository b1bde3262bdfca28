"""The output to OpenTelemetry: spans, instruments, events and the span processor.

Belongs here: everything that calls the OpenTelemetry API to emit telemetry. Must not be here: redis-py, statistics, or
the decision which operations are slow. Only ``slow_span_processor`` imports the OpenTelemetry SDK.
"""
