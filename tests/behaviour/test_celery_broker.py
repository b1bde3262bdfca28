"""A Celery broker that answers late. Celery publishes again after a timeout, so a tuned timeout must not cause that."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import redis

from clients import REDIS_VERSION
from redispan import RedispanInstrumentor
from redispan._client.internals import connection_pools
from redispan._client.pool.state import registry
from servers.dead_ends import silent_port
from servers.redis_server import RedisServer
from waiting import PATIENCE_S, wait_until

READ_TIMEOUT_S = 2.0
SHORT_S = 0.2
"""Where nobody answers at all."""
TUNING = {"pool_socket_timeout_s": READ_TIMEOUT_S}

pytestmark = [
    pytest.mark.redis,
    pytest.mark.usefixtures("tuned"),
    pytest.mark.skipif(REDIS_VERSION < (6, 1), reason="kombu refuses redis-py before 6.1"),
]


def app_on(server: RedisServer) -> Any:
    """Return a Celery app, configured and connected as a program's app is."""
    celery = pytest.importorskip("celery")
    app = celery.Celery("shop", broker=server.url, set_as_current=False)
    assert app.conf.broker_transport_options["socket_timeout"] == READ_TIMEOUT_S
    app.send_task("first", retry=False)
    return app


def asked_to_wait(port: int) -> list[float | None]:
    """Return the read timeouts in force on the connections to a port that are in use at this moment."""
    pools = [state.owner() for state in registry()]
    lent = [one for pool in pools if pool is not None for one in connection_pools.leased(pool) if one.port == port]
    return [one._sock.gettimeout() for one in lent if one._sock is not None]


def test_a_task_is_published_once_to_a_broker_that_answers_late(
    new_redis_server: Callable[..., RedisServer],
) -> None:
    """A publisher to a frozen broker waits without a timeout. The task arrives once the broker resumes, just once."""
    server = new_redis_server()
    app = app_on(server)
    with ThreadPoolExecutor(1) as threads:
        server.process.pause()
        try:
            publishing = threads.submit(app.send_task, "second")
            wait_until(lambda: None in asked_to_wait(server.port), "the wait without a timeout", PATIENCE_S / 2)
            assert not publishing.done()
        finally:
            server.process.resume()
        publishing.result(PATIENCE_S)
    assert server.call("LLEN", "celery") == 2
    app.close()


def test_what_changes_nothing_has_the_tuned_time(new_redis_server: Callable[..., RedisServer]) -> None:
    """Asking a silent broker for the length of a queue fails after the tuned timeout."""
    server = new_redis_server()
    app = app_on(server)
    with app.connection_for_write() as connection, ThreadPoolExecutor(1) as threads:
        client = connection.default_channel.client
        client.llen("celery")
        server.process.pause()
        try:
            asking = threads.submit(client.llen, "celery")
            wait_until(lambda: asked_to_wait(server.port) == [READ_TIMEOUT_S], "the wait for the tuned time")
            with pytest.raises(redis.TimeoutError):
                asking.result(PATIENCE_S)
        finally:
            server.process.resume()
    app.close()


def test_a_broker_that_says_nothing_is_noticed_while_connecting() -> None:
    """The commands that open a connection can run twice without harm, so they have the tuned timeout."""
    kombu = pytest.importorskip("kombu")
    celery = pytest.importorskip("celery")
    RedispanInstrumentor().uninstrument()
    RedispanInstrumentor().instrument(
        metrics=False, insight=False, pool_socket_timeout_s=SHORT_S, pool_connect_retry_s=SHORT_S
    )
    with silent_port() as port, ThreadPoolExecutor(1) as threads:
        # The health check's PING would notice the silence before the handshake does.
        app = celery.Celery("shop", broker=f"redis://127.0.0.1:{port}/3", set_as_current=False)
        app.conf.broker_transport_options["health_check_interval"] = 0
        with app.connection_for_write() as connection:
            connecting = threads.submit(connection.ensure_connection, max_retries=1, interval_start=0)
            wait_until(lambda: asked_to_wait(port) == [SHORT_S], "the wait for the tuned time")
            with pytest.raises(kombu.exceptions.OperationalError):
                connecting.result(PATIENCE_S)
        app.close()
