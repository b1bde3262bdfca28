"""Publish and subscribe: commands have spans, and received messages are counted."""

import contextlib

import pytest
import redis

from clients import World, close, of_kinds, settle, sync_and_async
from redispan._core.slot import SLOT
from redispan.testing import TelemetryInMemory
from waiting import wait_until_async

pytestmark = pytest.mark.redis


async def receive(pubsub, count: int) -> list:
    """Return ``count`` messages of any kind, and wait for them."""
    found = []

    async def all_there() -> bool:
        message = await settle(pubsub.get_message(timeout=0.05))
        if message is not None:
            found.append(message)
        return len(found) == count

    await wait_until_async(all_there, f"{count} messages", pause_s=0)
    return found


@of_kinds("sync", "async", "cluster")
async def test_subscribe_publish_receive_unsubscribe(world: World, recorded: TelemetryInMemory):
    """Each command is one span and each message one count, and no channel name is emitted."""
    client = world.client()
    pubsub = client.pubsub()
    await settle(pubsub.subscribe("private-channel"))
    await settle(pubsub.psubscribe("private-*"))
    assert len(await receive(pubsub, 2)) == 2
    await settle(client.publish("private-channel", "private-payload"))
    messages = await receive(pubsub, 2)
    assert {message["type"] for message in messages} == {"message", "pmessage"}
    await settle(pubsub.unsubscribe("private-channel"))
    assert [span.name.split()[0] for span in recorded.spans()] == ["SUBSCRIBE", "PSUBSCRIBE", "PUBLISH", "UNSUBSCRIBE"]
    assert all(span.attributes["network.peer.address"] == "127.0.0.1" for span in recorded.spans())
    assert recorded.value("redis.client.pubsub.received") == 2
    assert SLOT.runtime.self_metrics.read("messages") == {"message": 1, "pmessage": 1}
    shown = "".join(span.to_json() for span in recorded.spans()) + str(recorded.metrics())
    assert "private" not in shown
    await close(pubsub)


@sync_and_async
async def test_listening_opens_no_span(world: World, recorded: TelemetryInMemory):
    """Waiting for a message is no operation, because a span would only measure silence."""
    client = world.client()
    pubsub = client.pubsub()
    await settle(pubsub.subscribe("c"))
    await receive(pubsub, 1)
    recorded.clear()
    assert await settle(pubsub.get_message(timeout=0.01)) is None
    assert recorded.spans() == []
    await close(pubsub)


@sync_and_async
async def test_subscription_restored_after_a_lost_connection_is_internal(world: World, recorded: TelemetryInMemory):
    """The client re-subscribes on a new connection by itself: this has no span, and messages arrive again."""
    client = world.client()
    pubsub = client.pubsub()
    await settle(pubsub.subscribe("c"))
    await receive(pubsub, 1)
    recorded.clear()
    world.server.kill_clients()
    restored = []
    for _ in range(5):
        # How many failures the program sees before the reconnect depends on redis-py's version.
        with contextlib.suppress(redis.ConnectionError):
            restored = restored or await receive(pubsub, 1)
    assert [message["type"] for message in restored] == ["subscribe"]
    assert recorded.spans() == []
    await settle(client.publish("c", "x"))
    assert [message["type"] for message in await receive(pubsub, 1)] == ["message"]
    await close(pubsub)


@of_kinds("sync")
async def test_handler_of_a_message_may_call_redis(world: World, recorded: TelemetryInMemory):
    """A call that a message handler makes is a separate operation."""
    client = world.client()
    pubsub = client.pubsub()
    calls = []

    def handler(message):
        calls.append(message)
        client.set("from-handler", "1")

    pubsub.subscribe(c=handler)
    await receive(pubsub, 1)
    recorded.clear()
    world.server.call("PUBLISH", "c", "x")
    for _ in range(100):
        pubsub.get_message(timeout=0.02)
        if calls:
            break
    assert SLOT.runtime.self_metrics.read("messages") == {"message": 1}
    assert recorded.span().name.startswith("SET")
    pubsub.close()
