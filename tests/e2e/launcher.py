"""Starts real programs under the real ``opentelemetry-instrument``, in a clean environment."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

PROGRAMS = Path(__file__).parent / "programs"
BIN = Path(sys.executable).parent
# Instrumentors of the dev environment that only some programs want; importing them is half of a program's start.
FRAMEWORKS = ("asgi", "celery", "django", "fastapi", "wsgi")
TIMEOUT_S = 45


@dataclass(frozen=True)
class Finished:
    """How a program ended, and what it said."""

    code: int
    out: str
    err: str

    @property
    def all(self) -> str:
        """Everything it said."""
        return self.out + self.err

    def lines_about(self, words: str) -> list[str]:
        """The lines of standard error that contain ``words``."""
        return [line for line in self.err.splitlines() if words in line]


@dataclass
class Launcher:
    """One environment to run programs in; ``variables`` are what every program of it gets."""

    variables: dict[str, str] = field(default_factory=dict)
    disabled: Sequence[str] = FRAMEWORKS
    python: Path = Path(sys.executable)
    path: Sequence[Path] = ()

    def environment(self, variables: Mapping[str, str] | None = None) -> dict[str, str]:
        """Build the environment of a program: nothing of the test run's own telemetry or path leaks in."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("OTEL_", "PYTHON", "VIRTUAL_ENV"))}
        chosen = {"OTEL_SERVICE_NAME": "program", "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": ",".join(self.disabled)}
        if self.path:
            chosen["PYTHONPATH"] = os.pathsep.join(map(str, self.path))
        return {**kept, "PATH": f"{BIN}{os.pathsep}{kept['PATH']}", **chosen, **self.variables, **(variables or {})}

    def command(self, *command: object, flags: Sequence[str] = (), instrumented: bool = True) -> list[str]:
        """Put ``opentelemetry-instrument`` before a command."""
        words = [str(word) for word in command]
        if not instrumented:
            return words
        # What the console script does; a script would name one interpreter, this works for any.
        start = "from opentelemetry.instrumentation.auto_instrumentation import run; run()"
        return [str(self.python), "-c", start, *flags, *words]

    def run(
        self,
        program: str,
        *arguments: object,
        flags: Sequence[str] = (),
        instrumented: bool = True,
        variables: Mapping[str, str] | None = None,
    ) -> Finished:
        """Run a Python program of ``programs/`` to its end."""
        done = subprocess.run(
            self.command(self.python, PROGRAMS / program, *arguments, flags=flags, instrumented=instrumented),
            env=self.environment(variables),
            cwd=PROGRAMS,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
        return Finished(done.returncode, done.stdout, done.stderr)

    @contextlib.contextmanager
    def running(
        self,
        log: Path,
        *command: object,
        instrumented: bool = True,
        variables: Mapping[str, str] | None = None,
    ) -> Iterator[subprocess.Popen[bytes]]:
        """Run a server beside the test; its end is asked for politely, and its log shown if it wasn't polite."""
        with log.open("wb") as output:
            process = subprocess.Popen(
                self.command(*command, instrumented=instrumented),
                env=self.environment(variables),
                cwd=PROGRAMS,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        try:
            yield process
        except BaseException:
            print(log.read_text(errors="replace")[-8000:])
            raise
        finally:
            stop(process)


def stop(process: "subprocess.Popen[bytes]") -> int:
    """End a server as an operator does; whatever is left after that is killed."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(20)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    return process.wait()


def free_port() -> int:
    """Find a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def fetch(url: str) -> str:
    """GET one page on a connection of its own."""
    with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer:
        body: bytes = answer.read()
        return body.decode()


def wait_until_served(url: str, process: "subprocess.Popen[bytes]", timeout_s: float = TIMEOUT_S) -> None:
    """Wait until a server answers."""
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            fetch(url)
            return
        except urllib.error.HTTPError:
            raise
        except OSError as fault:
            if process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"the server does not answer at {url}: {fault}") from fault
            time.sleep(0.1)
