"""One native program: it is started on loopback, waited for, and stopped or killed. Its output is kept in a file."""

from __future__ import annotations

import ctypes
import functools
import signal
import subprocess
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path

from waiting import PATIENCE_S, wait_until
from zero_code import plain_environment

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)

# Telemetry travels in batches between six processes, and each query is a request to one of them. An answer may be
# missing or incomplete.
eventually = functools.partial(wait_until, pause_s=0.1, failing=True)


class Program:
    """A program of the stack. It ends with the test run, however that ends."""

    def __init__(
        self, name: str, command: Sequence[str | Path], folder: Path, environment: Mapping[str, str] | None = None
    ) -> None:
        self.name = name
        self.command = [str(part) for part in command]
        self.log_file = folder / f"{name}.log"
        self._environment = plain_environment() | dict(environment or {})
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, ready_url: str | None = None) -> Program:
        """Start it, and wait until the address answers with 200."""
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
        """Wait for a 200 from the address. If the program ends meanwhile, report it with the end of its output."""

        def ready() -> bool:
            if not self.running:
                raise RuntimeError(f"{self.name} ended with {self.exit_code}:\n{self.log()[-3000:]}")
            try:
                with urllib.request.urlopen(url, timeout=PATIENCE_S) as reply:
                    return bool(reply.status == 200)
            except (urllib.error.URLError, OSError):
                return False

        wait_until(ready, f"{self.name} ready at {url}")

    @property
    def pid(self) -> int:
        """Return its process id."""
        assert self._process is not None
        return self._process.pid

    @property
    def running(self) -> bool:
        """Return whether it still runs."""
        return self._process is not None and self._process.poll() is None

    @property
    def exit_code(self) -> int | None:
        """Return its exit code."""
        return None if self._process is None else self._process.poll()

    def wait(self, timeout_s: float) -> int:
        """Wait until it ends by itself."""
        assert self._process is not None
        return self._process.wait(timeout_s)

    def stop(self, timeout_s: float = 20.0) -> None:
        """Ask it to end, and kill it when it does not."""
        if self._process is None or not self.running:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """Kill it without a clean shutdown."""
        if self._process is not None and self.running:
            self._process.kill()
            self._process.wait(PATIENCE_S)

    def log(self) -> str:
        """Return what it has printed so far."""
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""


def _die_with_parent() -> None:
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
