"""A tuned timeout loses nothing and doubles nothing, on networks that lower timeouts usually break.

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

from behaviour.every_client import settle
from behaviour.tuned_clients import SERVERS, SINGLE, TunedClient
from redispan._client import block_budget
from servers.fault_proxy import FaultProxy
from servers.redis_server import RedisServer
from waiting import wait_until

READ_TIMEOUT_S = 0.2
CONSUMERS = 5
ELEMENTS = 12
TUNING = {"pool_socket_timeout_s": READ_TIMEOUT_S, "pool_block_grace_s": 1.0}

pytestmark = [pytest.mark.redis, pytest.mark.usefixtures("tuned")]


def put_far_away(proxy: FaultProxy) -> None:
    """40 ms there and back."""
    proxy.default.requests.delay_s = proxy.default.replies.delay_s = 0.02


def put_behind_a_balancer(proxy: FaultProxy) -> None:
    """The server isn't told when a client gives up its connection."""
    proxy.default.requests.outlives_its_source = True


async def consume(one: Any, queue: str) -> list[bytes]:
    """What a worker's loop takes from its queue, until it is told to end."""
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
    """Push elements about as far apart as the read timeout, to a consumer that is idle in between."""
    uniform = random.Random(queue).uniform
    for number in range(ELEMENTS):
        time.sleep(uniform(0.5, 1.5) * READ_TIMEOUT_S)
        server.call("RPUSH", queue, number)
    wait_until(lambda: server.call("LLEN", queue) == 0, f"{queue} to be taken")
    time.sleep(2 * READ_TIMEOUT_S)
    while not done.is_set():  # where elements are lost, the end may be lost too
        server.call("RPUSH", queue, "end")
        done.wait(READ_TIMEOUT_S)


async def work(one: Any, server: RedisServer, queue: str) -> list[bytes]:
    """One queue with its producer: what the consumer took."""
    ended = threading.Event()
    producer = threading.Thread(target=produce, args=(server, queue, ended))
    producer.start()
    try:
        return await consume(one, queue)
    finally:
        ended.set()
        await asyncio.to_thread(producer.join)


async def taken_through(proxy: FaultProxy, server: RedisServer, kind: str, **options: Any) -> list[list[bytes]]:
    """What the consumers of a client took, each from its queue."""
    client = TunedClient(kind, proxy)
    queues = [f"q{number}" for number in range(CONSUMERS)]

    async def story(one: Any) -> list[list[bytes]]:
        taken = await client.at_once({queue: lambda queue=queue: work(one, server, queue) for queue in queues})
        return [found for found, _ in taken.values()]

    return await client.run(story, **options)


@pytest.mark.slow
@pytest.mark.parametrize("kind", SINGLE)
@pytest.mark.parametrize("network", [put_far_away, put_behind_a_balancer])
async def test_a_worker_that_waits_for_ever_loses_nothing(
    network: Any, kind: str, redis_server: RedisServer, fault_proxy: FaultProxy
) -> None:
    """BLPOP 0 in a loop: each element arrives, once, in order, and is asked for once."""
    network(fault_proxy)
    taken = await taken_through(fault_proxy, redis_server, kind)
    assert taken == [[b"%d" % number for number in range(ELEMENTS)]] * CONSUMERS
    assert redis_server.commands_served()["blpop"] == CONSUMERS * (ELEMENTS + 1)


async def test_the_networks_are_such_that_a_bare_timeout_loses_elements(
    redis_server: RedisServer, fault_proxy: FaultProxy
) -> None:
    """The counter-proof: as the program's own word, which redispan leaves alone, the same timeout loses most."""
    put_behind_a_balancer(fault_proxy)
    taken = await taken_through(fault_proxy, redis_server, "sync-url", socket_timeout=READ_TIMEOUT_S)
    assert sum(map(len, taken)) < CONSUMERS * ELEMENTS / 2


@pytest.mark.parametrize("kind", SINGLE)
async def test_a_delayed_reply_never_makes_a_write_run_twice(
    kind: str, redis_server: RedisServer, fault_proxy: FaultProxy
) -> None:
    """The reply comes after the tuned timeout: the call fails or succeeds, and the write happened once."""
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

    async def story(one: Any) -> dict[str, tuple[Any, float]]:
        # Open connections only: what is opened later fails before anything is written.
        await client.at_once({name: lambda: one.blpop(["nothing"], 0.5) for name in writes})
        for connection in fault_proxy.open_connections:
            connection.replies.delay_s = 2 * READ_TIMEOUT_S
        return await client.at_once({name: lambda write=write: write(one) for name, write in writes.items()})

    answers = {name: answer for name, (answer, _) in (await client.run(story)).items()}
    patient = {name: answers.pop(name) for name in ("EVAL", "MULTI")}
    assert patient == {"EVAL": 1, "MULTI": [1]}
    assert all(isinstance(answer, redis.TimeoutError) for answer in answers.values()), answers
    await asyncio.sleep(4 * READ_TIMEOUT_S)
    ran = {name: redis_server.call("GET", name) for name in ("n", "e", "m", "p", "s")}
    assert ran == dict.fromkeys(ran, "1")
    assert (redis_server.call("LLEN", "l"), redis_server.call("XLEN", "x")) == (1, 1)


@pytest.mark.parametrize("kind", [*SINGLE, "cluster", "async-cluster"])
async def test_a_connection_that_died_idle_is_replaced_unnoticed(kind: str, request: pytest.FixtureRequest) -> None:
    """The server closed every idle connection: the next command opens another, and nothing has to be repeated."""
    fixture = SERVERS.get(kind.rpartition("-")[2], "redis_server")
    client = TunedClient(kind, request.getfixturevalue(fixture))
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
    """The free connections of a pool: each is taken, and a blocking command packed for it, the moment it is there."""

    def append(self, connection: Any) -> None:
        super().append(connection)
        block_budget.note(connection, ("BLPOP", "q", 0))


@pytest.mark.parametrize("kind", SINGLE)
async def test_who_takes_a_connection_over_keeps_its_patience(kind: str, redis_server: RedisServer) -> None:
    """Whoever gave a connection back touches it no more: the next one's blocking read isn't cut to a short timeout."""

    async def story(one: Any) -> list[Any]:
        await settle(one.ping())
        pool = one.connection_pool
        pool._available_connections = TakenAtOnce(pool._available_connections)
        await settle(one.ping())
        return [connection.redispan_hold for connection in pool._available_connections]

    (hold,) = await TunedClient(kind, redis_server).run(story)
    assert hold is not None
    assert hold.timeout_s is None
