"""Dynamic sizing on a real server: the limit rises while callers wait and falls afterwards. Each step has a reason."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis
import redis.asyncio

from clients import acquire, close, settle
from redispan._client.pool import sizing, waiting
from redispan._core.pool_sources import PoolEvent
from redispan._core.slot import SLOT
from redispan.testing import TelemetryInMemory
from servers.fault_proxy import FaultProxy
from servers.redis_server import RedisServer
from waiting import PATIENCE_S, wait_until, wait_until_async

pytestmark = pytest.mark.redis

START, FLOOR, CEILING = 4, 3, 12
WORKERS, CALLS = 30, 5


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each caller that waited raise the limit, without a pause after the step before."""
    monkeypatch.setattr(sizing, "RAISE_PAUSE_S", 0.0)


@pytest.fixture
def steps() -> Iterator[list[PoolEvent]]:
    """Yield the list of events that the pools emit about their limits."""
    recorded: list[PoolEvent] = []
    SLOT.runtime.pool_sources.listen(recorded.append)
    yield recorded
    SLOT.runtime.pool_sources.forget(recorded.append)


async def crowd(mode: str, client: Any) -> None:
    """Run many callers at once, each with many calls."""

    async def work() -> None:
        for _ in range(CALLS):
            assert await settle(client.ping())

    if mode == "async":
        await asyncio.gather(*(work() for _ in range(WORKERS)))
        return
    threads = [threading.Thread(target=lambda: asyncio.run(work())) for _ in range(WORKERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        await asyncio.to_thread(thread.join)


@pytest.mark.parametrize("mode", ["sync", "async"])
async def test_the_limit_follows_the_demand(
    mode: str,
    instrument: Callable[..., TelemetryInMemory],
    fault_proxy: FaultProxy,
    steps: list[PoolEvent],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Waiting callers raise the limit to the ceiling.

    Under a single caller it falls to the floor, and the surplus is closed.
    """
    telemetry = instrument(
        insight=False,
        pool_sizing="dynamic",
        pool_max_connections=START,
        pool_sizing_floor=FLOOR,
        pool_sizing_ceiling=CEILING,
        pool_wait_s=PATIENCE_S,
    )
    fault_proxy.default.replies.delay_s = 0.02
    client = (redis if mode == "sync" else redis.asyncio).Redis(host=fault_proxy.host, port=fault_proxy.port)
    await crowd(mode, client)
    pool = client.connection_pool
    assert pool.max_connections == CEILING
    assert START < len(fault_proxy.open_connections) <= CEILING
    raised = [event for event in steps if event.kind == "resized"]
    # Threads that raise the limit one after the other may emit their events in another order.
    assert sorted(event.limit for event in raised) == [5, 7, 9, CEILING], "a quarter at a time"
    assert all("callers waited" in event.reason and event.waited_s > 0 for event in raised)

    # Using the pool is enough to lower its limit once its minutes of little use are over. Reading its figures is not
    # needed, so the test does not read them here.
    monkeypatch.setattr(sizing, "QUIET_S", 0.0)
    for _ in range(2 * CEILING):
        assert await settle(client.ping())
    await wait_until_async(lambda: len(fault_proxy.open_connections) <= FLOOR, "the surplus to be closed")
    assert pool.max_connections == FLOOR
    lowered = [event for event in steps if "less than half" in event.reason]
    assert [event.limit for event in lowered] == list(range(CEILING - 1, FLOOR - 1, -1)), "a tenth at a time"
    await close(client)

    (recorded, *_) = telemetry.events("redis.client.pool.resized")
    (step,) = [event for event in raised if event.limit == recorded.attributes["redis.client.pool.limit"]]
    assert recorded.attributes["redis.client.pool.reason"] == step.reason
    assert step.reason.endswith(f" to {step.limit}: callers waited for a connection")


def test_a_raised_limit_is_there_for_those_who_wait(
    instrument: Callable[..., TelemetryInMemory], redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the limit is raised, a waiting caller opens one of the new connections instead of waiting on."""
    monkeypatch.setattr(waiting, "_LOOK_AGAIN_S", 10 * PATIENCE_S)
    instrument(
        pool_sizing="dynamic",
        pool_max_connections=1,
        pool_sizing_floor=1,
        pool_sizing_ceiling=2,
        pool_wait_s=PATIENCE_S,
    )
    client = redis.Redis(host=redis_server.host, port=redis_server.port)
    pool = client.connection_pool
    held = acquire(pool)
    served = [threading.Event(), threading.Event()]
    done = threading.Event()

    def caller(number: int) -> None:
        connection = acquire(pool)
        served[number].set()
        done.wait(PATIENCE_S)
        pool.release(connection)

    callers = [threading.Thread(target=caller, args=(number,), daemon=True) for number in range(2)]
    for thread in callers:
        thread.start()
    wait_until(lambda: len(pool.redispan_state.waiters) == 2, "both in the queue")
    pool.release(held)
    both = [event.wait(PATIENCE_S / 2) for event in served]
    done.set()
    for thread in callers:
        thread.join(PATIENCE_S)
    client.close()
    pool.disconnect()
    assert both == [True, True]
