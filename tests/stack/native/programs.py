"""One native program: started on loopback, waited for, stopped or killed, its output kept in a file."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")
START_TIMEOUT_S = 60.0
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)


def free_ports(count: int) -> list[int]:
    """Finds ports nobody listens on; all are held until the last one is found, so that they differ."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


def eventually(look: Callable[[], T], *, what: str, timeout_s: float = 30.0, every_s: float = 0.25) -> T:
    """Asks until the answer is true, and returns it; the last answer is in the error when it never is.

    Telemetry travels in batches between six processes: there is no moment at which it must have arrived,
    only one after which it is lost.
    """
    stop_at = time.monotonic() + timeout_s
    last: Any = None
    while True:
        try:
            last = look()
            if last:
                return last
        except (OSError, KeyError, IndexError, ValueError) as problem:
            last = problem
        if time.monotonic() > stop_at:
            raise AssertionError(f"{what}: not within {timeout_s:.0f} s; last answer: {str(last)[:2000]}")
        time.sleep(every_s)


class Program:
    """A program of the stack; ends with the test run, however that ends."""

    def __init__(
        self, name: str, command: Sequence[str | Path], folder: Path, environment: Mapping[str, str] | None = None
    ) -> None:
        self.name = name
        self.command = [str(part) for part in command]
        self.log_file = folder / f"{name}.log"
        self._environment = _plain_environment() | dict(environment or {})
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, ready_url: str | None = None) -> Program:
        """Starts it, and waits until the address answers with 200."""
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                self.command,
                env=self._environment,
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=_die_with_parent,  # noqa: PLW1509  (one call into libc, safe beside threads)
            )
        if ready_url is not None:
            self.wait_ready(ready_url)
        return self

    def wait_ready(self, url: str) -> None:
        """Waits for a 200 from the address; a program that ends meanwhile is told with its last words."""

        def ready() -> bool:
            if not self.running:
                raise RuntimeError(f"{self.name} ended with {self.exit_code}:\n{self.log()[-3000:]}")
            try:
                with urllib.request.urlopen(url, timeout=2) as reply:
                    return bool(reply.status == 200)
            except (urllib.error.URLError, OSError):
                return False

        eventually(ready, what=f"{self.name} ready at {url}", timeout_s=START_TIMEOUT_S, every_s=0.1)

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process is not None
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._process is not None and self._process.poll() is None

    @property
    def exit_code(self) -> int | None:
        """What it ended with."""
        return None if self._process is None else self._process.poll()

    def wait(self, timeout_s: float) -> int:
        """Waits for its own end."""
        assert self._process is not None
        return self._process.wait(timeout_s)

    def stop(self, timeout_s: float = 20.0) -> None:
        """Asks it to end, and makes it end when it does not."""
        if self._process is None or not self.running:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """Ends it without a chance to say goodbye."""
        if self._process is not None and self.running:
            self._process.kill()
            self._process.wait(10)

    def log(self) -> str:
        """What it has printed so far."""
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""


def _die_with_parent() -> None:
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _plain_environment() -> dict[str, str]:
    # What this machine sets for OpenTelemetry or a proxy must not steer the programs under test.
    unwanted = ("OTEL_", "OTELCOL_", "REDIS", "JAEGER_", "PROMETHEUS_", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
    return {name: value for name, value in os.environ.items() if not name.upper().startswith(unwanted)}
