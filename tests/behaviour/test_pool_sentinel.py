"""A master dies or falls silent under traffic: operations end in time, no write runs twice, and the traffic goes on."""

from __future__ import annotations

import asyncio
import inspect
import threading
import time
from typing import Any

import pytest
import redis
import redis.asyncio
import redis.asyncio.sentinel
import redis.sentinel

from behaviour.every_client import close, settle
from servers.sentinel import SentinelServer
from waiting import wait_until

pytestmark = [pytest.mark.redis, pytest.mark.slow, pytest.mark.usefixtures("tuned")]

DEADLINE_S = 3.0
LATE_S = 1.5
TUNING = {"pool_connect_timeout_s": 0.6, "pool_socket_timeout_s": 0.5, "pool_deadline_s": DEADLINE_S}
WORKERS = 6
AFTER = 30
"""So many additions of each worker must succeed once the new master is there."""
PATIENCE_S = 45


class Traffic:
    """Additions that can each be told from every other, until there were enough after the fail-over."""

    def __init__(self) -> None:
        self.moved = threading.Event()
        self.over_s = time.monotonic() + PATIENCE_S
        self.asked: dict[str, int] = {}
        self.slowest_s = 0.0
        self.failed = 0
        self.after = [0] * WORKERS

    async def work(self, client: Any, worker: int) -> None:
        """One worker's additions."""
        number = 0
        while self.after[worker] < AFTER and time.monotonic() < self.over_s:
            number += 1
            name, amount = f"{worker}-{number}", worker * 1_000_000 + number
            self.asked[name] = amount
            moved, start_s = self.moved.is_set(), time.monotonic()
            try:
                answer = client.hincrby("notebook", name, amount)
                answer = await answer if inspect.isawaitable(answer) else answer
                assert answer == amount
                self.after[worker] += moved
            except redis.RedisError:
                self.failed += 1
            self.slowest_s = max(self.slowest_s, time.monotonic() - start_s)
            await asyncio.sleep(0.01)


def fail_over(trio: SentinelServer, traffic: Traffic, how: str) -> None:
    """Take the master away under the traffic and say when Sentinel has made another."""
    time.sleep(0.5)
    getattr(trio.master.process, how)()
    try:
        wait_until(lambda: trio._current_master_port() == trio.replica.port, "the fail-over", PATIENCE_S)
    finally:
        traffic.moved.set()


@pytest.mark.parametrize("mode", ["sync", "async"])
@pytest.mark.parametrize("how", ["kill", "pause"])
async def test_traffic_survives_the_loss_of_its_master(how: str, mode: str, trio: SentinelServer) -> None:
    """No operation outlasts the deadline, none runs twice, and all workers go on with the new master."""
    module = redis if mode == "sync" else redis.asyncio
    sentinel = module.sentinel.Sentinel(trio.sentinels)
    client = sentinel.master_for(trio.service_name)
    traffic = Traffic()
    killer = threading.Thread(target=fail_over, args=(trio, traffic, how))
    killer.start()
    if mode == "sync":
        workers = [
            threading.Thread(target=lambda number=number: asyncio.run(traffic.work(client, number)))
            for number in range(WORKERS)
        ]
        for worker in workers:
            worker.start()
        for worker in workers:
            await asyncio.to_thread(worker.join)
    else:
        await asyncio.gather(*(traffic.work(client, number) for number in range(WORKERS)))
    await asyncio.to_thread(killer.join)
    for one in (client, *sentinel.sentinels):
        closing = (getattr(one, "aclose", None) or one.close)()
        if inspect.isawaitable(closing):
            await closing

    assert traffic.after == [AFTER] * WORKERS
    assert traffic.failed > 0, "the loss was felt"
    assert traffic.slowest_s < DEADLINE_S + LATE_S
    found = trio.replica.call("HGETALL", "notebook")
    held = {found[at]: int(found[at + 1]) for at in range(0, len(found), 2)}
    # What the dead master had not yet handed to its replica is gone; nothing is there twice.
    assert {name: held[name] for name in held if held[name] != traffic.asked[name]} == {}
    assert len(held) >= WORKERS * AFTER


@pytest.mark.parametrize("mode", ["sync", "async"])
async def test_a_service_without_a_master_is_waited_for(mode: str, sentinel_server: SentinelServer) -> None:
    """While Sentinel knows no master, connecting is tried again: nothing of the program's was written yet."""
    module = redis if mode == "sync" else redis.asyncio
    sentinel = module.sentinel.Sentinel(sentinel_server.sentinels)
    client = sentinel.master_for(sentinel_server.service_name)
    find, asked = sentinel.discover_master, []

    def find_at_the_third_time(service: str) -> Any:
        asked.append(service)
        if len(asked) < 3:
            raise redis.sentinel.MasterNotFoundError(f"No master found for {service!r}")
        return find(service)

    async def find_likewise(service: str) -> Any:
        return await find_at_the_third_time(service)

    sentinel.discover_master = find_at_the_third_time if mode == "sync" else find_likewise
    assert await settle(client.incr("visits")) == 1
    assert len(asked) == 3
    for one in (client, *sentinel.sentinels):
        await close(one)
