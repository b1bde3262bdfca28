"""A master dies or falls silent under traffic: operations end in time, no write runs twice, and the traffic goes on."""

from __future__ import annotations

import asyncio
import operator
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from typing import Any

import pytest
import redis
import redis.asyncio
import redis.asyncio.sentinel
import redis.sentinel

from clients import close, settle
from redispan import RedispanInstrumentor
from redispan._client.pool import retry_policy
from servers.sentinel import PATIENT_MS, SentinelServer, start_sentinel
from waiting import wait_until

pytestmark = [pytest.mark.redis, pytest.mark.slow]

DEADLINE_S = 1.0
TUNING = {"pool_connect_timeout_s": 0.6, "pool_socket_timeout_s": 0.3, "pool_deadline_s": DEADLINE_S}
WORKERS = 6
BEFORE, AFTER = 5, 30
"""So many additions of each worker must succeed before the master is lost, and again after the new one took over."""

pauses: ContextVar[list[float]] = ContextVar("pauses")
"""The pauses before further attempts that the addition under way asked for, in seconds."""


class Traffic:
    """Additions with a different field and amount each, until there were enough of them after the fail-over."""

    def __init__(self) -> None:
        self.lost = threading.Event()
        self.moved = threading.Event()
        self.over = threading.Event()
        self.asked: dict[str, int] = {}
        self.longest_pause_s = 0.0
        self.answered = [0] * WORKERS
        self.failed = [0] * WORKERS
        """The failed additions of each worker that began after the loss."""

    async def work(self, client: Any, worker: int) -> None:
        """Send the additions of one worker."""
        number = 0
        while not self.over.is_set():
            number += 1
            name, amount = f"{worker}-{number}", worker * 1_000_000 + number
            self.asked[name] = amount
            began_after_loss, paused_s = self.lost.is_set(), []
            pauses.set(paused_s)
            try:
                assert await settle(client.hincrby("notebook", name, amount)) == amount
                self.answered[worker] += 1
            except redis.RedisError:
                self.failed[worker] += began_after_loss
            self.longest_pause_s = max(self.longest_pause_s, sum(paused_s))
            await asyncio.sleep(0.01)

    def wait_for_answers(self, count: int) -> None:
        """Return when each worker had ``count`` more replies."""
        wanted = [answered + count for answered in self.answered]
        wait_until(lambda: all(map(operator.ge, self.answered, wanted)), "the additions")


def fail_over(trio: SentinelServer, traffic: Traffic, how: str) -> None:
    """Take the master away under traffic.

    Let the replica take over after operations of every worker failed without a master.
    """
    try:
        traffic.wait_for_answers(BEFORE)
        getattr(trio.master.process, how)()
        traffic.lost.set()
        # Some fail in a write that gets no reply, and some fail while they connect.
        wait_until(lambda: min(traffic.failed) >= 3, "operations of each worker to end without a master")
        trio.fail_over()
        traffic.wait_for_answers(AFTER)
    finally:
        traffic.over.set()


@pytest.fixture
def trio() -> Iterator[SentinelServer]:
    """Yield a master to lose, its replica and their Sentinel, which fails over only on command."""
    servers = start_sentinel(PATIENT_MS)
    yield servers
    servers.stop()


@pytest.mark.usefixtures("tuned")
@pytest.mark.parametrize("mode", ["sync", "async"])
@pytest.mark.parametrize("how", ["kill", "pause"])
async def test_traffic_survives_the_loss_of_its_master(
    how: str, mode: str, trio: SentinelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Operations end in time while there is no master. None runs twice, and all workers go on with the new master."""

    def note_pause(seconds: float, tell: Callable[[float], None] = retry_policy.note_pause) -> None:
        tell(seconds)
        pauses.get().append(seconds)

    monkeypatch.setattr(retry_policy, "note_pause", note_pause)
    module = redis if mode == "sync" else redis.asyncio
    sentinel = module.sentinel.Sentinel(trio.sentinels)
    client = sentinel.master_for(trio.service_name)
    traffic = Traffic()
    workers: Iterable[Any] = [traffic.work(client, number) for number in range(WORKERS)]
    with ThreadPoolExecutor(WORKERS) as threads:
        if mode == "sync":
            workers = [asyncio.wrap_future(threads.submit(asyncio.run, worker)) for worker in workers]
        await asyncio.gather(asyncio.to_thread(fail_over, trio, traffic, how), *workers)
    for one in (client, *sentinel.sentinels):
        await close(one)

    assert 0 < traffic.longest_pause_s <= DEADLINE_S
    found = trio.master.call("HGETALL", "notebook")
    held = {found[at]: int(found[at + 1]) for at in range(0, len(found), 2)}
    # The additions that the dead master had not yet sent to its replica are lost; none is there twice.
    assert {name: held[name] for name in held if held[name] != traffic.asked[name]} == {}
    assert len(held) >= WORKERS * AFTER


@pytest.mark.parametrize("mode", ["sync", "async"])
async def test_a_service_without_a_master_is_waited_for(mode: str, sentinel_server: SentinelServer) -> None:
    """While Sentinel knows no master, redispan tries again to connect.

    This is safe, because nothing was written yet.
    """
    RedispanInstrumentor().instrument(metrics=False, insight=False)
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
