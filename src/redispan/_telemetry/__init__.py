"""Who is told: the only package that talks to OpenTelemetry.

Belongs here: spans, instruments, events and the span processor. Must not be here: redis-py, thresholds' meaning,
statistics. The OpenTelemetry SDK is imported in ``slow_spans`` alone.
"""
