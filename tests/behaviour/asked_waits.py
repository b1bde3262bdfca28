"""The waits that a client asks for. They show how it spends its time, whatever the speed of the machine.

If each wait is limited to the time that is left, the waits add up to no more than the whole time. A slow machine makes
the later waits shorter, and never makes the sum larger.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any

import pytest

_ASKED: ContextVar[list[float] | None] = ContextVar("asked_waits", default=None)


def _note(seconds: float | None) -> None:
    waits_s = _ASKED.get()
    if waits_s is not None and seconds:
        waits_s.append(seconds)


def _note_timeout(original: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a method of sockets that may run into the socket's timeout."""

    def call(self: socket.socket, *args: Any) -> Any:
        try:
            return original(self, *args)
        except TimeoutError:
            _note(self.gettimeout())
            raise

    return call


class AskedWaits:
    """A record of each wait that runs its full time, in seconds: a socket's timeout, a loop's timer, a pause."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        """Wrap every function that waits, until ``patch`` is undone."""
        for name in ("connect", "recv", "recv_into"):
            patch.setattr(socket.socket, name, _note_timeout(getattr(socket.socket, name)))
        sleep, wait, call_at = time.sleep, threading.Event.wait, asyncio.BaseEventLoop.call_at

        def noted_sleep(seconds: float) -> None:
            sleep(seconds)
            _note(seconds)

        def noted_wait(self: threading.Event, timeout: float | None = None) -> bool:
            is_set = wait(self, timeout)
            if not is_set:
                _note(timeout)
            return is_set

        def noted_call_at(self: Any, when: float, callback: Callable[..., Any], *args: Any, context: Any = None) -> Any:
            seconds = when - self.time()

            def run_out(*args: Any) -> None:
                _note(seconds)
                callback(*args)

            return call_at(self, when, run_out, *args, context=context)

        patch.setattr(time, "sleep", noted_sleep)
        patch.setattr(threading.Event, "wait", noted_wait)
        patch.setattr(asyncio.BaseEventLoop, "call_at", noted_call_at)

    @contextlib.contextmanager
    def of_one_caller(self) -> Iterator[list[float]]:
        """Yield the list of waits, in order, that this thread or task asks for inside the block."""
        waits_s: list[float] = []
        token = _ASKED.set(waits_s)
        try:
            yield waits_s
        finally:
            _ASKED.reset(token)
