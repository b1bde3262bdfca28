"""Many greenlets share one client; which of two ways gevent comes in is the first argument."""

import sys

if sys.argv[1] == "late":
    # As most programs do it: at their top, which is after an instrumentation that was started outside.
    from gevent import monkey

    monkey.patch_all()

import os
import time

import gevent
import redis

GREENLETS = 200
ROUNDS = 10
WAITERS = 20
HOLDERS = 50

holders: list[int] = []

client = redis.Redis.from_url(os.environ["REDIS_URL"])


def add() -> None:
    for _ in range(ROUNDS):
        client.incr("n")


def wait(number: int) -> bytes:
    found = client.blpop([f"queue:{number}"], 10)
    return found[1] if found else b""


def hold_and_ask() -> None:
    with client.pipeline() as pipeline:
        pipeline.watch("k")
        holders.append(1)
        while len(holders) < HOLDERS:
            gevent.sleep(0.001)
        client.get("k")


greenlets = [gevent.spawn(add) for _ in range(GREENLETS)]
gevent.joinall(greenlets)
failed = [repr(greenlet.exception) for greenlet in greenlets if greenlet.exception is not None]
print("failed", len(failed), failed[:1])
print("sum", int(client.get("n")))
print("connections", len(client.client_list()))

start = time.monotonic()
gevent.joinall([gevent.spawn(hold_and_ask) for _ in range(HOLDERS)], raise_error=True)
print("held", time.monotonic() - start > 2)

waiters = [gevent.spawn(wait, number) for number in range(WAITERS)]
start = time.monotonic()
gevent.sleep(2.5)
for number in range(WAITERS):
    client.rpush(f"queue:{number}", number)
gevent.joinall(waiters)
print("woken", sorted(int(greenlet.value or -1) for greenlet in waiters) == list(range(WAITERS)))
print("late", time.monotonic() - start > 6)

if sys.argv[1] == "late":
    import redispan

    report = redispan.performance_report(scope="process")
    commands = {figures.command: figures.totals.operations for figures in (*report.commands, *report.blocking)}
    print("recorded", commands["INCRBY"], commands["BLPOP"])
