"""Interrupt one call wherever Python allows an interruption, and print in JSON what each interruption did.

Usage: python tests/soak/interrupted_program.py SCENARIO sync|async CtrlC|handler plain|redispan STEP URL
"""

from __future__ import annotations

import asyncio
import contextlib
import dis
import email
import faulthandler
import functools
import gc
import importlib.metadata
import json
import logging
import os
import random
import selectors
import signal
import sys
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import redis
import redis.asyncio
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor

from clients import close, settle
from redispan import RedispanInstrumentor
from redispan._core.observing import current
from redispan._insight.cache_sampling import FIRST
from redispan.testing import TelemetryInMemory

BEYOND = 60
"""So many calls in a row that end before the interruption comes: their last point was reached."""
LATER_S = float(os.environ.get("SOAK_LATER_S", "30"))
HANG_S = int(os.environ.get("SOAK_HANG_S", "3600"))
LEFT_ALONE = (
    str(Path(__file__).resolve().parents[1]),
    # An exception raised in the loop itself was never in the call.
    str(Path(asyncio.__file__).parent),
    selectors.__file__,
    # redis-py reads its own version from its package's metadata at each first call, which takes 25,000 opcodes.
    str(Path(email.__file__).parent),
    str(Path(importlib.metadata.__file__).parent),
)


CALLS = ("CALL", "CALL_FUNCTION_EX", "CALL_KW")


class TimeIsUpError(Exception):
    """The exception of a signal handler, as Celery's and RQ's raise it to end a task."""


async def get(client: Any) -> None:
    """Run one GET."""
    await settle(client.get("a"))


async def pipeline(client: Any) -> None:
    """Run two commands and a transaction around them."""
    async with _ended(client.pipeline()) as batch:
        batch.get("a")
        batch.set("b", "B")
        await settle(batch.execute())


async def pubsub(client: Any) -> None:
    """Subscribe, read the confirmation, and end the subscription."""
    async with _ended(client.pubsub()) as subscription:
        await settle(subscription.subscribe("news"))
        await settle(subscription.get_message(timeout=1))


async def script(client: Any) -> None:
    """Run a script that the server has forgotten: call it, load it and call it again."""
    await settle(client.lua(keys=["a"], args=["x"]))


@contextlib.asynccontextmanager
async def _ended(thing: Any) -> Any:
    # Like `with`, for sync and asyncio: a batch or subscription is returned whatever happens.
    try:
        yield thing
    finally:
        reset = getattr(thing, "aclose", None) or thing.reset
        await settle(reset())


SCENARIOS = {"GET": get, "first call": get, "pipeline": pipeline, "pubsub": pubsub, "script": script}


class _HungError(BaseException):
    """A call did not return: plain redis-py waits for ever for a reply that it lost."""


def _hung(*_: object) -> None:
    raise _HungError


class Spans(SpanProcessor):
    """Count the spans that began and did not end."""

    open = 0

    def on_start(self, span: Span, parent_context: Any = None) -> None:
        self.open += 1

    def on_end(self, span: ReadableSpan) -> None:
        self.open -= 1


class Interruption:
    """Raise ``theirs`` at one point of the code that runs inside ``watching``."""

    def __init__(self, theirs: BaseException) -> None:
        self.theirs = theirs
        self.at = self.seen = 0
        self.where = ""
        signal.signal(signal.SIGUSR1, self._handle)
        signal.signal(signal.SIGALRM, _hung)

    def reset(self, at: int) -> None:
        self.at, self.seen, self.where = at, 0, ""

    def _handle(self, *_: object) -> None:
        raise self.theirs

    def trace(self, frame: FrameType, event: str, _: object) -> Any:
        if frame.f_code.co_filename.startswith(LEFT_ALONE):
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        lets_in = _lets_in(frame.f_code)
        before = frame.f_lasti

        def follow(frame: FrameType, event: str, _: object) -> Any:
            nonlocal before
            if event == "opcode":
                self.seen += before in lets_in
                if self.seen == self.at and before in lets_in:
                    self._interrupt(frame)
                before = frame.f_lasti
            return follow

        return follow

    def _interrupt(self, frame: FrameType) -> None:
        sys.settrace(None)
        self.where = _place(frame)
        if isinstance(self.theirs, KeyboardInterrupt):
            raise self.theirs
        signal.raise_signal(signal.SIGUSR1)


@functools.cache
def _lets_in(code: CodeType) -> frozenset[int]:
    """Return where Python checks for signals: only after a call, at a function's start and at a jump back."""
    return frozenset(
        one.offset
        for one in dis.get_instructions(code)
        if one.opname in CALLS or "JUMP_BACKWARD" in one.opname or (one.opname == "RESUME" and (one.arg or 0) < 2)
    )


def _place(frame: FrameType) -> str:
    # Leave out this machine's folders, because the page quotes the place.
    name = frame.f_code.co_filename.split("site-packages/")[-1].split("/src/")[-1].split("/lib/")[-1]
    return f"{name}:{frame.f_lineno} {frame.f_code.co_name} {frame.f_lasti}"


class Program:
    """A program in which one call is interrupted, and which continues afterwards."""

    def __init__(self, scenario: str, mode: str, kind: str, url: str) -> None:
        self.scenario, self.mode, self.url = scenario, mode, url
        self.loop = asyncio.new_event_loop()
        self.interruption = Interruption(KeyboardInterrupt() if kind == "CtrlC" else TimeIsUpError())
        self.found: dict[str, Counter[str]] = {}
        self.spans = Spans()

    def client(self) -> Any:
        """Return a client with the connection that a call needs, or one before its first call."""
        module = redis.asyncio if self.mode == "async" else redis
        client = module.Redis.from_url(self.url, decode_responses=True, max_connections=5)
        client.lua = client.register_script("return redis.call('GET', KEYS[1])")
        if self.scenario != "first call":
            self.run(lambda: client.get("a"))
        if self.scenario == "script":
            self.run(client.script_flush)
        return client

    def run(self, call: Callable[[], Any]) -> Any:
        """Run the call to its end like ``asyncio.run``, which cancels what an interrupted task left over."""

        async def task() -> Any:
            return await settle(call())

        running = self.loop.create_task(task())
        try:
            return self.loop.run_until_complete(running)
        except BaseException:
            if not running.done():
                running.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    self.loop.run_until_complete(running)
            raise

    def interrupted_at(self, at: int) -> BaseException | None:
        """Make the call, interrupt it at that point, and return what the program sees."""
        client = self.client()
        before = self.spans.open
        self.interruption.reset(at)
        random.seed(0)  # measurements become exemplars at random: let it be the same in each call
        came: BaseException | None = None
        body = SCENARIOS[self.scenario]
        signal.setitimer(signal.ITIMER_REAL, LATER_S)
        try:
            sys.settrace(self.interruption.trace)
            try:
                self.run(lambda: body(client))
            finally:
                sys.settrace(None)
                signal.setitimer(signal.ITIMER_REAL, 0)
        except BaseException as error:
            came = error
        if self.interruption.where:
            self._judge(came, client.connection_pool, self.spans.open - before)
            self._go_on(client)
        elif came is not None:
            raise came
        self.run(client.connection_pool.disconnect)
        self.run(lambda: close(client))
        return came

    def _judge(self, came: BaseException | None, pool: Any, spans: int) -> None:
        theirs, theirs.__context__ = self.interruption.theirs, None
        theirs.__traceback__ = theirs.__cause__ = None
        if isinstance(came, _HungError):
            self._note("hung")
        elif came is None:
            self._note("swallowed")
        elif came is not theirs:
            self._note("another exception")
        known = len(pool._in_use_connections) + len(pool._available_connections)
        if pool._in_use_connections or getattr(pool, "_created_connections", known) != known:
            self._note("connection lost")
        # An interruption in OpenTelemetry's own code is not redispan's fault.
        if not self.interruption.where.startswith("opentelemetry/"):
            if spans:
                self._note("span never ended")
            if current.get() is not None or trace.get_current_span().get_span_context().is_valid:
                self._note("context left")
        current.set(None)
        self._switch_on_again()

    def _switch_on_again(self) -> None:
        # Otherwise the points after the first that switched something off would belong to a smaller redispan.
        for recorder in getattr(RedispanInstrumentor()._patches, "_recorders", ()):
            observers = recorder._observers
            if observers._off:
                self._note("telemetry switched off")
                observers._off.clear()
                observers._rebuild()

    def _go_on(self, client: Any) -> None:
        pool = client.connection_pool
        locks = (getattr(pool, "_lock", None), getattr(getattr(pool, "_event_dispatcher", None), "_async_lock", None))
        if any(isinstance(lock, asyncio.Lock) and lock.locked() for lock in locks):
            self._note("hung later")  # redis-py leaves one locked at some points; waiting takes time
            return
        signal.setitimer(signal.ITIMER_REAL, LATER_S)
        try:
            if (self.run(lambda: client.get("b")), self.run(lambda: client.get("a"))) != ("B", "A"):
                self._note("wrong later")
        except _HungError:
            self._note("hung later")
        except Exception:
            self._note("failed later")
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)

    def _note(self, fault: str) -> None:
        self.found.setdefault(fault, Counter())[self.interruption.where] += 1


def main(scenario: str, mode: str, kind: str, state: str, step: str, url: str) -> None:
    """Interrupt at every point, or at each ``step``-th."""
    logging.disable(logging.CRITICAL)
    faulthandler.dump_traceback_later(HANG_S, repeat=False, exit=True)
    del redis.client.PubSub.__del__  # it hangs where an interruption left the subscription's lock taken
    warnings.simplefilter("ignore")  # coroutines that an interruption kept from being awaited
    sys.unraisablehook = lambda _: None  # Python reports an interruption in a destructor and continues
    telemetry = TelemetryInMemory()
    program = Program(scenario, mode, kind, url)
    telemetry.tracer_provider.add_span_processor(program.spans)
    if state == "redispan":
        # No call is slow here, and no other client queries the server, so the path is always the same.
        quiet = {"host_sharing": False, "server_probe": False, "slow_log_ms": 10**6, "slow_alert_ms": 10**6}
        RedispanInstrumentor().instrument(**telemetry.providers, **quiet)
    server = redis.Redis.from_url(url)
    server.mset({"a": "A", "b": "B"})
    for _ in range(FIRST + 500):
        server.get("a")  # insight examines the first operations one by one: what follows is the steady state
    gc.freeze()
    gc.disable()  # a collection at a random moment would make two runs differ
    for _ in range(30):
        program.interrupted_at(0)
    at = 1
    points = beyond_the_end = 0
    while beyond_the_end < BEYOND:  # not all calls have the same length
        program.interrupted_at(at)
        at += int(step)
        reached = bool(program.interruption.where)
        points += reached
        beyond_the_end = 0 if reached else beyond_the_end + 1
        if points % 50 == 0:
            gc.collect()
            telemetry.clear()
    print(json.dumps({"points": points, "found": program.found}))


if __name__ == "__main__":
    main(*sys.argv[1:])
