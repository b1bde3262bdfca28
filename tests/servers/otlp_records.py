"""Telemetry that arrived over OTLP, decoded into plain records that a test can compare."""

from dataclasses import dataclass
from typing import Any

SPAN_KINDS = ("UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER")
STATUS_CODES = ("UNSET", "OK", "ERROR")
TEMPORALITIES = ("UNSPECIFIED", "DELTA", "CUMULATIVE")


@dataclass(frozen=True)
class ReceivedSpan:
    """One span as it arrived."""

    name: str
    kind: str
    trace_id: str
    span_id: str
    parent_span_id: str
    attributes: dict[str, Any]
    status: str
    status_description: str
    start_ns: int
    end_ns: int
    events: list[tuple[str, dict[str, Any]]]
    links: list[str]
    scope: str
    scope_version: str
    schema_url: str
    resource: dict[str, Any]

    @property
    def duration_ms(self) -> float:
        """The duration in milliseconds."""
        return (self.end_ns - self.start_ns) / 1e6


@dataclass(frozen=True)
class ReceivedPoint:
    """One data point of a metric; ``value`` is the sum for a histogram, ``count`` its number of measurements."""

    metric: str
    kind: str
    unit: str
    attributes: dict[str, Any]
    value: float
    count: int
    bounds: list[float]
    bucket_counts: list[int]
    exemplar_trace_ids: list[str]
    temporality: str
    start_ns: int
    time_ns: int
    scope: str
    resource: dict[str, Any]


@dataclass(frozen=True)
class ReceivedLog:
    """One log record; ``event_name`` is empty for an ordinary one."""

    event_name: str
    body: Any
    severity: str
    severity_number: int
    attributes: dict[str, Any]
    trace_id: str
    span_id: str
    time_ns: int
    scope: str
    resource: dict[str, Any]


def span_of(span: Any, scoped: Any, resourced: Any) -> ReceivedSpan:
    """Decode one span."""
    return ReceivedSpan(
        name=span.name,
        kind=SPAN_KINDS[span.kind],
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_span_id=span.parent_span_id.hex(),
        attributes=_attributes(span.attributes),
        status=STATUS_CODES[span.status.code],
        status_description=span.status.message,
        start_ns=span.start_time_unix_nano,
        end_ns=span.end_time_unix_nano,
        events=[(event.name, _attributes(event.attributes)) for event in span.events],
        links=[link.span_id.hex() for link in span.links],
        scope=scoped.scope.name,
        scope_version=scoped.scope.version,
        schema_url=scoped.schema_url,
        resource=_attributes(resourced.resource.attributes),
    )


def points_of(metric: Any, scoped: Any, resourced: Any) -> list[ReceivedPoint]:
    """Decode the data points of one metric of any kind."""
    kind = metric.WhichOneof("data")
    return [
        ReceivedPoint(
            metric=metric.name,
            kind=kind,
            unit=metric.unit,
            attributes=_attributes(point.attributes),
            value=point.sum if "histogram" in kind else getattr(point, point.WhichOneof("value")),
            count=point.count if "histogram" in kind else 1,
            bounds=list(getattr(point, "explicit_bounds", ())),
            bucket_counts=list(getattr(point, "bucket_counts", ())),
            exemplar_trace_ids=[exemplar.trace_id.hex() for exemplar in point.exemplars],
            temporality=TEMPORALITIES[getattr(getattr(metric, kind), "aggregation_temporality", 0)],
            start_ns=point.start_time_unix_nano,
            time_ns=point.time_unix_nano,
            scope=scoped.scope.name,
            resource=_attributes(resourced.resource.attributes),
        )
        for point in getattr(metric, kind).data_points
    ]


def log_of(record: Any, scoped: Any, resourced: Any) -> ReceivedLog:
    """Decode one log record."""
    return ReceivedLog(
        event_name=record.event_name,
        body=_value(record.body),
        severity=record.severity_text,
        severity_number=record.severity_number,
        attributes=_attributes(record.attributes),
        trace_id=record.trace_id.hex(),
        span_id=record.span_id.hex(),
        time_ns=record.time_unix_nano,
        scope=scoped.scope.name,
        resource=_attributes(resourced.resource.attributes),
    )


def _attributes(pairs: Any) -> dict[str, Any]:
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    if kind is None:
        return None
    if kind == "array_value":
        return [_value(item) for item in value.array_value.values]
    if kind == "kvlist_value":
        return _attributes(value.kvlist_value.values)
    return getattr(value, kind)


def frozen_of(attributes: dict[str, Any]) -> Any:
    """Make attributes usable as a key."""
    return frozenset((key, repr(value)) for key, value in attributes.items())
