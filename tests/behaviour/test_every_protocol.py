"""Telemetry is the same for RESP2 and RESP3, text and bytes, in pairs with each kind of call.

The version matrix runs this file with hiredis and without it.
"""

from typing import Any

import pytest
import redis

from clients import World, close, outcome_of, settle, sync_and_async, with_clusters
from redispan.testing import TelemetryInMemory

pytestmark = pytest.mark.redis

each_protocol = pytest.mark.parametrize("protocol", [2, 3])
each_decoding = pytest.mark.parametrize("decode", [True, False], ids=["text", "bytes"])


def told_of(recorded: TelemetryInMemory) -> list[tuple[Any, ...]]:
    """Return operation, error and size of each span, in order."""
    wanted = ("db.operation.name", "error.type", "db.operation.batch.size")
    return [tuple(span.attributes.get(name) for name in wanted) for span in recorded.spans()]


@with_clusters
@each_protocol
@each_decoding
async def test_errors_batches_and_scripts(
    world: World, recorded: TelemetryInMemory, protocol: int, decode: bool
) -> None:
    """An error, a batch with an error inside, and a script that must be loaded first give the same spans everywhere.

    The protocol and the decoding make no difference.
    """
    client = world.client(protocol=protocol, decode_responses=decode)
    await settle(client.script_flush())
    await settle(client.set("k", "v"))
    recorded.clear()
    _, error = await outcome_of(lambda: client.lpush("k", "x"))
    assert isinstance(error, redis.ResponseError)
    pipeline = world.pipeline(client)
    pipeline.get("k")
    pipeline.lpush("k", "x")
    first, second = await settle(pipeline.execute(raise_on_error=False))
    assert first == ("v" if decode else b"v")
    assert isinstance(second, redis.ResponseError)
    if world.is_cluster:
        await settle(client.eval("return redis.call('GET', KEYS[1])", 1, "k"))
    else:
        script = client.register_script("return redis.call('GET', KEYS[1])")
        assert await settle(script(keys=["k"])) == first
    assert told_of(recorded) == [
        ("LPUSH", "WRONGTYPE", None),
        ("PIPELINE", "WRONGTYPE", 2),
        ("EVAL" if world.is_cluster else "EVALSHA", None, None),
    ]


@sync_and_async
@each_protocol
@each_decoding
async def test_transactions_and_subscriptions(
    world: World, recorded: TelemetryInMemory, protocol: int, decode: bool
) -> None:
    """A transaction and a received message give the same spans and counts, although RESP3 pushes messages."""
    client = world.client(protocol=protocol, decode_responses=decode)
    pipeline = world.pipeline(client, transaction=True)
    pipeline.set("a", "1")
    pipeline.set("b", "2")
    assert await settle(pipeline.execute()) == [True, True]
    pubsub = client.pubsub()
    await settle(pubsub.subscribe("channel"))
    received: list[Any] = []
    await settle(client.publish("channel", "hello"))
    while len(received) < 2:
        message = await settle(pubsub.get_message(timeout=5))
        assert message is not None, "nothing arrived within five seconds"
        received.append(message["data"])
    await close(pubsub)
    assert received == [1, "hello" if decode else b"hello"]
    assert told_of(recorded)[:3] == [("MULTI SET", None, 2), ("SUBSCRIBE", None, None), ("PUBLISH", None, None)]
    assert recorded.value("redis.client.pubsub.received") == 1
