"""Subscribers outlive the tuned read timeout. They miss no message of a quiet channel, however they wait for it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest

from behaviour.tuned_clients import PATIENT, SINGLE, TunedClient, after
from clients import close, fixture_of, settle
from servers.cluster import ClusterServer
from servers.redis_server import RedisServer
from waiting import wait_until

READ_TIMEOUT_S = 1.0
PAUSE_S = 1.2 * READ_TIMEOUT_S
MESSAGES = [b"%d" % number for number in range(3)]
TUNING = {**PATIENT, "pool_socket_timeout_s": READ_TIMEOUT_S}

pytestmark = [pytest.mark.redis, pytest.mark.usefixtures("tuned")]


async def by_listening(pubsub: Any) -> list[bytes]:
    """Read with ``listen()``, which never ends by itself."""
    heard = []
    if hasattr(pubsub.listen(), "__aiter__"):
        async for message in pubsub.listen():
            heard.append(message["data"])
            if len(heard) == len(MESSAGES):
                break
    else:
        for message in pubsub.listen():
            heard.append(message["data"])
            if len(heard) == len(MESSAGES):
                break
    return heard


def by_asking(timeout: float | None) -> Callable[[Any], Any]:
    """Return a function that calls ``get_message`` again and again."""

    async def ask(pubsub: Any) -> list[bytes]:
        heard: list[bytes] = []
        while len(heard) < len(MESSAGES):
            message = await settle(pubsub.get_message(timeout=timeout))
            if message is not None:
                heard.append(message["data"])
        return heard

    return ask


def in_a_thread(pubsub: Any) -> list[bytes]:
    """Read with ``run_in_thread``, which only sync clients have."""
    heard: list[bytes] = []
    pubsub.channels[b"news"] = lambda message: heard.append(message["data"])
    thread = pubsub.run_in_thread(sleep_time=4 * READ_TIMEOUT_S)
    wait_until(lambda: len(heard) == len(MESSAGES) or not thread.is_alive(), "all messages")
    thread.stop()
    thread.join()
    return heard


WAYS: dict[str, Callable[[Any], Any]] = {
    "listen()": by_listening,
    "get_message(None)": by_asking(None),
    "get_message() for longer": by_asking(4 * READ_TIMEOUT_S),
    "get_message() for a moment": by_asking(0.1),
}


@pytest.mark.parametrize("kind", [*SINGLE, "cluster"])
async def test_subscribers_hear_everything_on_a_quiet_channel(kind: str, request: pytest.FixtureRequest) -> None:
    """Messages with pauses longer than the read timeout all arrive, and each client subscribes only once."""
    client = TunedClient(kind, request.getfixturevalue(fixture_of(kind)))
    nodes = client.server.masters if isinstance(client.server, ClusterServer) else [client.server]
    ways = {**WAYS, "run_in_thread()": in_a_thread} if not kind.startswith("async") else WAYS

    def publish() -> None:
        subscribers = lambda: sum(node.call("PUBSUB", "NUMSUB", "news")[1] for node in nodes)  # noqa: E731
        wait_until(lambda: subscribers() == len(ways), "all to subscribe")
        for message in MESSAGES:
            time.sleep(PAUSE_S)
            nodes[0].call("PUBLISH", "news", message)

    async def hear(one: Any, way: Callable[[Any], Any]) -> list[bytes]:
        pubsub = one.pubsub(ignore_subscribe_messages=True)
        # The handler is set from the start, because run_in_thread() refuses channels without one.
        await settle(pubsub.subscribe(news=print) if way is in_a_thread else pubsub.subscribe("news"))
        try:
            return await settle(way(pubsub))
        finally:
            await close(pubsub)

    async def story(one: Any) -> dict[str, Any]:
        publisher = after(0, publish)
        heard = await client.at_once({name: lambda way=way: hear(one, way) for name, way in ways.items()})
        publisher.join()
        # The connections that were subscribed serve commands again.
        assert await settle(one.get("nothing")) is None
        return heard

    heard = await asyncio.wait_for(client.run(story), 60)
    assert heard == dict.fromkeys(ways, MESSAGES)
    assert sum(node.commands_served().get("subscribe", 0) for node in nodes) == len(ways)


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_monitor_waits_on_a_quiet_server(kind: str, redis_server: RedisServer) -> None:
    """MONITOR shows a command that comes after a silence of several read timeouts."""
    client = TunedClient(kind, redis_server)

    async def story(one: Any) -> Any:
        timer = after(3 * READ_TIMEOUT_S, lambda: redis_server.call("ECHO", "seen"))
        if kind == "sync":
            with one.monitor() as monitor:
                found = monitor.next_command()
        else:
            async with one.monitor() as monitor:
                found = await monitor.next_command()
        timer.join()
        return found

    assert "ECHO" in (await asyncio.wait_for(client.run(story), 60))["command"].upper()
