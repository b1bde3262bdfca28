"""A program that calls one script again and again: at its usual pace, then slowly, then at its usual pace.

It lives faster than other programs do: its slices take a tenth of a second and not ten, and so on. All else of it is
ordinary, and nobody waits for an hour.
"""

import os
import sys
import time
from collections.abc import Callable
from typing import Any

import redis

import redispan
from redispan import insight
from redispan._insight import anomalies, observer
from redispan.host_sharing import baseline_file

SLICE_S = 0.1
insight.TICK_NS = observer.TICK_NS = int(SLICE_S * 1e9)
anomalies.SLICE_S = SLICE_S
baseline_file.WORTH_WRITING_S = 1.0

SPIN = """
local began = redis.call('TIME')
repeat
  local now = redis.call('TIME')
until (now[1] - began[1]) * 1000000 + now[2] - began[2] >= tonumber(ARGV[1])
return 1
"""
IN_A_SLICE = 22
USUAL_US, SLOW_US = 4_000, 50_000


def work(client: redis.Redis, micros: int, rounds: int, enough: Callable[[], bool] = lambda: False) -> None:
    for _ in range(rounds):
        until = time.monotonic() + SLICE_S
        for _ in range(IN_A_SLICE):
            client.eval(SPIN, 0, micros)
        time.sleep(max(0.0, until - time.monotonic()))
        if enough():
            return


def latency() -> Any:
    rows = redispan.performance_report("process").baselines
    return next((row for row in rows if row.command is None and row.figure == "latency"), None)


learned, usual, slow, usual_again = map(int, sys.argv[1:])
with redis.Redis.from_url(os.environ["REDIS_URL"]) as client:
    client.ping()
    time.sleep(1.5)  # what was learned before is read by a thread
    if learned:
        work(client, USUAL_US, 5 * learned, lambda: (row := latency()) is not None and row.slices >= learned)
    work(client, USUAL_US, usual)
    work(client, SLOW_US, slow, lambda: (row := latency()) is not None and row.firing)
    work(client, USUAL_US, usual_again, lambda: (row := latency()) is not None and not row.firing)
