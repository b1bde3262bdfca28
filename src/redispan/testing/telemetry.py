"""In-memory telemetry for tests of programs that use redispan, with methods that tests query it by.

It needs the OpenTelemetry SDK.
"""

from collections.abc import Mapping
from typing import Any

from opentelemetry.sdk import _logs as sdk_logs
from opentelemetry.sdk._logs import export as log_export
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import Sampler

# The class has its present name since SDK 1.39, and redispan also supports SDK 1.38.
_InMemoryLogs: Any = getattr(log_export, "InMemoryLogRecordExporter", None) or log_export.InMemoryLogExporter


class TelemetryInMemory:
    """One tracer, meter and logger provider that keep in memory everything they receive.

    Attributes:
        tracer_provider: The SDK's tracer provider.
        meter_provider: The SDK's meter provider.
        logger_provider: The SDK's logger provider.
    """

    def __init__(self, sampler: Sampler | None = None) -> None:
        """Create the providers.

        Args:
            sampler: Decides which spans are recorded; by default all are.
        """
        resource = Resource.create({"service.name": "under-test"})
        self._span_exporter = InMemorySpanExporter()
        self._log_exporter = _InMemoryLogs()
        self._reader = InMemoryMetricReader()
        self.tracer_provider = TracerProvider(resource=resource, sampler=sampler, shutdown_on_exit=False)
        self.tracer_provider.add_span_processor(SimpleSpanProcessor(self._span_exporter))
        self.meter_provider = MeterProvider([self._reader], resource=resource, shutdown_on_exit=False)
        self.logger_provider = sdk_logs.LoggerProvider(resource=resource, shutdown_on_exit=False)
        self.logger_provider.add_log_record_processor(log_export.SimpleLogRecordProcessor(self._log_exporter))

    @property
    def providers(self) -> dict[str, Any]:
        """The keyword arguments of ``instrument()``: ``instrument(**telemetry.providers)``."""
        return {
            "tracer_provider": self.tracer_provider,
            "meter_provider": self.meter_provider,
            "logger_provider": self.logger_provider,
        }

    def spans(self, name: str | None = None) -> list[ReadableSpan]:
        """Return the ended spans, in the order in which they ended; with ``name``, only the spans of that name."""
        return [span for span in self._span_exporter.get_finished_spans() if name in (None, span.name)]

    def span(self, name: str | None = None) -> ReadableSpan:
        """Return the only span; with ``name``, the only span of that name.

        Raises:
            AssertionError: There is no such span, or more than one.
        """
        found = self.spans(name)
        assert len(found) == 1, f"{len(found)} spans, not one: {[span.name for span in self.spans()]}"
        return found[0]

    def metrics(self) -> dict[str, Any]:
        """Collect the metrics, and return each by its name."""
        data = self._reader.get_metrics_data()
        if data is None:
            return {}
        return {
            metric.name: metric
            for resourced in data.resource_metrics
            for scoped in resourced.scope_metrics
            for metric in scoped.metrics
        }

    def metric(self, name: str) -> list[Any]:
        """Collect the metrics, and return the data points of one: an empty list if it has no measurement."""
        metric = self.metrics().get(name)
        return [] if metric is None else list(metric.data.data_points)

    def value(self, name: str, attributes: Mapping[str, Any] | None = None) -> float:
        """Collect the metrics, and sum the points with these attributes: a counter's value, a histogram's count."""
        wanted = (attributes or {}).items()
        points = [point for point in self.metric(name) if wanted <= dict(point.attributes).items()]
        return float(sum(point.count if hasattr(point, "count") else point.value for point in points))

    def logs(self) -> list[Any]:
        """Return the log records, events included, as the SDK keeps them for export."""
        return [getattr(data, "log_record", data) for data in self._log_exporter.get_finished_logs()]

    def events(self, name: str | None = None) -> list[Any]:
        """Return the log records that are events; with ``name``, only the events of that name."""
        return [record for record in self.logs() if record.event_name and name in (None, record.event_name)]

    def clear(self) -> None:
        """Discard the spans and log records so far. Metrics are cumulative and stay."""
        self._span_exporter.clear()
        self._log_exporter.clear()

    def close(self) -> None:
        """Shut the providers down."""
        for provider in (self.tracer_provider, self.meter_provider, self.logger_provider):
            provider.shutdown()
