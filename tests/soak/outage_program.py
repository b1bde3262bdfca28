"""A program of eight workers that continues through an outage, and prints in JSON what it saw.

Usage: python tests/soak/outage_program.py plain|redispan sync|async PORT NUMBER

It prints "ready" when it runs. It ends some time after a line on its input, which means that the server is back.
"""

from __future__ import annotations

import asyncio
import faulthandler
import json
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import redis
import redis.asyncio

from behaviour import test_pool_faulty_network as faulty
from clients import close
from redispan import RedispanInstrumentor
from servers import resp

WORKERS = 8
ENOUGH = 50
"""Answers before the outage, and after it."""
PAUSE_S = 0.02
HANG_S = 1800


class Worker:
    """Send one request after the other, and separate the answers by whether the server was known to be back."""

    def __init__(self, number: int, back: threading.Event) -> None:
        self.ledger = faulty.Ledger(number)
        self.back = back
        self.ready = threading.Event()
        self.ended: dict[str, Counter[str]] = {"before its return": Counter(), "after": Counter()}
        self.plan = iter(faulty._plan(number, 10**6))

    async def run(self, client: Any) -> None:
        number = answered_after = 0
        while answered_after < ENOUGH:
            # A call that began after the server's return is expected to succeed.
            phase = "after" if self.back.is_set() else "before its return"
            kind, number = next(self.plan), number + 1
            try:
                await faulty._do(client, self.ledger, kind, number)
                how = "answered"
            except (redis.ConnectionError, redis.TimeoutError, asyncio.TimeoutError) as failure:
                # A call with a short time limit is given up by its caller.
                how = "given up" if kind == "hurry" else type(failure).__name__
            self.ended[phase][how] += 1
            answered_after += (phase, how) == ("after", "answered")
            if self.ended["before its return"]["answered"] >= ENOUGH:
                self.ready.set()
            await asyncio.sleep(PAUSE_S)


def main(state: str, mode: str, port: str, first: str) -> None:
    """Work until the server is back and has answered every worker."""
    faulthandler.dump_traceback_later(HANG_S, exit=True)
    if state == "redispan":
        RedispanInstrumentor().instrument(host_sharing=False)
    back = threading.Event()
    workers = [Worker(int(first) + number, back) for number in range(WORKERS)]

    def listen() -> None:
        for worker in workers:
            worker.ready.wait()
        print("ready", flush=True)
        sys.stdin.readline()
        back.set()

    threading.Thread(target=listen, daemon=True).start()
    if mode == "sync":
        client = redis.Redis(port=int(port))
        threads = [threading.Thread(target=lambda one=one: asyncio.run(one.run(client))) for one in workers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        client.close()
    else:
        asyncio.run(_all(workers, int(port)))
    time.sleep(1)  # requests on the way arrive, or never do
    for worker in workers:
        (found,) = resp.call(("127.0.0.1", int(port)), ("HGETALL", worker.ledger.notebook))
        worker.ledger.check_server({found[at]: int(found[at + 1]) for at in range(0, len(found), 2)})
    ended = {phase: sum((one.ended[phase] for one in workers), Counter()) for phase in workers[0].ended}
    print(json.dumps({"ended": ended, "wrong": [wrong for one in workers for wrong in one.ledger.wrong]}))


async def _all(workers: list[Worker], port: int) -> None:
    client = redis.asyncio.Redis(port=port)
    await asyncio.gather(*(worker.run(client) for worker in workers))
    await close(client)


if __name__ == "__main__":
    main(*sys.argv[1:])
