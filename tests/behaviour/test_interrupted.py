"""A signal handler or a destructor may call Redis at any line, also inside redispan: nothing hangs."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = [pytest.mark.redis, pytest.mark.skipif(sys.platform == "win32", reason="no interval timer there")]

PROGRAM = """
import signal, sys
import redis
from opentelemetry.metrics import NoOpMeterProvider
from redispan import RedispanInstrumentor, Settings, performance_report

# Everything is slow and many things fail, so that every part of ours has something to do all the time.
settings = Settings(slow_alert_ms=0.001, slow_log_ms=0.001, host_sharing=False)
RedispanInstrumentor().instrument(settings=settings, meter_provider=NoOpMeterProvider())
url = sys.argv[1]
used, interrupting = redis.Redis.from_url(url), redis.Redis.from_url(url)
interrupting.set("text", "x")
sent, busy = {"handler": 0, "program": 0}, False

def interrupted(*_):
    global busy
    if busy:
        return
    busy = True
    try:
        sent["handler"] += 1
        interrupting.lpush("text", "y")
    except redis.ResponseError:
        pass
    finally:
        busy = False

signal.signal(signal.SIGALRM, interrupted)
signal.setitimer(signal.ITIMER_REAL, 0.0004, 0.0004)
while sent["handler"] < 1000:
    for call in (used.get, used.incr, used.strlen):
        try:
            sent["program"] += 1
            call("text")
        except redis.ResponseError:
            pass
    if sent["program"] % 30 == 0:
        performance_report(scope="process")
signal.setitimer(signal.ITIMER_REAL, 0)
counted = performance_report(scope="process").totals.operations
print(sent["handler"], sent["program"], counted)
"""


def test_redis_called_from_a_signal_handler(redis_url: str) -> None:
    """A program that is interrupted thousands of times a second, at any line, ends.

    The report counts its operations.
    """
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM, redis_url], capture_output=True, text=True, timeout=60, check=True
    )
    handler, program, counted = map(int, ran.stdout.split())
    assert handler >= 1000
    # A command that the handler sends during one of the program's operations counts as a part of it, as in a script.
    assert program + 1 <= counted <= program + handler + 1
