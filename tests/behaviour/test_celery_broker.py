"""A broker that answers late: Celery publishes again what timed out, so a tuned timeout must not let that happen."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
import redis

from behaviour.every_client import REDIS_VERSION
from behaviour.tuned_clients import after
from servers.dead_ends import silent_port
from servers.redis_server import RedisServer

READ_TIMEOUT_S = 0.3
PAUSE_S = 1.5
TUNING = {"pool_socket_timeout_s": READ_TIMEOUT_S}

pytestmark = [
    pytest.mark.redis,
    pytest.mark.usefixtures("tuned"),
    pytest.mark.skipif(REDIS_VERSION < (6, 1), reason="kombu refuses redis-py before 6.1"),
]


def app_on(server: RedisServer) -> Any:
    """A Celery app, configured and connected as a program's would be."""
    celery = pytest.importorskip("celery")
    app = celery.Celery("shop", broker=server.url, set_as_current=False)
    assert app.conf.broker_transport_options["socket_timeout"] == READ_TIMEOUT_S
    app.send_task("first", retry=False)
    return app


def test_a_task_is_published_once_to_a_broker_that_answers_late(
    new_redis_server: Callable[..., RedisServer],
) -> None:
    """The broker is frozen for several read timeouts: the task is published when it goes on, and once."""
    server = new_redis_server()
    app = app_on(server)
    start_s = time.monotonic()
    server.process.pause()
    thaw = after(PAUSE_S, server.process.resume)
    app.send_task("second")
    assert time.monotonic() - start_s > PAUSE_S - READ_TIMEOUT_S
    thaw.join()
    time.sleep(2 * READ_TIMEOUT_S)
    assert server.call("LLEN", "celery") == 2
    app.close()


def test_what_changes_nothing_has_the_tuned_time(redis_server: RedisServer) -> None:
    """Asking a silent broker how long a queue is fails in the tuned time."""
    app = app_on(redis_server)
    with app.connection_for_write() as connection:
        client = connection.default_channel.client
        client.llen("celery")
        redis_server.call("CLIENT", "PAUSE", int(PAUSE_S * 1000), "ALL")
        start_s = time.monotonic()
        with pytest.raises(redis.TimeoutError):
            client.llen("celery")
        assert time.monotonic() - start_s < PAUSE_S - READ_TIMEOUT_S
        redis_server.call("CLIENT", "UNPAUSE")
    app.close()


def test_a_broker_that_says_nothing_is_noticed_while_connecting() -> None:
    """What is said to open a connection is nothing that could run twice: it has the tuned time."""
    kombu = pytest.importorskip("kombu")
    celery = pytest.importorskip("celery")
    with silent_port() as port:
        # The health check's PING would notice it before the handshake does.
        app = celery.Celery("shop", broker=f"redis://127.0.0.1:{port}/3", set_as_current=False)
        app.conf.broker_transport_options["health_check_interval"] = 0
        start_s = time.monotonic()
        with app.connection_for_write() as connection, pytest.raises(kombu.exceptions.OperationalError):
            connection.ensure_connection(max_retries=1, interval_start=0)
        assert time.monotonic() - start_s < 20 * READ_TIMEOUT_S
        app.close()
