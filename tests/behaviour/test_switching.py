"""Switching on and off: completely, for one client, beside other tools, and repeatedly."""

import functools
import importlib

import pytest
import redis

from clients import World, close, every_kind, settle, with_clusters
from redispan import RedispanInstrumentor
from redispan._client.patching.patch_table import PACKAGES, PATCH_TABLE
from redispan._core.slot import SLOT
from redispan.testing import TelemetryInMemory

pytestmark = pytest.mark.redis


def patched_attributes() -> dict[str, object]:
    """Return every attribute that may be patched, as its owner itself has it."""
    found: dict[str, object] = {}
    for target in PATCH_TABLE:
        try:
            module = importlib.import_module(f"redis.{target.module}")
        except ImportError:
            continue
        owner = getattr(module, target.owner.format(**PACKAGES["redis"]), None)
        for cls in owner.__mro__ if owner is not None else ():
            for name, value in vars(cls).items():
                if callable(value) or isinstance(value, (staticmethod, classmethod, property)):
                    found[f"{cls.__module__}.{cls.__qualname__}.{name}"] = value
    return found


def test_uninstrument_restores_every_attribute(telemetry: TelemetryInMemory):
    """After uninstrument, every attribute of every class is the same object as before, own or inherited."""
    before = patched_attributes()
    assert len(before) > 300
    for _ in range(2):
        RedispanInstrumentor().instrument(**telemetry.providers)
        during = patched_attributes()
        assert any(during[name] is not value for name, value in before.items() if name in during)
        RedispanInstrumentor().uninstrument()
        after = patched_attributes()
        assert set(after) == set(before)
        assert [name for name, value in before.items() if after[name] is not value] == []


@with_clusters
async def test_off_and_on_again(world: World, telemetry: TelemetryInMemory):
    """Clients made before, while on and while off all follow the switch. Each call is one span and one count."""
    SLOT.runtime.self_metrics.clear()
    clients = [world.client()]
    instrumentor = RedispanInstrumentor()
    for on in (True, False, True):
        if on:
            instrumentor.instrument(**telemetry.providers)
            instrumentor.instrument(**telemetry.providers)
        else:
            instrumentor.uninstrument()
            instrumentor.uninstrument()
        clients.append(world.client())
        telemetry.clear()
        for client in clients:
            await settle(client.set("k", "v"))
        assert len(telemetry.spans()) == (len(clients) if on else 0)
    assert telemetry.value("db.client.operation.duration") == 2 + 4
    assert len(telemetry.metric("redis.client.operations")) == 1


def test_others_who_wrapped_us_keep_their_wrapper(redis_server, telemetry: TelemetryInMemory):
    """A tool that wrapped redispan's patch keeps working after uninstrument.

    redispan emits nothing then, and one span per call once it is on again.
    """
    seen = []
    instrumentor = RedispanInstrumentor()
    instrumentor.instrument(**telemetry.providers)
    ours = redis.Redis.execute_command

    @functools.wraps(ours)
    def theirs(self, *args, **options):
        seen.append(args[0])
        return ours(self, *args, **options)

    client = redis.Redis.from_url(redis_server.url)
    redis.Redis.execute_command = theirs
    try:
        client.ping()
        assert len(telemetry.spans()) == 1
        instrumentor.uninstrument()
        telemetry.clear()
        client.ping()
        assert redis.Redis.execute_command is theirs
        assert seen == ["PING", "PING"]
        assert telemetry.spans() == []
        instrumentor.instrument(**telemetry.providers)
        client.ping()
        assert len(telemetry.spans()) == 1
        assert seen == ["PING"] * 3
        instrumentor.uninstrument()
    finally:
        redis.Redis.execute_command = ours.__wrapped__
        client.close()


@every_kind
async def test_one_client_alone(world: World, telemetry: TelemetryInMemory):
    """With one client instrumented, its commands, pipelines and subscriptions have telemetry.

    Other clients have none.
    """
    client, other = world.client(), world.client()
    RedispanInstrumentor.instrument_client(client, **telemetry.providers)
    await settle(client.set("k", "v"))
    await settle(other.set("k", "v"))
    pipeline = world.pipeline(client)
    pipeline.get("k")
    pipeline.get("k")
    await settle(pipeline.execute())
    names = [span.name for span in telemetry.spans()]
    assert names == ["SET" + world.target("k"), "PIPELINE GET" + world.target("k")]
    for span in telemetry.spans():
        assert span.attributes.get("server.port") == world.address_of("k")[1]
        assert "network.peer.address" in span.attributes
    if world.kind != "async-cluster":
        telemetry.clear()
        pubsub = client.pubsub()
        await settle(pubsub.subscribe("c"))
        assert telemetry.span().name.startswith("SUBSCRIBE")
        await close(pubsub)
    RedispanInstrumentor.uninstrument_client(client)
    telemetry.clear()
    await settle(client.set("k", "v"))
    assert telemetry.spans() == []


def test_one_client_leaves_no_patch_behind(redis_server, telemetry: TelemetryInMemory):
    """After uninstrument_client, classes and client are the same as before."""
    before = patched_attributes()
    client = redis.Redis.from_url(redis_server.url)
    own = set(vars(client))
    RedispanInstrumentor.instrument_client(client, **telemetry.providers)
    client.ping()
    RedispanInstrumentor.uninstrument_client(client)
    assert set(vars(client)) == own
    after = patched_attributes()
    assert [name for name, value in before.items() if after[name] is not value] == []
    client.close()


@with_clusters
async def test_what_a_client_made_goes_silent_with_it(world: World, telemetry: TelemetryInMemory):
    """A pipeline of an instrumented client emits nothing once the client is uninstrumented.

    It goes on while the instrumentation is renewed.
    """
    client = world.client()
    RedispanInstrumentor.instrument_client(client, **telemetry.providers)
    pipeline = world.pipeline(client)
    RedispanInstrumentor.instrument_client(client, **telemetry.providers)
    for spans in (1, 0):
        telemetry.clear()
        pipeline.get("k")
        pipeline.get("k")
        await settle(pipeline.execute())
        assert len(telemetry.spans()) == spans
        RedispanInstrumentor.uninstrument_client(client)


@with_clusters
async def test_what_a_client_made_belongs_to_all_afterwards(world: World, telemetry: TelemetryInMemory):
    """A pipeline of a client that was instrumented alone, and isn't any more, is recorded once all clients are."""
    client = world.client()
    RedispanInstrumentor.instrument_client(client, **telemetry.providers)
    pipeline = world.pipeline(client)
    RedispanInstrumentor().instrument(**telemetry.providers)
    for _ in range(2):
        telemetry.clear()
        pipeline.get("k")
        pipeline.get("k")
        await settle(pipeline.execute())
        assert telemetry.span().name == "PIPELINE GET" + world.target("k")
        RedispanInstrumentor.uninstrument_client(client)


def noting(inner, seen):
    """Return a wrapper of the program that records the commands that pass."""

    def execute_command(*args, **options):
        seen.append(args[0])
        return inner(*args, **options)

    return execute_command


@with_clusters
async def test_a_client_keeps_its_own_methods(world: World, telemetry: TelemetryInMemory):
    """A method that the program put on the client is called before, while and after the client is instrumented."""
    client = world.client()
    inner = client.execute_command
    seen = []
    client.execute_command = own = noting(inner, seen)
    RedispanInstrumentor.instrument_client(client, **telemetry.providers)
    await settle(client.set("k", "v"))
    assert seen == ["SET"]
    assert telemetry.span().attributes["db.operation.name"] == "SET"
    RedispanInstrumentor.uninstrument_client(client)
    assert client.execute_command is own
    await settle(client.get("k"))
    assert seen == ["SET", "GET"]
    assert len(telemetry.spans()) == 1


@with_clusters
async def test_others_who_wrapped_one_client_keep_their_wrapper(world: World, telemetry: TelemetryInMemory):
    """A wrapper around redispan's on a client stays when redispan's is taken off, and redispan emits nothing then."""
    client = world.client()
    RedispanInstrumentor.instrument_client(client, **telemetry.providers)
    ours = client.execute_command
    seen = []
    client.execute_command = theirs = noting(ours, seen)
    await settle(client.set("k", "v"))
    RedispanInstrumentor.uninstrument_client(client)
    await settle(client.set("k", "v"))
    assert client.execute_command is theirs
    assert seen == ["SET", "SET"]
    assert len(telemetry.spans()) == 1


def test_client_of_its_own_within_the_whole(redis_server, telemetry: TelemetryInMemory):
    """A client that has a separate provider, while all are instrumented, emits one span, to that provider."""
    own = TelemetryInMemory()
    RedispanInstrumentor().instrument(**telemetry.providers)
    client = redis.Redis.from_url(redis_server.url)
    RedispanInstrumentor.instrument_client(client, **own.providers)
    client.set("k", "v")
    assert len(own.spans()) == 1
    assert telemetry.spans() == []
    assert "redis.client.operation.retries" not in own.span().attributes
    RedispanInstrumentor.uninstrument_client(client)
    client.set("k", "v")
    assert len(telemetry.spans()) == 1
    client.close()
    own.close()
