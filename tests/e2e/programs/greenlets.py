"""Many greenlets share one client; which of two ways gevent comes in is the first argument."""

import sys

if sys.argv[1] == "late":
    # As most programs do it: at their top, which is after an instrumentation that was started outside.
    from gevent import monkey

    monkey.patch_all()

import os

import gevent
import redis

import redispan

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
    found = client.blpop([f"queue:{number}"], 30)
    return found[1] if found else b""


def hold_and_ask() -> None:
    with client.pipeline() as pipeline:
        pipeline.watch("k")
        holders.append(1)
        while len(holders) < HOLDERS:
            gevent.sleep(0.001)
        client.get("k")


def waits() -> int:
    return sum(pool["waits"] for pool in redispan.pools_in_effect())


greenlets = [gevent.spawn(add) for _ in range(GREENLETS)]
gevent.joinall(greenlets)
failed = [repr(greenlet.exception) for greenlet in greenlets if greenlet.exception is not None]
print("failed", len(failed), failed[:1])
print("sum", int(client.get("n")))
print("connections", len(client.client_list()))

before = waits()
gevent.joinall([gevent.spawn(hold_and_ask) for _ in range(HOLDERS)], raise_error=True)
print("waits", before > 0, waits() - before)

waiters = [gevent.spawn(wait, number) for number in range(WAITERS)]
gevent.sleep(2.5)  # longer than a read may take that is no blocking one
for number in range(WAITERS):
    client.rpush(f"queue:{number}", number)
gevent.joinall(waiters)
print("woken", sorted(int(greenlet.value or -1) for greenlet in waiters) == list(range(WAITERS)))

if sys.argv[1] == "late":
    report = redispan.performance_report(scope="process")
    commands = {figures.command: figures.totals.operations for figures in (*report.commands, *report.blocking)}
    print("recorded", commands["INCRBY"], commands["BLPOP"])
