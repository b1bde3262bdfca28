"""Read the OTLP receiver: how many spans and measurements it has of each operation, and from which process."""

from collections import Counter

from servers.otlp_receiver import OtlpReceiver
from servers.otlp_records import ReceivedSpan

OURS = "redispan"
CONTRIB = "opentelemetry.instrumentation.redis"
DURATION = "db.client.operation.duration"
INSTANCE = "service.instance.id"


def redis_spans(receiver: OtlpReceiver) -> list[ReceivedSpan]:
    """List the spans of any Redis instrumentation."""
    return [span for span in receiver.spans() if span.scope in (OURS, CONTRIB)]


def operation_of(span: ReceivedSpan) -> str:
    """Return the operation that one of redispan's spans describes."""
    return str(span.attributes["db.operation.name"])


def spans_by_operation(receiver: OtlpReceiver) -> Counter[str]:
    """Count redispan's spans by operation."""
    return Counter(operation_of(span) for span in receiver.spans(scope=OURS))


def measurements_by_operation(receiver: OtlpReceiver) -> Counter[str]:
    """Add up redispan's histogram counts by operation, over all processes."""
    found: Counter[str] = Counter()
    for point in receiver.points(DURATION):
        if point.scope == OURS:
            found[str(point.attributes["db.operation.name"])] += point.count
    return found


def instances(receiver: OtlpReceiver) -> set[str]:
    """List the processes that sent redispan's spans and measurements."""
    spans = {str(span.resource[INSTANCE]) for span in receiver.spans(scope=OURS)}
    points = {str(point.resource[INSTANCE]) for point in receiver.points() if point.scope == OURS}
    return spans | points
