"""Which threads redispan has, and when.

It has none before the first operation, few daemon threads after it, and none where they are switched off.
"""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import redis

from redispan import RedispanInstrumentor
from redispan._client.probe import targets
from redispan._runtime.runtime import current
from redispan.testing import TelemetryInMemory
from waiting import wait_until
from zero_code import free_port

pytestmark = pytest.mark.redis

Instrument = Callable[..., TelemetryInMemory]


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(targets, "_pools", {})
    monkeypatch.setattr(targets, "_moving", {})
    assert ours() == {}


def ours() -> dict[str, threading.Thread]:
    """Return redispan's running threads."""
    return {thread.name: thread for thread in threading.enumerate() if thread.name.startswith("redispan")}


def test_none_before_the_first_operation_and_daemons_after(
    redis_url: str, instrument: Instrument, tmp_path: Path
) -> None:
    """By default redispan has neither thread nor file until a program uses Redis.

    Then it has the thread that answers sibling processes and the one that probes, both daemons.
    """
    instrument(runtime_dir=str(tmp_path))
    client = redis.Redis.from_url(redis_url)
    assert ours() == {}
    assert list(tmp_path.iterdir()) == []
    client.ping()
    wait_until(lambda: set(ours()) == {"redispan-member", "redispan-probe"}, "the two threads")
    assert all(thread.daemon for thread in ours().values())
    client.close()
    RedispanInstrumentor().uninstrument()
    assert ours() == {}


def test_none_at_all_where_nobody_wants_one(redis_url: str, instrument: Instrument, tmp_path: Path) -> None:
    """Without sharing, probe and port, redispan has no thread and no file, and the reports still work."""
    instrument(runtime_dir=str(tmp_path), host_sharing=False, server_probe=False)
    with redis.Redis.from_url(redis_url) as client:
        for _ in range(3):
            current().alerting.evaluated_ns = 0
            for observer in current().figures.observers:
                observer.tick_soon()
            client.ping()
    assert ours() == {}
    assert list(tmp_path.iterdir()) == []
    assert current().snapshot()["endpoints"]


def test_all_of_them_end_with_the_instrumentation(redis_url: str, instrument: Instrument, tmp_path: Path) -> None:
    """With everything on that uses a thread, no thread is left when ``uninstrument()`` returns."""
    dead = f"http://127.0.0.1:{free_port()}/"
    instrument(
        runtime_dir=str(tmp_path),
        host_sharing=True,
        monitoring_port=free_port(),
        alert_webhook=dead,
        slow_log_ms=0,
        slow_alert_ms=0.000_001,
    )
    names = {"redispan-member", "redispan-probe", "redispan-monitoring", "redispan-alert-webhook"}
    with redis.Redis.from_url(redis_url) as client:
        client.ping()
        wait_until(lambda: set(ours()) == names, "all four threads")
    RedispanInstrumentor().uninstrument()
    assert ours() == {}
