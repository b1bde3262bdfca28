"""A master and a replica under one Sentinel."""

from dataclasses import dataclass

from redispan.testing.embedded_server import EmbeddedServer
from servers.redis_server import RedisServer, start_redis
from waiting import wait_until


@dataclass
class SentinelServer:
    """The running trio, and how a client finds its master."""

    sentinel: RedisServer
    master: RedisServer
    replica: RedisServer
    service_name: str = "orders"

    @property
    def sentinels(self) -> list[tuple[str, int]]:
        """The argument that ``redis.sentinel.Sentinel`` takes."""
        return [(self.sentinel.host, self.sentinel.port)]

    def fail_over(self) -> None:
        """Let the replica take over, and return when Sentinel reports it as the master."""
        self.sentinel.call("SENTINEL", "FAILOVER", self.service_name)
        wait_until(lambda: self._current_master_port() == self.replica.port, "the fail-over")
        self.master, self.replica = self.replica, self.master

    def clean(self) -> None:
        """Remove what an earlier test left behind on the master."""
        self.master.clean()

    def stop(self) -> None:
        """End all three."""
        for server in (self.sentinel, self.replica, self.master):
            server.stop()

    def _current_master_port(self) -> int:
        return int(self.sentinel.call("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self.service_name)[1])


QUICK_MS = 1000
PATIENT_MS = 120_000


def start_sentinel(down_after_ms: int = QUICK_MS) -> SentinelServer:
    """Start the trio and return when Sentinel knows the replica.

    Args:
        down_after_ms: A master that is silent for so long is given up.
    """
    master = start_redis(repl_diskless_sync_delay=0)
    try:
        replica = start_redis(replicaof=f"{master.host} {master.port}", repl_diskless_sync_delay=0)
    except BaseException:
        master.stop()
        raise
    trio = SentinelServer(_describe_sentinel(master, down_after_ms), master, replica)
    try:
        # Sentinel asks a master for its replicas on connecting, and then only every ten seconds.
        wait_until(lambda: master.info("replication").get("slave0", "").find("state=online") > 0, "the replica")
        trio.sentinel.process.start()
        trio.sentinel.url = trio.sentinel.process.url
        wait_until(lambda: _knows_replica(trio), "Sentinel to know the replica")
    except BaseException:
        trio.stop()
        raise
    return trio


def _describe_sentinel(master: RedisServer, down_after_ms: int) -> RedisServer:
    process = EmbeddedServer(
        {
            "sentinel monitor": f"{SentinelServer.service_name} {master.host} {master.port} 1",
            "sentinel down-after-milliseconds": f"{SentinelServer.service_name} {down_after_ms}",
            "sentinel failover-timeout": f"{SentinelServer.service_name} 3000",
        },
        arguments=("--sentinel",),
    )
    return RedisServer(process, "")


def _knows_replica(trio: SentinelServer) -> bool:
    replicas = trio.sentinel.call("SENTINEL", "REPLICAS", trio.service_name)
    return len(replicas) == 1 and "ok" in _as_dict(replicas[0]).get("master-link-status", "")


def _as_dict(flat: list[str]) -> dict[str, str]:
    return dict(zip(flat[::2], flat[1::2], strict=True))
