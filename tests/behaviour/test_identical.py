"""With and without redispan: identical results, exceptions and side effects, whatever the arguments."""

import asyncio
import contextlib

import hypothesis.strategies as st
import pytest
import redis
import redis.asyncio
from hypothesis import HealthCheck, given, settings

from redispan import RedispanInstrumentor
from redispan.testing import TelemetryInMemory
from servers.redis_server import RedisServer

pytestmark = pytest.mark.redis

hostile = st.one_of(
    st.binary(max_size=40),
    st.binary(max_size=20).map(memoryview),
    st.binary(max_size=20).map(bytearray),
    st.text(max_size=20),
    st.integers(),
    st.floats(),
    st.sampled_from([b"", "", b"\xff\xfe", "k", "text", "1 2", " ", "\ud800", None, True, ["list"], {"a": 1}, ()]),
    st.sampled_from([b"x" * 200_000, "y" * 200_000]),
)
words = st.one_of(
    st.sampled_from(
        [
            "SET",
            "GET",
            "set",
            "LPUSH",
            "INCR",
            "HSET",
            "HGETALL",
            "MGET",
            "ZADD",
            "SADD",
            "TYPE",
            "APPEND",
            "SETRANGE",
            b"GET",
            b"SET",
            "SET k v",
            "GET k",
            "OBJECT ENCODING",
            "OBJECT",
            "object encoding",
            "NOSUCH",
            "NO SUCH",
            b"\xff",
            "FCALL",
            "EVALSHA",
            "EVAL",
            "EXISTS",
            "ECHO",
            "XADD",
            "CONFIG GET",
            "ACL WHOAMI",
            "Get",
        ]
    ),
    st.text(st.characters(codec="utf-8"), min_size=1, max_size=8).map(lambda tail: f"NOSUCH{tail}"),
)
calls = st.tuples(words, st.lists(hostile, max_size=4)).map(lambda call: (call[0], *call[1]))


def seen(result: object, error: BaseException | None) -> tuple:
    """Return what the caller can see of an outcome."""
    if isinstance(result, list):
        result = [seen(None, item) if isinstance(item, Exception) else item for item in result]
    return repr(result), type(error), repr(getattr(error, "args", None))


def outcome(call) -> tuple:
    """Run a call and describe its outcome."""
    try:
        return seen(call(), None)
    except Exception as error:
        return seen(None, error)


@contextlib.contextmanager
def instrumented():
    """Switch redispan on for the block."""
    telemetry = TelemetryInMemory()
    RedispanInstrumentor().instrument(**telemetry.providers, query_text="keys", insight=False)
    try:
        yield telemetry
    finally:
        RedispanInstrumentor().uninstrument()
        telemetry.close()


def state_of(server: RedisServer) -> list:
    """Return everything that the server holds, in an order that does not depend on the order of arrival."""
    keys = sorted(server.call("KEYS", "*"), key=repr)
    return [(key, server.call("DUMP", key)) for key in keys]


def prepared(server: RedisServer) -> None:
    """Store the data that every example starts from."""
    server.call_all(("FLUSHALL",), ("SCRIPT", "FLUSH"), ("SET", "text", "not a number"), ("SET", "k", "41"))


slowly = settings(
    max_examples=max(10, settings.default.max_examples // 4),
    deadline=None,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
        HealthCheck.large_base_example,
        HealthCheck.filter_too_much,
    ],
)


@slowly
@given(batch=st.lists(calls, min_size=1, max_size=4))
@pytest.mark.parametrize("decode", [True, False])
def test_commands(redis_server: RedisServer, decode: bool, batch: list):
    """A sequence of commands gives the same answers, the same errors and the same data on the server."""

    def run() -> tuple:
        prepared(redis_server)
        with contextlib.closing(
            redis.Redis.from_url(redis_server.url, decode_responses=decode, socket_timeout=2)
        ) as client:
            results = [outcome(lambda call=call: client.execute_command(*call)) for call in batch]
        return results, state_of(redis_server)

    bare = run()
    with instrumented():
        assert run() == bare


@slowly
@given(batch=st.lists(calls, min_size=0, max_size=4), raising=st.booleans(), transaction=st.booleans())
def test_pipelines(redis_server: RedisServer, batch: list, raising: bool, transaction: bool):
    """A pipeline or transaction of hostile commands has the same outcome, and its object is as usable afterwards."""

    def run() -> tuple:
        prepared(redis_server)
        with contextlib.closing(redis.Redis.from_url(redis_server.url, socket_timeout=2)) as client:
            pipeline = client.pipeline(transaction=transaction)
            queued = [outcome(lambda call=call: pipeline.execute_command(*call) is pipeline) for call in batch]
            result = outcome(lambda: pipeline.execute(raise_on_error=raising))
            again = outcome(pipeline.execute)
            left = len(pipeline)
            pipeline.reset()
        return queued, result, again, left, state_of(redis_server)

    bare = run()
    with instrumented():
        assert run() == bare


@slowly
@given(batch=st.lists(calls, min_size=1, max_size=3), raising=st.booleans())
def test_async_commands_and_pipelines(redis_server: RedisServer, batch: list, raising: bool):
    """Commands and pipelines of asyncio clients have the same outcomes."""

    async def work() -> tuple:
        async with redis.asyncio.Redis.from_url(redis_server.url, socket_timeout=2) as client:
            results = []
            for call in batch:
                try:
                    results.append(seen(await client.execute_command(*call), None))
                except Exception as error:
                    results.append(seen(None, error))
            pipeline = client.pipeline(transaction=False)
            try:
                for call in batch:
                    pipeline.execute_command(*call)
                results.append(seen(await pipeline.execute(raise_on_error=raising), None))
            except Exception as error:
                results.append(seen(None, error))
            await pipeline.reset()
        return results, state_of(redis_server)

    def run() -> tuple:
        prepared(redis_server)
        return asyncio.run(work())

    bare = run()
    with instrumented():
        assert run() == bare


@slowly
@given(keys=st.lists(hostile, max_size=3), values=st.lists(hostile, max_size=3), lazy=st.booleans())
def test_scripts(redis_server: RedisServer, keys: list, values: list, lazy: bool):
    """A script object gets the same arguments, and consumes a generator of them once."""

    def run() -> tuple:
        prepared(redis_server)
        with contextlib.closing(redis.Redis.from_url(redis_server.url, socket_timeout=2)) as client:
            script = client.register_script("return {KEYS[1], ARGV[1], #KEYS, #ARGV}")
            return outcome(lambda: script(keys=keys, args=(value for value in values) if lazy else values))

    bare = run()
    with instrumented():
        assert run() == bare


def test_exception_is_the_very_object(redis_server: RedisServer, recorded: TelemetryInMemory):
    """What a response callback raises reaches the caller as the same object, with its cause and arguments."""

    class OwnError(Exception):
        pass

    raised = OwnError("precious")
    cause = ValueError("cause")

    def callback(*_, **__):
        raise raised from cause

    with contextlib.closing(redis.Redis.from_url(redis_server.url)) as client:
        client.set_response_callback("GET", callback)
        with pytest.raises(OwnError) as caught:
            client.get("k")
    assert caught.value is raised
    assert caught.value.__cause__ is cause
    assert recorded.span().attributes["error.type"].endswith("OwnError")


def test_response_is_the_very_object(redis_server: RedisServer, recorded: TelemetryInMemory):
    """The caller gets the same object that the client produced."""
    thing = object()
    with contextlib.closing(redis.Redis.from_url(redis_server.url)) as client:
        client.set_response_callback("GET", lambda *_, **__: thing)
        assert client.get("k") is thing


def test_call_without_any_argument(redis_server: RedisServer, recorded: TelemetryInMemory):
    """A call without any argument behaves the same."""
    with contextlib.closing(redis.Redis.from_url(redis_server.url)) as client:
        with pytest.raises(IndexError):
            client.execute_command()
        with pytest.raises(IndexError):
            client.pipeline().execute_command()
        assert client.ping()


@pytest.mark.parametrize("word", ["", " ", b"", b" "])
def test_command_of_no_word_at_all(redis_server: RedisServer, word: object):
    """An empty command, which the server never answers, fails in the same way."""

    def run() -> tuple:
        # Long enough for the reply to PING on any machine.
        client = redis.Redis.from_url(redis_server.url, socket_timeout=1, retry=None)
        with contextlib.closing(client):
            return outcome(lambda: client.execute_command(word)), outcome(client.ping)

    bare = run()
    with instrumented():
        assert run() == bare
