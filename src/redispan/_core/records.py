"""The records that the layers exchange: slow operations, alerts and the readings of servers."""

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
"""The names of all alerts. Dashboards, alert rules and the Collector match these exact spellings."""

DETECTED, FIRED, CLEARED = "detected", "fired", "cleared"
"""The states of an alert. A momentary alert is ``detected``; an alert that lasts is ``fired`` and then ``cleared``."""


@dataclass(frozen=True)
class SlowOperation:
    """One slow operation, and where its time went.

    Attributes:
        command: The name of the command; for a batch, a name such as ``PIPELINE SET``.
        endpoint: The target as ``host:port/db``.
        address: The host, or the path of a UNIX socket.
        port: The TCP port.
        duration_ms: The milliseconds that the caller waited.
        pool_wait_ms: The part of these spent waiting for a connection of the pool.
        connect_ms: The part of these spent opening connections.
        backoff_ms: The part of these slept between attempts.
        retries: The number of attempts that were repeated inside the client.
        error: The error type, if the operation failed.
        at_unix_ns: The end of the operation, in nanoseconds since the Unix epoch.
        trace_id: The trace id as hexadecimal text; empty if there is no trace.
        span_id: The span id as hexadecimal text; empty if there is no span.
        db: The index of the database as text.
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
        """The milliseconds that remain for the server and the network."""
        return max(0.0, self.duration_ms - self.pool_wait_ms - self.connect_ms - self.backoff_ms)

    def where(self) -> str:
        """Describe in words where the time went."""
        parts = [
            (self.pool_wait_ms, "waiting for a connection of the pool"),
            (self.connect_ms, "connecting"),
            (self.backoff_ms, "pausing between retries"),
            (self.server_ms, "server and network"),
        ]
        # A part below 0.05 ms would be printed as 0.0 ms, so it is left out.
        return ", ".join(f"{value_ms:.1f} ms {words}" for value_ms, words in parts if value_ms >= 0.05)


@dataclass(frozen=True)
class Alert:
    """One alert, as it goes to OpenTelemetry events, logs, callbacks and webhooks.

    Attributes:
        name: One of ``ALERT_NAMES``.
        state: ``detected`` for a momentary alert; ``fired`` or ``cleared`` for an alert that lasts.
        message: The alert in one sentence.
        endpoint: The subject of the alert: ``host:port/db``, or the name of a pool.
        value: The figure that crossed the threshold.
        threshold: The threshold.
        unit: The unit of value and threshold: ``s`` or ``1`` (a share).
        at_unix_ns: The time of the alert, in nanoseconds since the Unix epoch.
        severity: ``info``, ``warning`` or ``error``.
        address: The host of the server, if the alert is about a server.
        port: The port of the server.
        db: The index of the database as text.
        command: The name of the command, for a slow operation.
        held_back: How many alerts of the same kind were held back since the last one that was emitted.
        evidence: Further figures that explain the alert, by attribute name.
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
        """Return the alert as plain data for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class ServerReading:
    """The figures that the server probe read from one server.

    Attributes:
        endpoint: ``host:port``.
        at_unix_ns: The time of the reading, in nanoseconds since the Unix epoch.
        reachable: Whether the server answered.
        address: The host of the server.
        port: The port of the server.
        used_memory_bytes: The memory that the server uses.
        max_memory_bytes: The memory limit of the server; 0 or None for no limit.
        host_memory_bytes: The memory of the server's host.
        figures: All other figures, by name.
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
        """Used memory as a share of the limit, or of the host's memory if there is no limit; None if unknown."""
        limit = self.max_memory_bytes or self.host_memory_bytes
        if not limit or self.used_memory_bytes is None:
            return None
        return self.used_memory_bytes / limit
