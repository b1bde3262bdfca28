"""Pools over a fork: the child starts afresh, and hangs on nothing that a thread of its parent was just doing."""

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
    """A child reports nothing of its parent's pools until it uses one, then its own figures; the parent's stay."""
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
    # The connection inherited from the parent was not the child's to count when it let go of it.
    assert os.read(read_end, 100).decode() == "(0, 1, 1, 1, 0)"
    found = figures(client.connection_pool)
    assert (found["uses"], found["idle"]) == (1, 1)


def in_child(work: Callable[[], object]) -> int:
    """Run ``work`` in a forked child: its exit code, or the signal that ended it, negative."""
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
    """Another thread holds ``lock``."""
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
    """A thread that holds a lock of ours at the fork is not there in the child, which connects and fails as ever."""
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
    """Likewise with what keeps pool events few."""
    telling = PoolTelemetry(None, None, histograms=False, elsewhere=lambda _: False)
    try:
        with held_elsewhere(telling._limit._lock):
            assert in_child(lambda: telling._on_event(PoolEvent("exhausted", "here", 1, 1, 0.1, "full"))) == 0
    finally:
        telling.stop()


def test_a_child_is_not_in_its_parents_haste(redis_server: RedisServer) -> None:
    """What other threads of the parent were opening at the fork is none of the child's business."""
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
