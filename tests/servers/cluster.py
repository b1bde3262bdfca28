"""A Redis Cluster of three masters. They are connected by hand, which takes a fraction of redis-cli's time."""

from dataclasses import dataclass

from redispan.testing.embedded_server import EmbeddedServer
from servers.redis_server import RedisServer
from waiting import wait_until

SLOTS = 16_384
MASTERS = 3


@dataclass
class ClusterServer:
    """The nodes of a running cluster, masters first."""

    masters: list[RedisServer]
    replicas: list[RedisServer]

    @property
    def nodes(self) -> list[RedisServer]:
        """All nodes."""
        return [*self.masters, *self.replicas]

    @property
    def url(self) -> str:
        """The URL of one node, from which a client discovers the others."""
        return self.masters[0].url

    @property
    def host(self) -> str:
        """The address of the first node."""
        return self.masters[0].host

    @property
    def port(self) -> int:
        """The port of the first node."""
        return self.masters[0].port

    def owner_of(self, key: str) -> RedisServer:
        """Return the master that holds ``key``, according to the slots as the cluster was built."""
        slot = self.masters[0].call("CLUSTER", "KEYSLOT", key)
        return self.masters[min(slot * MASTERS // SLOTS, MASTERS - 1)]

    def commands_served(self) -> dict[str, int]:
        """Return how often the masters together ran each command since their statistics were last reset."""
        total: dict[str, int] = {}
        for master in self.masters:
            for name, calls in master.commands_served().items():
                total[name] = total.get(name, 0) + calls
        return total

    def clean(self) -> None:
        """Remove what an earlier test left behind on any master."""
        for master in self.masters:
            master.clean()

    def stop(self) -> None:
        """End all nodes."""
        for node in self.nodes:
            node.stop()


def start_cluster(*, replicas: int = 0) -> ClusterServer:
    """Start three masters, each with ``replicas`` followers, and return when every node sees a whole cluster."""
    count = MASTERS * (1 + replicas)
    cluster = ClusterServer([], [])
    try:
        for index in range(count):
            process = EmbeddedServer(
                {
                    "cluster-enabled": "yes",
                    "cluster-config-file": "nodes.conf",
                    "cluster-node-timeout": 1000,
                    "repl-diskless-sync-delay": 0,
                    "repl-ping-replica-period": 1,
                }
            )
            process.start()
            node = RedisServer(process, process.url)
            (cluster.masters if index < MASTERS else cluster.replicas).append(node)
        _wire(cluster)
    except BaseException:
        cluster.stop()
        raise
    return cluster


def _wire(cluster: ClusterServer) -> None:
    first = cluster.masters[0]
    for index, master in enumerate(cluster.masters):
        # Masters whose epochs differ from the start need not settle by gossip which of them is newer.
        master.call("CLUSTER", "SET-CONFIG-EPOCH", index + 1)
        slots = range(_first_slot(index), _first_slot(index + 1))
        master.call("CLUSTER", "ADDSLOTS", *slots)
    for node in cluster.nodes[1:]:
        node.call("CLUSTER", "MEET", first.host, first.port)
    wait_until(lambda: all(_knows_all(node, cluster) for node in cluster.nodes), "the nodes to know each other")
    for index, replica in enumerate(cluster.replicas):
        replica.call("CLUSTER", "REPLICATE", cluster.masters[index % MASTERS].call("CLUSTER", "MYID"))
    wait_until(lambda: all(_is_whole(node, cluster) for node in cluster.nodes), "a whole cluster")


def _first_slot(index: int) -> int:
    # Rounded up, so that `slot * MASTERS // SLOTS` is the index of the owner.
    return -(-index * SLOTS // MASTERS)


def _knows_all(node: RedisServer, cluster: ClusterServer) -> bool:
    known = [line.split() for line in node.call("CLUSTER", "NODES").splitlines()]
    return len(known) == len(cluster.nodes) and all("handshake" not in fields[2] for fields in known)


def _is_whole(node: RedisServer, cluster: ClusterServer) -> bool:
    state = dict(line.split(":", 1) for line in node.call("CLUSTER", "INFO").splitlines() if ":" in line)
    # A replica is listed here only once it has copied something, and clients do not learn of it earlier.
    members = sum(len(row) - 2 for row in node.call("CLUSTER", "SLOTS"))
    return (
        state["cluster_state"] == "ok"
        and int(state["cluster_slots_ok"]) == SLOTS
        and members == len(cluster.nodes)
        and all(replica.info("replication")["master_link_status"] == "up" for replica in cluster.replicas)
    )
