"""A tuned timeout loses and doubles nothing, even on networks where lowered timeouts usually do so.

The rates are those of facts measured on plain redis-py: with a read timeout of 0.2 s given by the program, a consumer
40 ms away loses one element of five, and one behind a balancer nearly all.
"""

from __future__ import annotations

import asyncio
import random
import threading
import time
from typing import Any

import pytest
import redis

from behaviour.tuned_clients import PATIENT, SINGLE, TunedClient, after, retune
from clients import fixture_of, settle
from redispan._client.pool import block_budget
from servers.fault_proxy import FaultProxy
from servers.redis_server import RedisServer
from waiting import wait_until

READ_TIMEOUT_S = 0.15
SHORT = {**PATIENT, "pool_socket_timeout_s": READ_TIMEOUT_S}
"""The settings of the tests in which the read timeout passes."""
CONSUMERS = 8
ELEMENTS = 6
TUNING = PATIENT

PATIENT_WRITES = {"EVAL": 1, "MULTI": [1]}
"""The answers of the writes that keep redis-py's own timeout."""

pytestmark = [pytest.mark.redis, pytest.mark.usefixtures("tuned")]


def put_far_away(proxy: FaultProxy) -> None:
    """Delay the proxy by 40 ms per round trip, and do not pass on to the server that a client closed its connection."""
    proxy.default.requests.delay_s = proxy.default.replies.delay_s = 0.02
    proxy.default.requests.outlives_its_source = True


async def consume(one: Any, queue: str) -> list[bytes]:
    """Take elements from the queue, as a worker's loop does, until the element ``end`` comes."""
    taken: list[bytes] = []
    while True:
        try:
            found = await settle(one.blpop(queue, 0))
        except (redis.ConnectionError, redis.TimeoutError):
            continue
        if found[1] == b"end":
            return taken
        taken.append(found[1])


def produce(server: RedisServer, queue: str, done: threading.Event) -> None:
    """Push elements about one read timeout apart, to a consumer that is idle in between."""
    uniform = random.Random(queue).uniform
    for number in range(ELEMENTS):
        time.sleep(uniform(0.5, 1.5) * READ_TIMEOUT_S)
        server.call("RPUSH", queue, number)
    wait_until(lambda: server.call("LLEN", queue) == 0, f"{queue} to be taken")
    while not done.is_set():  # where elements are lost, the end may be lost, too
        server.call("RPUSH", queue, "end")
        done.wait(READ_TIMEOUT_S)


async def work(one: Any, server: RedisServer, queue: str) -> list[bytes]:
    """Run a producer and a consumer on one queue, and return what the consumer took."""
    ended = threading.Event()
    producer = threading.Thread(target=produce, args=(server, queue, ended))
    producer.start()
    try:
        return await consume(one, queue)
    finally:
        ended.set()
        await asyncio.to_thread(producer.join)


@pytest.mark.parametrize("kind", SINGLE)
async def test_a_worker_that_waits_for_ever_loses_nothing(
    kind: str, redis_server: RedisServer, fault_proxy: FaultProxy
) -> None:
    """A worker that calls BLPOP 0 in a loop gets each element once and in order. Each element costs one request."""
    retune(**SHORT)
    put_far_away(fault_proxy)
    client = TunedClient(kind, fault_proxy)
    queues = [f"q{number}" for number in range(CONSUMERS)]

    async def story(one: Any) -> dict[str, Any]:
        return await client.at_once({queue: lambda queue=queue: work(one, redis_server, queue) for queue in queues})

    taken = await client.run(story)
    pushed = [b"%d" % number for number in range(ELEMENTS)]
    assert list(taken.values()) == [pushed] * CONSUMERS
    assert redis_server.commands_served()["blpop"] == CONSUMERS * (ELEMENTS + 1)


async def test_the_network_is_such_that_a_bare_timeout_loses_elements(
    redis_server: RedisServer, fault_proxy: FaultProxy
) -> None:
    """On the same network, a timeout that the program itself set loses the next element.

    redispan leaves such a timeout alone.
    """
    put_far_away(fault_proxy)

    async def story(one: Any) -> None:
        with pytest.raises(redis.TimeoutError):
            await settle(one.blpop("q", 0))
        redis_server.call("RPUSH", "q", "x")
        assert redis_server.call("LLEN", "q") == 0

    await TunedClient("sync-url", fault_proxy).run(story, socket_timeout=2 * READ_TIMEOUT_S)


@pytest.mark.parametrize("kind", SINGLE)
async def test_a_delayed_reply_never_makes_a_write_run_twice(
    kind: str, redis_server: RedisServer, fault_proxy: FaultProxy
) -> None:
    """The reply comes after the tuned timeout: the call fails or succeeds, and the write runs exactly once."""
    retune(**SHORT)
    client = TunedClient(kind, fault_proxy)
    writes = {
        "INCR": lambda one: one.incr("n"),
        "LPUSH": lambda one: one.lpush("l", 1),
        "EVAL": lambda one: one.eval("return redis.call('incr', KEYS[1])", 1, "e"),
        "MULTI": lambda one: one.pipeline(transaction=True).incr("m").execute(),
        "pipeline": lambda one: one.pipeline(transaction=False).incr("p").execute(),
        "SET": lambda one: one.set("s", 1),
        "XADD": lambda one: one.xadd("x", {"f": "v"}),
    }

    failed: list[str] = []

    async def call(one: Any, name: str) -> Any:
        try:
            return await settle(writes[name](one))
        except redis.TimeoutError:
            failed.append(name)
            raise

    def go_on() -> None:
        wait_until(lambda: len(failed) == len(writes) - len(PATIENT_WRITES), "the timeout of those that have one")
        time.sleep(READ_TIMEOUT_S)
        for connection in fault_proxy.open_connections:
            connection.replies.hold = False

    async def story(one: Any) -> dict[str, Any]:
        # All connections are open before the replies stop, because a connection opened later fails before it writes.
        await client.open_connections(one, len(writes), "n")
        for connection in fault_proxy.open_connections:
            connection.replies.hold = True
        watcher = after(0, go_on)
        answers = await client.at_once({name: lambda name=name: call(one, name) for name in writes})
        watcher.join()
        return answers

    answers = await client.run(story)
    assert {name: answers.pop(name) for name in PATIENT_WRITES} == PATIENT_WRITES
    assert all(isinstance(answer, redis.TimeoutError) for answer in answers.values()), answers
    wait_until(lambda: not fault_proxy.open_connections, "all that was sent to be passed on")
    ran = {name: redis_server.call("GET", name) for name in ("n", "e", "m", "p", "s")}
    assert ran == dict.fromkeys(ran, "1")
    assert (redis_server.call("LLEN", "l"), redis_server.call("XLEN", "x")) == (1, 1)


@pytest.mark.parametrize("kind", [*SINGLE, "cluster", "async-cluster"])
async def test_a_connection_that_died_idle_is_replaced_unnoticed(kind: str, request: pytest.FixtureRequest) -> None:
    """The server closes every idle connection.

    The next command opens another connection, and redis-py repeats no command.
    """
    client = TunedClient(kind, request.getfixturevalue(fixture_of(kind)))
    server = client.owner("n")

    async def story(one: Any) -> list[int]:
        answers = []
        for _ in range(3):
            answers.append(await settle(one.incr("n")))
            server.kill_clients()
            await asyncio.sleep(0.05)
        return answers

    assert await client.run(story) == [1, 2, 3]
    served = server.commands_served()
    assert served.get("incr", 0) + served.get("incrby", 0) == 3


class TakenAtOnce(list[Any]):
    """A pool's free connections. Each is taken at once when it is released, and a blocking command is packed for it."""

    def append(self, connection: Any) -> None:
        super().append(connection)
        block_budget.note(connection, ("BLPOP", "q", 0))


@pytest.mark.parametrize("kind", SINGLE)
async def test_who_takes_a_connection_over_keeps_its_patience(kind: str, redis_server: RedisServer) -> None:
    """A caller that released a connection changes its timeout no more.

    The next caller's blocking read is not cut to a short timeout.
    """

    async def story(one: Any) -> list[Any]:
        await settle(one.ping())
        pool = one.connection_pool
        pool._available_connections = TakenAtOnce(pool._available_connections)
        await settle(one.ping())
        return [connection.redispan_hold for connection in pool._available_connections]

    (hold,) = await TunedClient(kind, redis_server).run(story)
    assert hold is not None
    assert hold.timeout_s is None
