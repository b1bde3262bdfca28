"""``redispan.monitor`` on generator functions: the monitored run covers the body, and the generator is unchanged."""

import asyncio
import gc
import inspect
import sys
import weakref
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import pytest
import redis
import redis.asyncio

import redispan
from redispan._runtime import monitored_generators
from redispan._runtime.runtime import current
from redispan.testing import TelemetryInMemory

pytestmark = pytest.mark.redis


@pytest.fixture
def client(recorded: TelemetryInMemory, redis_url: str) -> Iterator[redis.Redis]:
    """Yield a client of an instrumented program."""
    with redis.Redis.from_url(redis_url) as client:
        yield client


class Clock:
    """A clock that moves only when the test moves it."""

    def __init__(self) -> None:
        self.now_ns = 0

    def __call__(self) -> int:
        return self.now_ns


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Return the clock that times generators."""
    clock = Clock()
    monkeypatch.setattr(monitored_generators, "perf_counter_ns", clock)
    return clock


def works() -> dict[str, Any]:
    """Return the monitored segments of the performance report, by name."""
    return {found.name: found for found in redispan.performance_report("process").works}


def test_a_generator_is_its_body(client: redis.Redis, clock: Clock) -> None:
    """Operations and time of the body count for its run, and those of the consumer don't.

    The monitored run around both has all of them.
    """

    @redispan.monitor("pages")
    def pages(count: int) -> Iterator[int]:
        for number in range(count):
            clock.now_ns += 1_000_000
            client.get("page")
            yield number

    made = pages(3)
    assert "pages" not in works()
    with redispan.monitor("around") as around:
        for number in made:
            clock.now_ns += 500_000_000
            client.set("seen", number)
    found = works()["pages"]
    assert (found.runs, found.failed_runs, found.commands) == (1, 0, {"GET": 3})
    assert current().figures.monitored.snapshot()["pages"]["total_ns"] == 3_000_000
    assert around.figures().commands == {"GET": 3, "SET": 3}
    assert current().figures.monitored.running == 0


async def test_an_async_generator_is_its_body(recorded: TelemetryInMemory, redis_url: str) -> None:
    """An async generator's run covers what its body awaits. Each of two side by side counts only its own operations."""
    client = redis.asyncio.Redis.from_url(redis_url)

    async def pages(count: int) -> AsyncIterator[int]:
        for number in range(count):
            await asyncio.gather(client.get("page"), asyncio.sleep(0))
            yield number

    async def consume(name: str, count: int) -> None:
        async for number in redispan.monitor(name)(pages)(count):
            await client.set("seen", number)

    await asyncio.gather(consume("one", 2), consume("two", 3))
    await client.aclose()
    found = works()
    assert {name: found[name].commands for name in ("one", "two")} == {"one": {"GET": 2}, "two": {"GET": 3}}
    assert current().figures.monitored.running == 0


def conversation(log: list[Any]) -> Generator[Any, Any, str]:
    """A generator that uses everything a generator can do."""
    try:
        log.append((yield 1))
        try:
            yield 2
        except KeyError as error:
            log.append(error)
            yield 3
        yield 4
    finally:
        log.append("end")
    return "result"


async def async_conversation(log: list[Any]) -> AsyncGenerator[Any, Any]:
    """The async version of ``conversation``."""
    try:
        log.append((yield 1))
        try:
            yield 2
        except KeyError as error:
            log.append(error)
            yield 3
        yield 4
    finally:
        log.append("end")


KEY_ERROR = KeyError("k")
TALKS: dict[str, Callable[[Any], Any]] = {
    "to the end": list,
    "send and throw": lambda g: [next(g), g.send("sent"), g.throw(KEY_ERROR), next(g), next(g, "over")],
    "closed": lambda g: [next(g), g.close(), next(g, "over")],
    "closed at once": lambda g: [g.close(), next(g, "over")],
    "thrown out": lambda g: [next(g), g.throw(KEY_ERROR)],
    "thrown at once": lambda g: g.throw(KEY_ERROR),
    "left by GeneratorExit": lambda g: [next(g), g.throw(GeneratorExit())],
    "its result": lambda g: (yield from g),
}


@pytest.mark.parametrize("talk", TALKS)
def test_the_protocol_is_the_same(talk: str) -> None:
    """Items, results, sent values, thrown exceptions and raised exceptions are the same as without the decorator."""

    def outcome(function: Callable[..., Any]) -> tuple[Any, list[Any]]:
        log: list[Any] = []
        try:
            result: Any = TALKS[talk](function(log))
            if inspect.isgenerator(result):
                items = []
                while True:
                    items.append(next(result))
        except BaseException as error:
            result = (
                (error if error is KEY_ERROR else repr(error)) if not isinstance(error, StopIteration) else error.value
            )
        return result, log

    assert outcome(redispan.monitor("talk")(conversation)) == outcome(conversation)


ASYNC_TALKS: dict[str, Callable[[Any], Awaitable[Any]]] = {
    "send and throw": lambda g: _one_by_one(g.__anext__, lambda: g.asend(5), lambda: g.athrow(KEY_ERROR), g.__anext__),
    "closed": lambda g: _one_by_one(g.__anext__, g.aclose, g.__anext__),
    "thrown out": lambda g: _one_by_one(g.__anext__, lambda: g.athrow(KEY_ERROR)),
    "left by GeneratorExit": lambda g: _one_by_one(g.__anext__, lambda: g.athrow(GeneratorExit())),
    "to the end": lambda g: _one_by_one(*[g.__anext__] * 5),
}


async def _one_by_one(*steps: Callable[[], Awaitable[Any]]) -> list[Any]:
    found = []
    for step in steps:
        try:
            found.append(await step())
        except BaseException as error:
            found.append(error if error is KEY_ERROR else repr(error))
    return found


@pytest.mark.parametrize("talk", ASYNC_TALKS)
async def test_the_async_protocol_is_the_same(talk: str) -> None:
    """The async version: an async generator behaves the same as without the decorator."""
    ours: list[Any] = []
    plain: list[Any] = []
    found = await ASYNC_TALKS[talk](redispan.monitor("talk")(async_conversation)(ours))
    assert found == await ASYNC_TALKS[talk](async_conversation(plain))
    assert ours == plain


def test_frameworks_recognise_it() -> None:
    """The decorated function is still a generator function, with its name and signature.

    It works in ``contextmanager``.
    """
    watched = redispan.monitor("talk")(conversation)
    assert inspect.isgeneratorfunction(watched)
    assert inspect.isasyncgenfunction(redispan.monitor("talk")(async_conversation))
    assert inspect.signature(watched) == inspect.signature(conversation)

    @contextmanager
    @redispan.monitor("managed")
    def managed() -> Iterator[str]:
        yield "inside"

    def use() -> None:
        with managed() as value:
            assert value == "inside"
            raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        use()
    assert (works()["managed"].runs, works()["managed"].failed_runs) == (1, 1)


async def test_async_frameworks_too() -> None:
    """The async version works in ``asynccontextmanager``."""

    @asynccontextmanager
    @redispan.monitor("managed")
    async def managed() -> AsyncIterator[str]:
        yield "inside"

    async with managed() as value:
        assert value == "inside"
    assert (works()["managed"].runs, works()["managed"].failed_runs) == (1, 0)


def test_a_generator_left_behind_is_a_run_that_ended(client: redis.Redis) -> None:
    """A generator that its consumer abandons is closed sooner or later.

    It is one run without a failure, and no later operation counts for it.
    """

    @redispan.monitor("endless")
    def endless() -> Iterator[Any]:
        while True:
            yield client.get("k")

    left = endless()
    next(left)
    assert current().figures.monitored.running == 0
    client.set("between", "1")
    del left
    gc.collect()
    client.set("after", "1")
    found = works()["endless"]
    assert (found.runs, found.failed_runs, found.commands) == (1, 0, {"GET": 1})


@pytest.mark.skipif(sys.implementation.name != "cpython", reason="counts references")
def test_nothing_is_kept_alive() -> None:
    """A suspended generator keeps neither its last item nor its arguments alive."""

    class Thing:
        pass

    @redispan.monitor("items")
    def items(given: Thing) -> Iterator[Thing]:
        del given
        yield Thing()
        yield Thing()

    argument = Thing()
    generator = items(argument)
    item = next(generator)
    kept = [weakref.ref(argument), weakref.ref(item)]
    del argument, item
    assert [known() for known in kept] == [None, None]
    generator.close()


async def test_a_task_that_iterates_the_generator_that_started_it(recorded: TelemetryInMemory, redis_url: str) -> None:
    """When a task iterates the generator that started it, no operation counts twice.

    The context of the task is already inside the monitored run.
    """
    client = redis.asyncio.Redis.from_url(redis_url)
    tasks: list[asyncio.Task[None]] = []
    suspended = asyncio.Event()

    async def go_on() -> None:
        await suspended.wait()
        async for _ in generator:
            pass

    @redispan.monitor("loop")
    async def loop() -> AsyncIterator[int]:
        tasks.append(asyncio.create_task(go_on()))
        yield 1
        await client.get("k")
        yield 2

    generator = loop()
    await anext(generator)
    suspended.set()
    await asyncio.gather(*tasks)
    await client.aclose()
    assert works()["loop"].commands == {"GET": 1}
