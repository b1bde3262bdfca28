"""Helpers of all tests that wait for what another thread, process or server does."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

PATIENCE_S = 60.0
"""A safety net for a busy machine, not a measure of what is tested."""


def wait_until(
    look: Callable[[], T], what: str, timeout_s: float = PATIENCE_S, pause_s: float = 0.02, *, failing: bool = False
) -> T:
    """Call ``look`` until it returns something truthy, and return that.

    Args:
        look: The question.
        what: What is waited for, in words for the failure.
        timeout_s: When to give up, in seconds.
        pause_s: Between two looks, in seconds.
        failing: Whether ``look`` may raise while what it asks is not ready; its last exception becomes the cause.

    Raises:
        TimeoutError: It did not come true; the message names ``what`` and what was seen last.
    """
    give_up_s = time.monotonic() + timeout_s
    while True:
        fault, seen = None, None
        try:
            seen = look()
        except Exception as error:
            if not failing:
                raise
            fault = error
        if seen:
            return seen
        if time.monotonic() > give_up_s:
            raise _in_vain(what, timeout_s, seen) from fault
        time.sleep(pause_s)


async def wait_until_async(
    look: Callable[[], T | Awaitable[T]], what: str, timeout_s: float = PATIENCE_S, pause_s: float = 0.02
) -> T:
    """The async version of ``wait_until``: other tasks run between two looks, and ``look`` may be a coroutine function.

    Raises:
        TimeoutError: It did not come true; the message names ``what`` and what was seen last.
    """
    give_up_s = time.monotonic() + timeout_s
    while True:
        seen = look()
        if inspect.isawaitable(seen):
            seen = await seen
        if seen:
            return seen
        if time.monotonic() > give_up_s:
            raise _in_vain(what, timeout_s, seen)
        await asyncio.sleep(pause_s)


def _in_vain(what: str, timeout_s: float, seen: object) -> TimeoutError:
    return TimeoutError(f"waited {timeout_s:g} s in vain for {what}; seen last: {seen!r:.500}")
