"""Libraries that build their own Redis connections keep working under the tuned pool, idle phases included.

Each needs its library (extra ``third-party``) and is skipped without it. As in production, each program runs in a
separate process. Its read timeout is 1 s and its idle phases are longer: what breaks at 2 s breaks here.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from servers.redis_server import RedisServer

pytestmark = [pytest.mark.redis, pytest.mark.slow]

PREAMBLE = """
import asyncio, os, sys, threading, time
from redispan import RedispanInstrumentor, pools_in_effect
RedispanInstrumentor().instrument(metrics=False, insight=False, pool_socket_timeout_s=1.0, pool_block_grace_s=2.0)
URL = os.environ["REDIS_URL"]
IDLE_S, PATIENCE_S = 1.5, 30
"""

REDIS_VERSION = tuple(int(part) for part in importlib.metadata.version("redis").split(".")[:2])


def needs(*modules: str) -> pytest.MarkDecorator:
    """Skip the test without a library."""
    missing = [module for module in modules if importlib.util.find_spec(module) is None]
    return pytest.mark.skipif(bool(missing), reason=f"needs {', '.join(missing)} (extra third-party)")


def environment(server: RedisServer) -> dict[str, str]:
    """Return the environment variables of the program."""
    return {**os.environ, "REDIS_URL": server.url, "PYTHONUNBUFFERED": "1"}


def run(program: str, server: RedisServer, folder: Path, timeout_s: float = 90) -> str:
    """Run a program to its end and return what it printed."""
    path = folder / "program.py"
    path.write_text(PREAMBLE + textwrap.dedent(program), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(path)],
        env=environment(server),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@needs("dramatiq")
def test_dramatiq(redis_server: RedisServer, tmp_path: Path) -> None:
    """A result arrives although the wait for it is longer than the read timeout."""
    printed = run(
        """
        import dramatiq
        from dramatiq.brokers.redis import RedisBroker
        from dramatiq.results import Results
        from dramatiq.results.backends import RedisBackend
        broker = RedisBroker(url=URL)
        broker.add_middleware(Results(backend=RedisBackend(url=URL)))
        dramatiq.set_broker(broker)

        @dramatiq.actor(store_results=True)
        def slow(x):
            time.sleep(IDLE_S)
            return x + 1

        worker = dramatiq.Worker(broker, worker_threads=2)
        worker.start()
        time.sleep(IDLE_S)
        print("result", slow.send(41).get_result(block=True, timeout=1000 * PATIENCE_S))
        worker.stop()
        """,
        redis_server,
        tmp_path,
    )
    assert "result 42" in printed


@needs("huey")
def test_huey(redis_server: RedisServer, tmp_path: Path) -> None:
    """An idle consumer with a long read gets the task that comes."""
    printed = run(
        """
        from huey import RedisHuey
        huey = RedisHuey("shop", url=URL, read_timeout=2 * IDLE_S)

        @huey.task()
        def add(x):
            return x + 1

        consumer = huey.create_consumer(workers=1, periodic=False)
        consumer.start()
        time.sleep(IDLE_S)
        result = add(41)
        print("result", result.get(blocking=True, timeout=PATIENCE_S))
        consumer.stop()
        os._exit(0)
        """,
        redis_server,
        tmp_path,
    )
    assert "result 42" in printed


@needs("rq")
def test_rq(redis_server: RedisServer, tmp_path: Path) -> None:
    """An idle worker waits longer than the read timeout and runs the next job."""
    (tmp_path / "jobs.py").write_text("def add(x):\n    return x + 1\n", encoding="utf-8")
    printed = run(
        """
        import redis, rq
        from jobs import add
        connection = redis.Redis.from_url(URL)
        queue = rq.Queue(connection=connection)
        jobs = []
        threading.Timer(IDLE_S, lambda: jobs.append(queue.enqueue(add, 41))).start()
        worker = rq.SimpleWorker([queue], connection=connection)
        worker._install_signal_handlers = lambda: None
        worker.work(burst=False, max_jobs=1)
        print("result", jobs[0].return_value() if hasattr(jobs[0], "return_value") else jobs[0].result)
        os._exit(0)
        """,
        redis_server,
        tmp_path,
    )
    assert "result 42" in printed


@needs("channels_redis")
def test_channels(redis_server: RedisServer, tmp_path: Path) -> None:
    """In both layers, a channel layer's receive() on a quiet channel outlives the read timeout."""
    printed = run(
        """
        from channels_redis.core import RedisChannelLayer
        from channels_redis.pubsub import RedisPubSubChannelLayer

        async def main():
            for layer in (RedisChannelLayer(hosts=[URL]), RedisPubSubChannelLayer(hosts=[URL])):
                name = await layer.new_channel()
                waiting = asyncio.create_task(layer.receive(name))
                await asyncio.sleep(IDLE_S)
                await layer.send(name, {"type": "hello"})
                print("result", (await asyncio.wait_for(waiting, PATIENCE_S))["type"])

        asyncio.run(main())
        """,
        redis_server,
        tmp_path,
    )
    assert printed.count("result hello") == 2


@needs("django_redis", "django")
def test_django_caches(redis_server: RedisServer, tmp_path: Path) -> None:
    """Django's own Redis cache and django-redis work with the tuned pool."""
    printed = run(
        """
        from django.conf import settings
        settings.configure(CACHES={
            "default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": URL},
            "other": {"BACKEND": "django_redis.cache.RedisCache", "LOCATION": URL},
        })
        from django.core.cache import caches
        for name in ("default", "other"):
            caches[name].set("k" + name, 41, 30)
            time.sleep(IDLE_S)
            print("result", caches[name].get("k" + name) + 1)
        print("timeouts", {pool["values"].get("socket_timeout") for pool in pools_in_effect()})
        """,
        redis_server,
        tmp_path,
    )
    assert printed.count("result 42") == 2
    assert "timeouts {1.0}" in printed


@needs("arq")
def test_arq(redis_server: RedisServer, tmp_path: Path) -> None:
    """A worker that was idle runs the next job."""
    printed = run(
        """
        import arq
        from arq.connections import RedisSettings

        async def add(ctx, x):
            return x + 1

        async def main():
            settings = RedisSettings.from_dsn(URL)
            pool = await arq.create_pool(settings)
            worker = arq.Worker(functions=[add], redis_settings=settings, handle_signals=False, poll_delay=0.1)
            running = asyncio.create_task(worker.async_run())
            await asyncio.sleep(IDLE_S)
            job = await pool.enqueue_job("add", 41)
            print("result", await job.result(timeout=PATIENCE_S, poll_delay=0.1))
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

        asyncio.run(main())
        os._exit(0)
        """,
        redis_server,
        tmp_path,
    )
    assert "result 42" in printed


@needs("socketio")
def test_socketio(redis_server: RedisServer, tmp_path: Path) -> None:
    """A manager that listens on a quiet channel gets a message that comes after several read timeouts."""
    printed = run(
        """
        import socketio

        async def main():
            manager = socketio.AsyncRedisManager(URL)
            manager.set_server(socketio.AsyncServer(client_manager=manager, async_mode="asgi"))
            heard = asyncio.Event()

            async def listen():
                async for message in manager._listen():
                    heard.set()
                    return

            listening = asyncio.create_task(listen())
            await asyncio.sleep(IDLE_S)
            writer = socketio.AsyncRedisManager(URL, write_only=True)
            await writer.emit("news", {"n": 1})
            await asyncio.wait_for(heard.wait(), PATIENCE_S)
            print("result heard")
            listening.cancel()

        asyncio.run(main())
        os._exit(0)
        """,
        redis_server,
        tmp_path,
    )
    assert "result heard" in printed


CELERY_APP = """
import os, time
from celery import Celery
app = Celery("shop", broker=os.environ["REDIS_URL"], backend=os.environ["REDIS_URL"])

@app.task
def add(x):
    return x + 1

@app.task
def slow(x):
    time.sleep(1.5)
    return x
"""


@needs("celery")
@pytest.mark.skipif(REDIS_VERSION < (6, 1), reason="kombu refuses redis-py before 6.1")
def test_celery(redis_server: RedisServer, tmp_path: Path) -> None:
    """A worker under redispan works after an idle phase and answers a ping. redispan fills in its options."""
    (tmp_path / "shop.py").write_text(CELERY_APP, encoding="utf-8")
    # As with opentelemetry-instrument, redispan is on before the program is imported.
    (tmp_path / "worker.py").write_text(
        PREAMBLE + "from shop import app\nprint(app.conf.broker_transport_options)\n"
        "app.worker_main(['worker', '--pool=threads', '--concurrency=4', '--loglevel=WARNING', '--without-mingle'])\n",
        encoding="utf-8",
    )
    worker = subprocess.Popen(
        [sys.executable, "worker.py"],
        cwd=tmp_path,
        env=environment(redis_server),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        printed = run(
            """
            from celery import group
            from shop import add, app, slow
            for _ in range(60):
                if app.control.ping(timeout=1, limit=1):
                    break
            time.sleep(IDLE_S)
            print("group", sum(group(add.s(n) for n in range(50))().get(timeout=PATIENCE_S)))
            print("slow", slow.delay(7).get(timeout=PATIENCE_S))
            print("ping", len(app.control.ping(timeout=PATIENCE_S, limit=1)))
            options = app.conf.broker_transport_options
            print("options", options["max_connections"], options["socket_timeout"], "retry" in options)
            print("backend", app.conf.redis_max_connections, app.conf.redis_socket_timeout)
            """,
            redis_server,
            tmp_path,
        )
    finally:
        worker.terminate()
        try:
            output, _ = worker.communicate(timeout=30)
        except subprocess.TimeoutExpired:
            worker.kill()
            output, _ = worker.communicate()
    assert "group 1275" in printed
    assert "slow 7" in printed
    assert "ping 1" in printed
    assert "options 50 1.0 False" in printed
    assert "backend 50 120.0" in printed
    assert "Error" not in output
