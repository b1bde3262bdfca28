"""The rules that turn a fleet's figures into advice. Their thresholds are redispan's defaults."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

CRITICAL, WARNING, INFO = "critical", "warning", "info"
_ORDER = (CRITICAL, WARNING, INFO)


@dataclass(frozen=True)
class Service:
    """The figures of one service, over all its processes. A figure is None where the backend has none.

    Attributes:
        name: Its ``service.name``.
        processes: The number of its processes that use Redis.
        operations_per_s: Operations per second.
        error_share: The share of operations that failed.
        p50_ms: The median duration, in milliseconds.
        p95_ms: The 95th percentile of the durations, in milliseconds.
        p99_ms: The 99th percentile of the durations, in milliseconds.
        within_100ms: The share of operations that succeeded within the target of 100 ms.
        fullest_pool: The share in use of the fullest pool's limit.
        connections_used: Connections in use.
        waiting: Callers that are waiting for a connection.
        pool_timeouts_per_s: Calls per second that got no connection.
        slow_operations: Slow operations in the window.
        telemetry_errors: Errors inside redispan in the window.
    """

    name: str
    processes: int = 0
    operations_per_s: float | None = None
    error_share: float | None = None
    p50_ms: float | None = None
    p95_ms: float | None = None
    p99_ms: float | None = None
    within_100ms: float | None = None
    fullest_pool: float | None = None
    connections_used: float | None = None
    waiting: float | None = None
    pool_timeouts_per_s: float | None = None
    slow_operations: float | None = None
    telemetry_errors: float | None = None


@dataclass(frozen=True)
class Server:
    """The figures of one Redis server. A figure is None where the backend has none.

    Attributes:
        name: ``host:port``, or the path of its socket.
        reached: 1 when the probe of any host reaches it, 0 when none does; None when no program reports it.
        memory_share: Used memory as a share of its memory limit; None without a limit.
        memory_bytes: Used memory, in bytes.
        clients: Connected clients.
        hits_per_s: Reads per second that found their key.
        misses_per_s: Reads per second that did not.
        evicted_per_s: Keys per second that the server evicted for lack of memory.
        rejected_per_s: Connections per second that the server refused.
    """

    name: str
    reached: float | None = None
    memory_share: float | None = None
    memory_bytes: float | None = None
    clients: float | None = None
    hits_per_s: float | None = None
    misses_per_s: float | None = None
    evicted_per_s: float | None = None
    rejected_per_s: float | None = None

    @property
    def hit_ratio(self) -> float | None:
        """The share of reads that found their key; None without reads."""
        reads = (self.hits_per_s or 0.0) + (self.misses_per_s or 0.0)
        return (self.hits_per_s or 0.0) / reads if reads else None


@dataclass(frozen=True)
class FleetAdvice:
    """One piece of advice.

    Attributes:
        severity: ``critical``, ``warning`` or ``info``.
        subject: The name of the service or server.
        text: What is wrong, and what to do about it.
    """

    severity: str
    subject: str
    text: str


_ServiceRule = tuple[str, Callable[[Service], float | None], Callable[[float], bool], str]
_ServerRule = tuple[str, Callable[[Server], float | None], Callable[[float], bool], str]

_SERVICE_RULES: tuple[_ServiceRule, ...] = (
    (CRITICAL, lambda s: s.error_share, lambda v: v > 0.05,
     "{value:.1%} of Redis operations fail; look at error_type: connection errors mean server or network, others code"),
    (CRITICAL, lambda s: s.pool_timeouts_per_s, lambda v: v > 0,
     "{value:.2f} calls per second get no connection; raise max_connections or hold connections for a shorter time"),
    (WARNING, lambda s: s.fullest_pool, lambda v: v > 0.9,
     "a pool is {value:.0%} in use; raise max_connections before callers have to wait"),
    (WARNING, lambda s: s.p95_ms, lambda v: v > 50,
     "p95 is {value:.0f} ms; if one command is slow look at the code, if all are look at server and network"),
    (WARNING, lambda s: s.within_100ms, lambda v: v < 0.99,
     "only {value:.1%} of operations succeed within 100 ms"),
    (INFO, lambda s: s.slow_operations, lambda v: v >= 1,
     "{value:.0f} slow operations; search the traces for redis.client.operation.slow=true"),
    (INFO, lambda s: s.telemetry_errors, lambda v: v >= 1,
     "redispan itself had {value:.0f} faults; the programs are not affected"),
)  # fmt: skip

_SERVER_RULES: tuple[_ServerRule, ...] = (
    (CRITICAL, lambda s: s.reached, lambda v: v == 0,
     "answers none of the programs that use it; is it up, and does the network reach it?"),
    (CRITICAL, lambda s: s.rejected_per_s, lambda v: v > 0,
     "refuses {value:.2f} connections per second; maxclients is reached"),
    (WARNING, lambda s: s.memory_share, lambda v: v > 0.8,
     "uses {value:.0%} of its memory limit; look for keys without a TTL"),
    (WARNING, lambda s: s.evicted_per_s, lambda v: v > 0,
     "evicts {value:.1f} keys per second; the cache is larger than its memory"),
    (INFO, lambda s: s.hit_ratio, lambda v: v < 0.5,
     "answers only {value:.0%} of reads from an existing key; is what is read ever written, and long enough?"),
)  # fmt: skip


def fleet_advice(services: Iterable[Service], servers: Iterable[Server]) -> list[FleetAdvice]:
    """Return advice for every figure that crosses a threshold, the most severe first."""
    found = [
        FleetAdvice(severity, service.name, f"{service.name}: {text.format(value=value)}")
        for service in services
        for severity, read, crosses, text in _SERVICE_RULES
        if (value := read(service)) is not None and crosses(value)
    ]
    found += [
        FleetAdvice(severity, server.name, f"server {server.name} {text.format(value=value)}")
        for server in servers
        for severity, read_server, crosses, text in _SERVER_RULES
        if (value := read_server(server)) is not None and crosses(value)
    ]
    return sorted(found, key=lambda finding: _ORDER.index(finding.severity))
