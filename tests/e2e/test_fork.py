"""Redis used before and after a fork: nothing is told twice."""

from collections import Counter

import pytest

from e2e.launcher import Launcher
from e2e.reading import INSTANCE, OURS, instances, measurements_by_operation, operation_of
from servers.otlp_receiver import OtlpReceiver

pytestmark = pytest.mark.e2e

BEFORE, AFTER, CHILDREN = 10, 5, 3


def test_a_fork_in_the_middle(launcher: Launcher, otlp_receiver: OtlpReceiver) -> None:
    """Spans, self-metrics, and measurements made after the fork are exact in every process.

    The SDK itself carries a cumulative histogram over into the child, so what was measured before the fork is reported
    by each child again; nothing that an instrumentation can do, and the reason why this test looks at ``HINCRBY``.
    """
    finished = launcher.run("forks.py", BEFORE, AFTER, CHILDREN)
    assert (finished.code, finished.err) == (0, "")
    spans = Counter((operation_of(s), s.resource[INSTANCE]) for s in otlp_receiver.spans(scope=OURS))
    assert sorted((operation, count) for (operation, _), count in spans.items()) == [
        *[("HINCRBY", AFTER)] * CHILDREN,
        ("INCRBY", BEFORE),
    ]
    assert measurements_by_operation(otlp_receiver)["HINCRBY"] == CHILDREN * AFTER
    own = [p for p in otlp_receiver.points("redis.client.operations") if p.scope == OURS]
    assert sorted(int(point.value) for point in own) == [AFTER, AFTER, AFTER, BEFORE]
    assert len(instances(otlp_receiver)) == 1 + CHILDREN
