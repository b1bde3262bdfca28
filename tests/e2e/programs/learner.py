"""A program that works at a steady pace, is slow for a while, and then as quick as before, on a clock of its own.

Arguments: slices of learning, usual slices, slow slices, usual slices again; it goes on as soon as the alert says so.

Its clock moves by what each answer is said to take, and by ten seconds after each slice. So nobody waits for an hour,
and how quick the machine is makes no difference. All else of it is ordinary.
"""

import os
import random
import sys
import threading
from collections.abc import Callable
from typing import Any

import redis

import redispan
from redispan._client.recording import recorder
from redispan._host import baseline_file
from redispan._insight import anomalies, observer
from redispan._runtime import runtime

IN_A_SLICE = 22
USUAL_NS, SLOW_NS = 4_000_000, 50_000_000


class Clock:
    """What redispan takes for the time."""

    def __init__(self, now_ns: int) -> None:
        self.now_ns = now_ns
        self.answer_ns = 0
        """What an answer takes, but for some chance."""

    def __call__(self) -> int:
        return self.now_ns


clock = recorder.perf_counter_ns = observer.perf_counter_ns = runtime.perf_counter_ns = Clock(
    recorder.perf_counter_ns()
)
chance = random.Random(1)


class FarAway(redis.Connection):
    """A connection whose answers take their time, on the program's clock."""

    def read_response(self, *args: Any, **kwargs: Any) -> Any:
        clock.now_ns += int(clock.answer_ns * chance.uniform(0.9, 1.1))
        return super().read_response(*args, **kwargs)


# A short life hands on what it has, too.
baseline_file.WORTH_WRITING_S = 0.0
known = threading.Event()
look = baseline_file.BaselineFile.__call__


def look_and_say(self: Any, folder: Any) -> None:
    look(self, folder)
    if folder is not None:
        known.set()


baseline_file.BaselineFile.__call__ = look_and_say


def work(client: redis.Redis, answer_ns: int, slices: int, enough: Callable[[], bool] = lambda: False) -> None:
    clock.answer_ns = answer_ns
    for _ in range(slices):
        for _ in range(IN_A_SLICE):
            client.get("k")
        clock.now_ns += int(anomalies.SLICE_S * 1e9)
        if enough():
            return


def latency() -> Any:
    rows = redispan.performance_report("process").baselines
    return next((row for row in rows if row.command is None and row.figure == "latency"), None)


learned, usual, slow, usual_again = map(int, sys.argv[1:])
with redis.Redis.from_url(os.environ["REDIS_URL"], connection_class=FarAway) as client:
    client.ping()
    assert known.wait(60), "a thread of redispan reads what was learned before"
    if learned:
        work(client, USUAL_NS, 2 * learned, lambda: (row := latency()) is not None and row.slices >= learned)
    work(client, USUAL_NS, usual)
    work(client, SLOW_NS, slow, lambda: (row := latency()) is not None and row.firing)
    work(client, USUAL_NS, usual_again, lambda: (row := latency()) is not None and not row.firing)
