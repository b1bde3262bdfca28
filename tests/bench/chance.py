"""Remove chance from a process: the same calls then take the same path, however busy or slow the machine is.

Under valgrind a program is fifty times slower. On a real clock every call would seem slow, and work that runs once a
second would fall on fifty times fewer calls.
"""

import asyncio
import itertools
import queue
import random
import subprocess
import threading
import time
from concurrent import futures

READING_NS = 8_000
"""What a clock moves by at each reading: a watched GET at native speed reads it a few times."""

WAITING = (asyncio, queue, subprocess, threading, futures)
"""What waits for threads has taken the real clock by being imported here."""


def stop(reading_ns: int = READING_NS) -> None:
    """Let clocks count their readings, and let every random share be a half.

    So redispan, which samples every 64th operation in detail on average, samples exactly every 64th. Call this before
    any import of a measured module, since many modules keep a reference to a clock.
    """
    for name in ("perf_counter", "monotonic", "time", "thread_time"):
        setattr(time, name, itertools.count(1e6, reading_ns / 1e9).__next__)
        setattr(time, f"{name}_ns", itertools.count(10**15, reading_ns).__next__)
    random.Random.random = itertools.repeat(0.5).__next__
