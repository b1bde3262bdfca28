"""No reply is stale, lost or doubled, whatever the network does. A tuned timeout must not break that."""

from __future__ import annotations

import asyncio
import faulthandler
import itertools
import os
import random
import threading
from collections import Counter
from typing import Any

import pytest
import redis
import redis.asyncio

from clients import close, settle
from redispan import RedispanInstrumentor
from servers.fault_proxy import FaultProxy
from servers.redis_server import RedisServer
from waiting import wait_until

OPERATIONS = int(os.environ.get("REDISPAN_FAULTY_OPERATIONS", "800"))
SEED = int(os.environ.get("REDISPAN_FAULTY_SEED", "7"))
WORKERS = 8
CHANGE_EVERY = 10
"""After so many operations the network's faults change: as often on a slow machine as on a quick one."""

pytestmark = pytest.mark.redis


class Weather:
    """Change the faults of the network, at random but repeatably, after operations end and also while none ends."""

    def __init__(self, proxy: FaultProxy, seed: int) -> None:
        self._proxy = proxy
        self._random = random.Random(seed)
        self._ended = itertools.count(1)
        self._due = threading.Semaphore(0)
        self._is_over = False
        # A separate thread, because a change may come at any moment of the others' work.
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Weather:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over = True
        self._due.release()
        self._thread.join()
        for connection in self._proxy.open_connections:
            connection.reset()

    def operation_ended(self) -> None:
        """Count one more operation that ended."""
        if next(self._ended) % CHANGE_EVERY == 0:
            self._due.release()

    def _run(self) -> None:
        while True:
            # A change also frees a caller that waits for a long time (EXEC may) for a reply that was lost.
            self._due.acquire(timeout=0.1)
            if self._is_over:
                return
            connections = self._proxy.open_connections
            if not connections:
                continue
            victim = self._random.choice(connections)
            what = self._random.random()
            if what < 0.3:
                victim.replies.delay_s = self._random.choice((0.0, 0.01, 0.15, 0.3))
            elif what < 0.5:
                victim.reset()
            elif what < 0.7:
                victim.drop()
            elif what < 0.85:
                victim.black_hole()
            else:
                victim.requests.delay_s = self._random.choice((0.0, 0.02, 0.15))


class Ledger:
    """Record what one worker sent: every request, and its reply, differs from every other.

    The checks do not use the order in which requests arrive. The network may hold one back until long after its
    sender gave it up; a counter that several requests share would then look as if one of them ran twice.
    """

    def __init__(self, worker: int) -> None:
        self.worker = worker
        self.added: dict[str, int] = {}
        self.answered: set[str] = set()
        self.kept: str | None = None
        self.wrong: list[str] = []
        self.done = 0
        self.emitted: Counter[str] = Counter()

    @property
    def notebook(self) -> str:
        """Return the name of the hash that this worker writes to."""
        return f"notebook:{self.worker}"

    def check(self, what: str, answer: object, *right: object) -> None:
        """Record a mixed-up reply unless ``answer`` is one of the right ones for the request."""
        if answer not in right:
            self.wrong.append(f"{what} answered {answer!r}")

    def check_server(self, found: dict[str, int]) -> None:
        """Check what the server holds in the end: every addition at most once, and exactly once if it was answered."""
        for field_name, amount in self.added.items():
            present = found.get(field_name)
            if present is None and field_name in self.answered:
                self.wrong.append(f"HINCRBY {field_name} was answered and is lost")
            if present is not None and present != amount:
                self.wrong.append(f"HINCRBY {field_name} ran {present / amount:g} times")


def _plan(seed: int, count: int) -> list[str]:
    kinds = ("echo", "add", "add", "keep", "recall", "pipeline", "multi", "blpop", "hurry")
    return random.Random(seed).choices(kinds, k=count)


async def _work(client: Any, ledger: Ledger, plan: list[str], weather: Weather) -> None:
    for number, kind in enumerate(plan):
        try:
            await _do(client, ledger, kind, number)
            ledger.emitted["answered"] += 1
        except (redis.ConnectionError, redis.TimeoutError, asyncio.TimeoutError) as failure:
            ledger.emitted[f"{type(failure).__module__}.{type(failure).__name__}"] += 1
        ledger.done += 1
        weather.operation_ended()


async def _do(client: Any, ledger: Ledger, kind: str, number: int) -> None:
    tag = f"{ledger.worker}-{number}"
    if kind == "echo":
        ledger.check(f"ECHO {tag}", await settle(client.echo(tag)), tag.encode())
    elif kind == "add":
        amount = ledger.added[tag] = (ledger.worker + 1) * 1_000_000 + number
        ledger.check(f"HINCRBY {tag}", await settle(client.hincrby(ledger.notebook, tag, amount)), amount)
        ledger.answered.add(tag)
    elif kind == "keep":
        kept, ledger.kept = f"kept:{tag}", None
        ledger.check(f"SET {tag}", await settle(client.set(kept, tag)), True)
        ledger.kept = kept
    elif kind == "recall":
        kept = ledger.kept or f"never kept:{tag}"
        right = ledger.kept.partition(":")[2].encode() if ledger.kept else None
        ledger.check(f"GET {kept}", await settle(client.get(kept)), right)
    elif kind == "blpop":
        ledger.check(f"BLPOP {tag}", await settle(client.blpop([f"nothing:{tag}"], 0.01)), None)
    elif kind == "hurry":
        answer = client.echo(tag)
        if hasattr(answer, "__await__"):
            # The caller gives up at any moment of the command: waiting, connecting, writing, reading.
            answer = await asyncio.wait_for(answer, random.Random(tag).uniform(0.0, 0.02))
        ledger.check(f"ECHO {tag} in a hurry", answer, tag.encode())
    else:
        pipeline = client.pipeline(transaction=kind == "multi")
        pipeline.echo(tag)
        pipeline.echo(tag + "b")
        ledger.check(kind, await settle(pipeline.execute()), [tag.encode(), tag.encode() + b"b"])


def _clients_of(server: RedisServer) -> set[str]:
    """Return the numbers of the clients that are connected to the server, without the one that asks."""
    asking, answer = server.call_all(("CLIENT", "ID"), ("CLIENT", "LIST"))
    return {line.split()[0] for line in answer.splitlines()} - {f"id={asking}"}


@pytest.mark.slow
@pytest.mark.timeout(300 + OPERATIONS // 10)
@pytest.mark.parametrize("mode", ["sync", "async"])
@pytest.mark.parametrize("built", ["Redis", "from_url"])
def test_no_reply_is_stale_lost_or_doubled(
    mode: str, built: str, redis_server: RedisServer, fault_proxy: FaultProxy
) -> None:
    """Each reply belongs to its request and each addition runs at most once, while the network fails at random."""
    # pytest dumps all stacks of a test that takes long; while a hundred threads run, that can end the interpreter.
    faulthandler.cancel_dump_traceback_later()
    RedispanInstrumentor().instrument(
        metrics=False,
        insight=False,
        pool_socket_timeout_s=0.1,
        pool_block_grace_s=0.1,
        pool_connect_timeout_s=0.2,
        pool_max_connections=6,
        pool_deadline_s=3,
    )
    module = redis if mode == "sync" else redis.asyncio
    ledgers = [Ledger(worker) for worker in range(WORKERS)]
    plans = [_plan(ledger.worker, OPERATIONS // WORKERS) for ledger in ledgers]

    def make() -> Any:
        if built == "Redis":
            return module.Redis(host=fault_proxy.host, port=fault_proxy.port)
        return module.Redis.from_url(fault_proxy.url)

    clients = _clients_of(redis_server)
    with Weather(fault_proxy, SEED) as weather:
        if mode == "sync":
            client = make()
            threads = [
                threading.Thread(target=lambda one=one, plan=plan: asyncio.run(_work(client, one, plan, weather)))
                for one, plan in zip(ledgers, plans, strict=True)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            client.close()
        else:

            async def run() -> None:
                client = make()
                works = (_work(client, one, plan, weather) for one, plan in zip(ledgers, plans, strict=True))
                await asyncio.gather(*works)
                await close(client)

            asyncio.run(run())

    wait_until(lambda: _clients_of(redis_server) <= clients, "requests under way to arrive, or to be lost")
    for ledger in ledgers:
        found = redis_server.call("HGETALL", ledger.notebook)
        ledger.check_server({found[at]: int(found[at + 1]) for at in range(0, len(found), 2)})
    # Print how the operations ended, to quote it for a long run: pytest -rP shows it.
    print("ended:", dict(sum((ledger.emitted for ledger in ledgers), Counter())))
    assert [fault for ledger in ledgers for fault in ledger.wrong] == []
    assert all(ledger.done == OPERATIONS // WORKERS for ledger in ledgers)
    assert sum(len(ledger.answered) for ledger in ledgers) > OPERATIONS / 20  # the network was not dead
