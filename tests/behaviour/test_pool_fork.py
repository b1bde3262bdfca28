"""Pools over a fork: the child starts afresh and does not hang on what a thread of its parent was doing."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis

from behaviour.tuned_clients import figures
from redispan import pools_in_effect
from redispan._client.pool import block_budget, deadline, retry_policy
from redispan._client.pool.state import registry
from redispan._core.pool_sources import PoolEvent
from redispan._core.slot import SLOT
from redispan._telemetry.pool_metrics import PoolTelemetry
from servers.dead_ends import dead_port
from servers.redis_server import RedisServer
from waiting import PATIENCE_S, wait_until

pytestmark = [pytest.mark.redis, pytest.mark.usefixtures("tuned")]

TUNING = {"pool_connect_retry_s": 0.3}


def test_a_fork_starts_afresh(redis_server: RedisServer) -> None:
    """A child reports none of its parent's pools until it uses one, and then its own figures.

    The parent's figures stay.
    """
    client = redis.Redis(port=redis_server.port)
    client.ping()
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            before = len(pools_in_effect())
            client.ping()
            found = figures(client.connection_pool)
            recorded = (before, found["uses"], found["created"], found["idle"], sum(found["closed"].values()))
            os.write(write_end, repr(recorded).encode())
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    # The child does not count it as closed when it lets go of the connection that it inherited.
    assert os.read(read_end, 100).decode() == "(0, 1, 1, 1, 0)"
    found = figures(client.connection_pool)
    assert (found["uses"], found["idle"]) == (1, 1)


def in_child(work: Callable[[], object]) -> int:
    """Run ``work`` in a forked child and return its exit code, or the negative number of the signal that ended it."""
    child = os.fork()
    if child == 0:
        try:
            work()
            os._exit(0)
        finally:
            os._exit(1)
    ended: list[int] = []

    def has_ended() -> bool:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            ended.append(os.waitstatus_to_exitcode(status))
        return bool(pid)

    try:
        wait_until(has_ended, "the child")
    except BaseException:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        raise
    return ended[0]


@contextlib.contextmanager
def held_elsewhere(lock: Any) -> Iterator[None]:
    """Hold ``lock`` in another thread for the duration of the block."""
    is_held, over = threading.Event(), threading.Event()

    def hold() -> None:
        with lock:
            is_held.set()
            over.wait(2 * PATIENCE_S)

    holder = threading.Thread(target=hold)
    holder.start()
    is_held.wait(PATIENCE_S)
    try:
        yield
    finally:
        over.set()
        holder.join()


@pytest.mark.parametrize("held", ["haste", "budget", "state", "book"])
def test_a_child_does_not_wait_for_a_lock_of_its_parent(held: str, redis_server: RedisServer) -> None:
    """A thread that holds a lock of redispan at the fork does not exist in the child.

    The child still connects and fails as usual.
    """
    client = redis.Redis(port=redis_server.port)
    client.ping()
    lock = {
        "haste": deadline.deadline_pressure()._lock,
        "budget": SLOT.runtime.part("retry_budget", retry_policy.Budget)._lock,
        "state": client.connection_pool.redispan_state.lock,
        "book": registry()._lock,
    }[held]

    def work() -> None:
        assert client.ping()
        with dead_port() as port, pytest.raises(redis.ConnectionError):
            redis.Redis.from_url(f"redis://127.0.0.1:{port}").ping()
        redis.Redis(port=redis_server.port).ping()

    with held_elsewhere(lock):
        assert in_child(work) == 0


def test_a_child_reports_its_pools_whatever_its_parent_was_reporting() -> None:
    """A child still emits pool events when a thread of its parent held the lock of their rate limit at the fork."""
    telling = PoolTelemetry(None, None, histograms=False, elsewhere=lambda _: False)
    try:
        with held_elsewhere(telling._limit._lock):
            assert in_child(lambda: telling._on_event(PoolEvent("exhausted", "here", 1, 1, 0.1, "full"))) == 0
    finally:
        telling.stop()


def test_a_child_is_not_in_its_parents_haste(redis_server: RedisServer) -> None:
    """The child does not shorten its timeouts because of connections that its parent was opening at the fork."""
    client = redis.Redis(port=redis_server.port)
    deadline.deadline_pressure().begin()
    try:
        assert block_budget.hasten is not None

        def work() -> None:
            assert block_budget.hasten is None
            assert client.ping()

        assert in_child(work) == 0
    finally:
        deadline.deadline_pressure().end()
