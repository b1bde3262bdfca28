"""Interruptions of every kind: the span ends, its parent is right, and no context stays behind."""

import asyncio
import gc
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis
import redis.asyncio
from opentelemetry import trace
from opentelemetry.trace import StatusCode

from clients import World, of_kinds, outcome_of, settle, sync_and_async
from redispan import RedispanInstrumentor
from redispan._core.observing import current
from redispan._core.operation import Operation
from redispan._telemetry import scope
from redispan.testing import TelemetryInMemory

pytestmark = pytest.mark.redis

only_async = of_kinds("async", "async-cluster")


def nothing_left() -> None:
    """Assert that neither redispan's context nor OpenTelemetry's holds anything of a call."""
    assert current.get() is None
    assert not trace.get_current_span().get_span_context().is_valid


@only_async
async def test_cancelled_call_ends_its_span(world: World, recorded: TelemetryInMemory):
    """A cancelled call ends its span as a failure with the error CancelledError, and the client stays usable."""
    client = world.client()
    await client.set("k", "v")
    recorded.clear()
    task = asyncio.ensure_future(client.blpop(["{k}nothing"], timeout=5))
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    span = recorded.span()
    assert span.status.status_code is StatusCode.ERROR
    assert span.attributes["error.type"] == "asyncio.exceptions.CancelledError"
    nothing_left()
    assert await client.get("k") == "v"


@only_async
async def test_wait_for_ends_the_span(world: World, recorded: TelemetryInMemory):
    """When ``wait_for`` gives a call up, its span ends, with the caller's span as parent."""
    client = world.client()
    await client.set("k", "v")
    recorded.clear()
    tracer = recorded.tracer_provider.get_tracer("caller")
    with tracer.start_as_current_span("caller") as parent, pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(client.blpop(["{k}nothing"], timeout=5), 0.05)
    span = next(span for span in recorded.spans() if span.name.startswith("BLPOP"))
    assert span.parent.span_id == parent.get_span_context().span_id
    nothing_left()


@only_async
async def test_coroutine_closed_from_outside_ends_the_span(world: World, recorded: TelemetryInMemory):
    """A coroutine that is started and then closed by hand, in another context, leaves nothing open."""
    client = world.client()
    await client.get("k")
    recorded.clear()
    coroutine = client.get("k")
    import contextvars

    contextvars.copy_context().run(lambda: coroutine.send(None))
    coroutine.close()
    assert len(recorded.spans()) == 1
    nothing_left()


@only_async
async def test_coroutine_never_awaited_is_no_operation(world: World, recorded: TelemetryInMemory):
    """A call that is made and never awaited sends nothing, and redispan emits nothing for it."""
    client = world.client()
    coroutine = client.get("k")
    coroutine.close()
    assert recorded.spans() == []


@of_kinds("sync", "cluster")
@pytest.mark.parametrize("interruption", [KeyboardInterrupt, SystemExit, GeneratorExit])
async def test_interruption_of_the_program_passes(world: World, recorded: TelemetryInMemory, interruption):
    """Ctrl-C in the middle of a call reaches the program, and the span ends as a failure."""
    client = world.client()

    def interrupt(*_, **__):
        raise interruption

    client.set_response_callback("GET", interrupt)
    with pytest.raises(interruption):
        client.get("k")
    assert recorded.span().status.status_code is StatusCode.ERROR
    nothing_left()


@sync_and_async
@pytest.mark.parametrize("which", ["request_hook", "response_hook"])
async def test_interruption_in_a_hook_leaves_nothing(world: World, instrument, which: str):
    """Ctrl-C while a hook runs reaches the program. The span ends, and nothing stays current."""

    def interrupt(*_):
        raise KeyboardInterrupt

    recorded = instrument(**{which: interrupt})
    client = world.client()
    try:
        await settle(client.get("k"))
    except KeyboardInterrupt:
        pass
    else:
        pytest.fail("the interruption was swallowed")
    nothing_left()
    assert len(recorded.spans()) <= 1


@only_async
async def test_concurrent_tasks_have_their_own_parents(world: World, recorded: TelemetryInMemory):
    """With many tasks at once, every span is the child of its own task's span."""
    client = world.client()
    tracer = recorded.tracer_provider.get_tracer("caller")

    async def one(index: int) -> None:
        with tracer.start_as_current_span(f"task-{index}"):
            await asyncio.gather(client.set(f"k{index}", index), client.get(f"k{index}"))
            await client.get(f"k{index}")

    await client.get("k")  # Two tasks can't start one of redis-py's cluster clients at the same time.
    recorded.clear()
    await asyncio.gather(*(one(index) for index in range(20)))
    by_id = {span.context.span_id: span for span in recorded.spans()}
    ours = [span for span in recorded.spans() if not span.name.startswith("task-")]
    assert len(ours) == 60
    children: dict[str, int] = {}
    for span in ours:
        parent = by_id[span.parent.span_id]
        children[parent.name] = children.get(parent.name, 0) + 1
    assert set(children.values()) == {3}
    nothing_left()


def test_threads_have_their_own_parents(redis_server, recorded: TelemetryInMemory):
    """With many threads at once, every span is the child of its own thread's span."""
    client = redis.Redis.from_url(redis_server.url)
    tracer = recorded.tracer_provider.get_tracer("caller")

    def one(index: int) -> None:
        with tracer.start_as_current_span(f"thread-{index}"):
            for _ in range(10):
                client.get("k")
        nothing_left()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(one, range(16)))
    by_id = {span.context.span_id: span.name for span in recorded.spans()}
    parents = [by_id[span.parent.span_id] for span in recorded.spans() if span.name.startswith("GET")]
    assert len(parents) == 160
    assert {parents.count(name) for name in set(parents)} == {10}
    client.close()


@only_async
@pytest.mark.filterwarnings("ignore:'asyncio.iscoroutinefunction' is deprecated:DeprecationWarning")  # redis-py asks so
async def test_task_started_while_connecting_is_not_client_internal_for_ever(world: World, recorded: TelemetryInMemory):
    """A task that is started while a client connects, and outlives that, has its own operations recorded."""
    if world.is_cluster:
        pytest.skip("cluster clients have a connect function of their own")
    tasks = []
    other = world.client()

    connected = asyncio.Event()

    async def later() -> None:
        await connected.wait()
        await other.set("from-task", "1")

    async def on_connect(connection) -> None:
        await connection.on_connect()
        tasks.append(asyncio.ensure_future(later()))

    client = world.package.Redis(
        connection_pool=world.package.ConnectionPool.from_url(world.server.url, redis_connect_func=on_connect)
    )
    world._made.append(client)
    await client.get("k")
    connected.set()
    await asyncio.gather(*tasks)
    assert [span.name.split()[0] for span in recorded.spans()] == ["GET", "SET"]


def test_failing_call_keeps_no_argument_alive(redis_server, recorded: TelemetryInMemory):
    """After a failed call, only the caller holds its arguments: no reference cycle waits for the garbage collector.

    Sync only: redis-py's own asyncio code leaves such a cycle behind, without redispan too.
    """

    class Argument(str):
        __slots__ = ("__weakref__",)

    def fail() -> weakref.ref:
        argument = Argument("x")
        try:
            client.lpush("k", argument)
        except redis.ResponseError:
            return weakref.ref(argument)
        raise AssertionError("it did not fail")

    client = redis.Redis.from_url(redis_server.url)
    client.set("k", "v")
    gc.collect()
    gc.disable()
    try:
        assert fail()() is None
    finally:
        gc.enable()
        client.close()


@sync_and_async
async def test_no_operation_outlives_its_call(world: World, recorded: TelemetryInMemory):
    """Thousands of calls leave no operation record behind."""
    client = world.client()
    await settle(client.set("k", "v"))
    for _ in range(200):
        await settle(client.get("k"))
        await outcome_of(lambda: client.lpush("k", 1))
    gc.collect()
    alive = [thing for thing in gc.get_objects() if type(thing) is Operation and not thing.internal]
    assert len(alive) <= 2


@sync_and_async
async def test_suppressed_instrumentation_is_silent(world: World, recorded: TelemetryInMemory):
    """Inside ``suppress_instrumentation()`` redispan emits nothing. After it, redispan emits everything again."""
    from opentelemetry.instrumentation.utils import suppress_instrumentation

    client = world.client()
    with suppress_instrumentation():
        await settle(client.get("k"))
    assert recorded.spans() == []
    assert recorded.value("db.client.operation.duration") == 0
    assert scope.is_enabled()
    await settle(client.get("k"))
    assert len(recorded.spans()) == 1


def test_hook_that_calls_redis_makes_no_operation(redis_server, telemetry: TelemetryInMemory):
    """A hook may use the client: redispan does not record those calls, and they cause no endless recursion."""
    client = redis.Redis.from_url(redis_server.url)
    RedispanInstrumentor().instrument(**telemetry.providers, request_hook=lambda *_: client.get("from-hook"))
    client.set("k", "v")
    assert [span.name.split()[0] for span in telemetry.spans()] == ["SET"]
    client.close()


def test_generator_of_messages_closed_in_another_thread(redis_server, recorded: TelemetryInMemory):
    """A scan iterator that one thread uses and another closes leaves no context in either."""
    client = redis.Redis.from_url(redis_server.url)
    for index in range(30):
        client.set(f"key-{index}", "v")
    iterator = client.scan_iter(count=1)
    next(iterator)
    thread = threading.Thread(target=iterator.close)
    thread.start()
    thread.join()
    nothing_left()
    client.close()
