"""A program uses Redis before and after a fork, and no telemetry is emitted twice."""

import sys
from collections import Counter
from pathlib import Path

import pytest

from e2e.reading import INSTANCE, OURS, instances, measurements_by_operation, operation_of
from servers.otlp_receiver import OtlpReceiver
from zero_code import Launcher

pytestmark = pytest.mark.e2e

BEFORE, AFTER, CHILDREN = 10, 5, 3


def test_a_fork_in_the_middle(launcher: Launcher, otlp_receiver: OtlpReceiver, tmp_path: Path) -> None:
    """Spans, self-metrics, and measurements made after the fork are exact in every process.

    The SDK itself copies a cumulative histogram into the child, so each child reports the measurements from before the
    fork again. An instrumentation cannot prevent this, so the test looks at ``HINCRBY``.
    """
    # From 3.12 on, Python itself warns about a fork in a process with threads, and the SDK's exporters have some.
    quiet = {"PYTHONWARNINGS": "ignore:This process:DeprecationWarning"}
    with launcher.running(tmp_path / "log", sys.executable, "forks.py", BEFORE, AFTER, CHILDREN, variables=quiet):
        otlp_receiver.wait_for(lambda r: len(r.spans(scope=OURS)) >= BEFORE + CHILDREN * AFTER, "spans")
        otlp_receiver.wait_for(lambda r: measurements_by_operation(r)["HINCRBY"] >= CHILDREN * AFTER, "measurements")
        otlp_receiver.wait_for(lambda r: len(own_counts(r)) >= 1 + CHILDREN, "self-metrics")
    spans = Counter((operation_of(s), s.resource[INSTANCE]) for s in otlp_receiver.spans(scope=OURS))
    assert sorted((operation, count) for (operation, _), count in spans.items()) == [
        *[("HINCRBY", AFTER)] * CHILDREN,
        ("INCRBY", BEFORE),
    ]
    assert measurements_by_operation(otlp_receiver)["HINCRBY"] == CHILDREN * AFTER
    assert own_counts(otlp_receiver) == [AFTER, AFTER, AFTER, BEFORE]
    assert len(instances(otlp_receiver)) == 1 + CHILDREN
    assert (tmp_path / "log").read_text() == ""


def own_counts(receiver: OtlpReceiver) -> list[int]:
    """List how many recorded operations each process reports."""
    return sorted(int(point.value) for point in receiver.points("redis.client.operations") if point.scope == OURS)
