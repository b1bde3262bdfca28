"""Records that cross the layers: what was found slow, what was alerted, what a server looks like."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

SLOW_OPERATION = "slow_operation"
ERROR_RATE = "error_rate"
MEMORY_USAGE = "memory_usage"
POOL_USAGE = "pool_usage"
ANOMALY = "anomaly"

ALERT_NAMES = (SLOW_OPERATION, ERROR_RATE, MEMORY_USAGE, POOL_USAGE, ANOMALY)
"""No other spelling anywhere: dashboards, rules and the Collector match these."""

DETECTED, FIRED, CLEARED = "detected", "fired", "cleared"
"""A momentary alert is detected; an alert that lasts fires, and clears."""


@dataclass(frozen=True)
class SlowOperation:
    """One operation that took too long, and where its time went.

    Attributes:
        command: Its command, or the common one of a batch.
        endpoint: ``host:port/db``.
        address: Host, or path of a UNIX socket.
        port: TCP port.
        duration_ms: How long the caller waited.
        pool_wait_ms: Of which waiting for a connection of the pool.
        connect_ms: Of which opening connections.
        backoff_ms: Of which sleeping between attempts.
        retries: Attempts repeated inside the client.
        error: Its error type, if it failed.
        at_unix_ns: When it ended.
        trace_id: Its trace as hexadecimal text, empty without one.
        span_id: Its span, likewise.
        db: Index of the database as text.
    """

    command: str
    endpoint: str
    address: str | None
    port: int | None
    duration_ms: float
    pool_wait_ms: float = 0.0
    connect_ms: float = 0.0
    backoff_ms: float = 0.0
    retries: int = 0
    error: str | None = None
    at_unix_ns: int = 0
    trace_id: str = ""
    span_id: str = ""
    db: str | None = None

    @property
    def server_ms(self) -> float:
        """The rest: the server and the network."""
        return max(0.0, self.duration_ms - self.pool_wait_ms - self.connect_ms - self.backoff_ms)

    def where(self) -> str:
        """Where the time went, in words."""
        parts = [
            (self.pool_wait_ms, "waiting for a connection of the pool"),
            (self.connect_ms, "connecting"),
            (self.backoff_ms, "pausing between retries"),
            (self.server_ms, "server and network"),
        ]
        # Less than 0.05 ms is printed as 0.0: it explains nothing.
        return ", ".join(f"{value_ms:.1f} ms {words}" for value_ms, words in parts if value_ms >= 0.05)


@dataclass(frozen=True)
class Alert:
    """Something that a person should know, as it is told to telemetry, logs, callbacks and webhooks.

    Attributes:
        name: One of ``ALERT_NAMES``.
        state: ``detected`` (momentary), ``fired`` or ``cleared``.
        message: One sentence.
        endpoint: What it is about: ``host:port/db``, or the name of a pool.
        value: The figure that crossed the threshold.
        threshold: The threshold.
        unit: Unit of both: ``s`` or ``1`` (a share).
        at_unix_ns: When.
        severity: ``info``, ``warning`` or ``error``.
        address: Host of the server, if it is about one.
        port: Port of the server.
        db: Index of the database as text.
        command: The command, for a slow operation.
        held_back: How many alerts of the same kind were held back since the last one that was told.
        evidence: Further figures behind it, by attribute name.
    """

    name: str
    state: str
    message: str
    endpoint: str
    value: float
    threshold: float
    unit: str
    at_unix_ns: int
    severity: str = "warning"
    address: str | None = None
    port: int | None = None
    db: str | None = None
    command: str | None = None
    held_back: int = 0
    evidence: Mapping[str, float | int | str] = field(default_factory=dict)

    def as_data(self) -> dict[str, Any]:
        """As plain data for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class ServerReading:
    """What a probe read from one server.

    Attributes:
        endpoint: ``host:port``.
        at_unix_ns: When it was read.
        reachable: It answered.
        address: Its host.
        port: Its port.
        used_memory_bytes: Memory it uses.
        max_memory_bytes: Its limit; 0 or None for none.
        host_memory_bytes: Memory of its host.
        figures: Anything else worth showing, by name.
    """

    endpoint: str
    at_unix_ns: int
    reachable: bool = True
    address: str | None = None
    port: int | None = None
    used_memory_bytes: int | None = None
    max_memory_bytes: int | None = None
    host_memory_bytes: int | None = None
    figures: Mapping[str, float | int | str] = field(default_factory=dict)

    @property
    def memory_share(self) -> float | None:
        """Used memory as a share of the limit, or of the host's memory where there is no limit."""
        limit = self.max_memory_bytes or self.host_memory_bytes
        if not limit or self.used_memory_bytes is None:
            return None
        return self.used_memory_bytes / limit
