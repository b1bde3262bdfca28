"""The monitoring port of servers with many processes has the host's totals, whichever process holds it or has ended."""

import json
import os
import signal
import socket
import sys
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest

from e2e import PROGRAMS
from redispan._host import siblings
from servers.redis_server import RedisServer
from waiting import wait_until
from zero_code import UVICORN_FLAGS, Launcher, fetch, free_port, wait_until_served

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

PURCHASES = 60
Found = TypeVar("Found")


@dataclass
class Watched:
    """A service with a monitoring port and a folder where its processes find each other."""

    launcher: Launcher
    runtime_dir: Path
    port: int
    served_at: int

    def report(self, name: str = "performance", scope: str = "host") -> dict[str, Any]:
        """Query the monitoring port for a report."""
        url = f"http://127.0.0.1:{self.port}/monitoring/redis/{name}?scope={scope}"
        found: dict[str, Any] = json.loads(fetch(url))
        return found

    def whole_report(self, sent: Counter[str]) -> dict[str, Any]:
        """Wait for a report of all processes that counts at least what was sent.

        A process may answer late on a busy machine.
        """
        return eventually(self.report, lambda found: totals(found) >= sent and not found["missing"], "all processes")

    def is_open(self) -> bool:
        """Return whether any process holds the port."""
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def holder(self) -> int:
        """Return the process that holds the port."""
        (pid,) = self.report(scope="process")["processes"]
        return int(pid)

    def buy(self, count: int = PURCHASES) -> set[int]:
        """Send purchases side by side and return the ids of the processes that served them."""
        with ThreadPoolExecutor(8) as customers:
            url = f"http://127.0.0.1:{self.served_at}/buy/"
            return set(map(int, customers.map(lambda number: fetch(f"{url}{number}"), range(count))))

    def buy_of_several(self) -> tuple[set[int], int]:
        """Send purchases until more than one process has served some.

        Return the processes and the number of purchases.
        """
        workers: set[int] = set()
        for rounds in range(1, 20):
            workers |= self.buy()
            if len(workers) > 1:
                return workers, rounds * PURCHASES
        raise AssertionError("one worker takes everything: the others don't come up")

    def left_by(self, pid: int) -> Counter[str]:
        """Return the exit totals that a process has written."""
        (path,) = self.runtime_dir.glob(f"redispan-*/*/{pid}-*.totals")
        return counts(json.loads(path.read_bytes())["summary"])


def counts(summary: dict[str, Any]) -> Counter[str]:
    """Return operations by command in a summary."""
    found: Counter[str] = Counter()
    for endpoint in summary["endpoints"].values():
        for command, figures in endpoint["answers"]["totals"].items():
            found[command.upper()] += figures[0]
    return found


def totals(report: dict[str, Any]) -> Counter[str]:
    """Return operations by command in a report."""
    return Counter({one["command"]: one["totals"]["operations"] for one in report["commands"]})


def sold(purchases: int) -> Counter[str]:
    """Return the operations that this number of purchases sends."""
    return Counter({"INCRBY": purchases, "GET": purchases, "PIPELINE HSET": purchases})


def eventually(ask: Callable[[], Found], wanted: Callable[[Found], bool], what: str) -> Found:
    """Ask until the answer is the wanted one. At times no process holds the port, or its holder was killed."""

    def look() -> tuple[Found] | None:
        found = ask()
        return (found,) if wanted(found) else None

    return wait_until(look, what, pause_s=0.1, failing=True)[0]


@pytest.fixture
def watched(redis_server: RedisServer, tmp_path: Path) -> Watched:
    """Return a service that exports no telemetry and shows it on a port."""
    port, runtime_dir = free_port(), tmp_path / "run"
    runtime_dir.mkdir()
    variables = {
        "REDIS_URL": redis_server.url,
        **{f"OTEL_{signal_name}_EXPORTER": "none" for signal_name in ("TRACES", "METRICS", "LOGS")},
        "OTEL_PYTHON_REDISPAN_MONITORING_PORT": str(port),
        "OTEL_PYTHON_REDISPAN_RUNTIME_DIR": str(runtime_dir),
        "OTEL_PYTHON_REDISPAN_SLOW_LOG_MS": "0",
        "DJANGO_SETTINGS_MODULE": "shop_django_settings",
    }
    return Watched(Launcher(variables, folder=PROGRAMS), runtime_dir, port, free_port())


def gunicorn(watched: Watched, *options: str) -> tuple[object, ...]:
    """Build the command of a gunicorn of four workers."""
    return (
        "gunicorn",
        "--workers",
        "4",
        "--bind",
        f"127.0.0.1:{watched.served_at}",
        *options,
        "shop_django:application",
    )


def uvicorn(watched: Watched) -> tuple[object, ...]:
    """Build the command of a uvicorn of two workers."""
    return ("uvicorn", "shop_fastapi:app", "--workers", "2", "--port", str(watched.served_at), *UVICORN_FLAGS)


@pytest.mark.parametrize("kind", ["gunicorn", "gunicorn preloaded", "gunicorn with gevent", "uvicorn"])
def test_totals_are_the_hosts_and_survive_the_holder(kind: str, watched: Watched, tmp_path: Path) -> None:
    """The port is closed until the first operation.

    Then its totals are exact over all workers, even after its holder is killed.
    """
    command = {
        "gunicorn": gunicorn(watched),
        "gunicorn preloaded": gunicorn(watched, "--preload"),
        "gunicorn with gevent": gunicorn(watched, "--worker-class", "gevent"),
        "uvicorn": uvicorn(watched),
    }[kind]
    patched = {"OTEL_PYTHON_AUTO_INSTRUMENTATION_EXPERIMENTAL_GEVENT_PATCH": "patch_all"} if "gevent" in kind else {}
    # Spawned workers must find each other without a service name, too.
    named = {"OTEL_SERVICE_NAME": ""} if kind == "uvicorn" else {}
    with watched.launcher.running(tmp_path / "log", *command, variables={**patched, **named}) as process:
        wait_until_served(f"http://127.0.0.1:{watched.served_at}/ready", process)
        assert not watched.is_open()
        assert list(watched.runtime_dir.iterdir()) == []

        workers, count = watched.buy_of_several()
        report = watched.whole_report(sold(count))
        assert totals(report) == sold(count)
        assert set(report["processes"]) == workers
        assert process.pid not in workers

        holder = watched.holder()
        own = totals(watched.report(scope="process"))
        eventually(lambda: watched.left_by(holder), lambda left: left == own, "what the holder leaves")
        os.kill(holder, signal.SIGKILL)
        successor = eventually(watched.holder, lambda pid: pid != holder, "another holder")
        assert successor in workers
        assert totals(watched.whole_report(sold(count))) == sold(count)

        watched.buy()
        report = watched.whole_report(sold(count + PURCHASES))
        assert totals(report) == sold(count + PURCHASES)
        assert holder not in report["processes"]


def test_a_worker_that_is_stopped_is_missing_and_delays_nobody(watched: Watched, tmp_path: Path) -> None:
    """A hanging process is named as missing, its last known totals count, and the others are reported without delay."""
    assert siblings.WITHIN_S <= 0.2, "so long a report waits for those that hang, for all of them together"
    with watched.launcher.running(tmp_path / "log", *gunicorn(watched, "--timeout", "0")) as process:
        wait_until_served(f"http://127.0.0.1:{watched.served_at}/ready", process)
        workers, count = watched.buy_of_several()
        watched.whole_report(sold(count))
        stopped = min(workers - {watched.holder()})

        def left() -> Counter[str]:
            return sum((watched.left_by(pid) for pid in workers), Counter())

        eventually(left, lambda found: found == sold(count), "what they leave")
        os.kill(stopped, signal.SIGSTOP)
        try:
            # On a busy machine another process may be late for one report.
            report = eventually(watched.report, lambda found: found["missing"] == [stopped], "the others' report")
        finally:
            os.kill(stopped, signal.SIGCONT)
        assert stopped not in report["processes"]
        assert totals(report) == sold(count)


def test_celery_prefork(watched: Watched, redis_server: RedisServer, tmp_path: Path) -> None:
    """One port reports all operations of the tasks, which run in two children of the worker."""
    command = (sys.executable, "-m", "celery", "-A", "shop_celery", "worker", "--pool", "prefork", "-c", "2",
               "--without-gossip", "--without-mingle", "--without-heartbeat")  # fmt: skip
    sent = Counter({"INCRBY": PURCHASES, "HGET": PURCHASES})
    with watched.launcher.running(tmp_path / "log", *command):
        elsewhere = {"OTEL_PYTHON_REDISPAN_MONITORING_PORT": "0", "OTEL_SERVICE_NAME": "producer"}
        producer = watched.launcher.run("shop_celery.py", PURCHASES, variables=elsewhere)
        assert producer.code == 0, producer.all
        report = eventually(watched.report, lambda found: totals(found) >= sent, "the tasks' operations")
    assert {name: totals(report)[name] for name in sent} == dict(sent)
    assert redis_server.commands_served()["incrby"] == PURCHASES
    assert len(report["processes"]) >= 2
