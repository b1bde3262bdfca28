"""Start real programs under the real ``opentelemetry-instrument`` in a clean environment; all tests use this module."""

import atexit
import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from waiting import PATIENCE_S, wait_until

BIN = Path(sys.executable).parent
# Instrumentors of the dev environment that only some programs need; importing them takes half of a program's start.
FRAMEWORKS = ("asgi", "celery", "django", "fastapi", "wsgi")
# This is what the console script does. The script would name one interpreter; this works for any.
START = "from opentelemetry.instrumentation.auto_instrumentation import run; run()"
# Variables of this machine for telemetry, servers, Python or proxies must not affect the programs under test.
UNWANTED = (
    "OTEL_", "OTELCOL_", "PYTHON", "PYTEST_", "VIRTUAL_ENV", "REDIS", "JAEGER_", "PROMETHEUS_",
    "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY",
)  # fmt: skip
# Outgoing connections and the throw-away Redis servers get higher ports, so none of them takes such a port before its
# program does.
PORTS = range(10_000, 20_000)

# uvicorn ends a worker that does not answer it in time. On a busy machine, a worker that still imports would be too
# late.
UVICORN_FLAGS = ("--log-level", "warning", "--timeout-worker-healthcheck", "60")


@dataclass(frozen=True)
class Finished:
    """How a program ended, and its output."""

    code: int
    out: str
    err: str

    @property
    def all(self) -> str:
        """All of its output."""
        return self.out + self.err

    def lines_about(self, words: str) -> list[str]:
        """Return the lines of standard error that contain ``words``."""
        return [line for line in self.err.splitlines() if words in line]


def own_runtime_dir() -> str:
    """Make a runtime folder in which sibling processes find each other; its path is short, since sockets are in it."""
    folder = tempfile.mkdtemp(prefix="redispan-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@dataclass
class Launcher:
    """One environment to run programs in; every program in it gets ``variables``."""

    variables: dict[str, str] = field(default_factory=dict)
    disabled: Sequence[str] = FRAMEWORKS
    python: Path = Path(sys.executable)
    path: Sequence[Path] = ()
    folder: Path | None = None
    """The folder of its programs, in which they also run."""
    runtime_dir: str = field(default_factory=own_runtime_dir)
    """A separate folder: programs of the same name that other tests run, or left, are not sibling processes."""

    def environment(self, variables: Mapping[str, str] | None = None) -> dict[str, str]:
        """Build the environment of a program, without the telemetry settings and the path of the test run."""
        kept = plain_environment()
        chosen = {
            "OTEL_SERVICE_NAME": "program",
            "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": ",".join(self.disabled),
            "OTEL_PYTHON_REDISPAN_RUNTIME_DIR": self.runtime_dir,
        }
        if self.path:
            chosen["PYTHONPATH"] = os.pathsep.join(map(str, self.path))
        return {**kept, "PATH": f"{BIN}{os.pathsep}{kept['PATH']}", **chosen, **self.variables, **(variables or {})}

    def command(self, *command: object, flags: Sequence[str] = (), instrumented: bool = True) -> list[str]:
        """Put ``opentelemetry-instrument`` before a command."""
        words = [str(word) for word in command]
        return [str(self.python), "-c", START, *flags, *words] if instrumented else words

    def run(
        self,
        program: str,
        *arguments: object,
        flags: Sequence[str] = (),
        instrumented: bool = True,
        variables: Mapping[str, str] | None = None,
    ) -> Finished:
        """Run a Python program to its end."""
        done = subprocess.run(
            self.command(self.python, self._place(program), *arguments, flags=flags, instrumented=instrumented),
            env=self.environment(variables),
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
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
        """Run a server beside the test and end it with SIGTERM. Its log is printed if the test fails."""
        with log.open("wb") as output:
            process = subprocess.Popen(
                self.command(*command, instrumented=instrumented),
                env=self.environment(variables),
                cwd=self.folder,
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

    @contextlib.contextmanager
    def talking(
        self, program: str, *arguments: object, variables: Mapping[str, str] | None = None
    ) -> Iterator["Dialogue"]:
        """Run a Python program with which the test exchanges lines."""
        with subprocess.Popen(
            self.command(self.python, self._place(program), *arguments),
            env=self.environment(variables),
            cwd=self.folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                yield Dialogue(process)
            finally:
                process.kill()

    def _place(self, program: str) -> Path:
        return Path(program) if self.folder is None else self.folder / program


@dataclass(frozen=True)
class Dialogue:
    """A running program, its standard input and its standard output."""

    process: "subprocess.Popen[str]"

    def say(self, line: str) -> None:
        """Write a line that the program reads."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()

    def hear(self) -> str:
        """Wait for the program's next line; an empty text means that the program ended."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().rstrip("\n")


def plain_environment() -> dict[str, str]:
    """Return this environment without the variables that affect the programs under test."""
    return {name: value for name, value in os.environ.items() if not name.upper().startswith(UNWANTED)}


def stop(process: "subprocess.Popen[bytes]") -> int:
    """End a server with SIGTERM, as an operator does, and kill what is left after that."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(20)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    return process.wait()


def free_ports(count: int) -> list[int]:
    """Find ports on which nothing listens. All are held until the last one is found, so that they differ."""
    # Not the seeded generator of a test, because two workers would then try the same ports at the same time.
    ports = random.SystemRandom().sample(PORTS, 50 + count)
    with contextlib.ExitStack() as held:
        found: list[int] = []
        for port in ports:
            probe = held.enter_context(socket.socket())
            with contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", port))
                found.append(port)
            if len(found) == count:
                return found
    raise OSError("nearly every port of this machine is taken")


def free_port() -> int:
    """Find a port on which nothing listens."""
    return free_ports(1)[0]


def fetch(url: str) -> str:
    """GET one page on a new connection."""
    with urllib.request.urlopen(url, timeout=PATIENCE_S) as answer:
        body: bytes = answer.read()
        return body.decode()


def wait_until_served(url: str, process: "subprocess.Popen[bytes]") -> None:
    """Wait until a server answers. A server that ends instead, or answers with an error, fails the test at once."""

    def served() -> bool:
        assert process.poll() is None, f"the server ended with {process.poll()}"
        try:
            fetch(url)
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{url} answered {error.code}: {error.read().decode()}") from error
        except OSError:
            return False
        return True

    wait_until(served, f"an answer at {url}")
