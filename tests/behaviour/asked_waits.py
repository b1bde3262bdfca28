"""The waits that a client asks for, which tell what it does with its time on a machine of any speed.

Who gives each wait no more than the time that is left asks, in sum, for no more than it has. A machine that is late
makes the later waits shorter, and the sum never larger.
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
    """A method of sockets that may run into the socket's timeout."""

    def call(self: socket.socket, *args: Any) -> Any:
        try:
            return original(self, *args)
        except TimeoutError:
            _note(self.gettimeout())
            raise

    return call


class AskedWaits:
    """Notes the seconds of each wait that runs its full time: a socket's timeout, a timer of a loop, a pause."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        """Stand in front of everything that waits, until ``patch`` is undone."""
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
        """The waits, in order, that this thread or task asks for inside."""
        waits_s: list[float] = []
        token = _ASKED.set(waits_s)
        try:
            yield waits_s
        finally:
            _ASKED.reset(token)
