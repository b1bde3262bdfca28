"""The records that reports are made of. ``schema_version`` changes its first number when a field goes or changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from redispan._insight.latency import NOTHING, Latency

SCHEMA_VERSION = "1.0"

HEALTHY, DEGRADED, UNHEALTHY = "healthy", "degraded", "unhealthy"


@dataclass(frozen=True)
class Reason:
    """Why the health score isn't 100.

    Attributes:
        what: One sentence.
        points: How many points it costs.
    """

    what: str
    points: float


@dataclass(frozen=True)
class Check:
    """One figure held against its threshold.

    Attributes:
        name: What is checked.
        ok: Whether it is within the threshold.
        value: The figure; None if there is none.
        threshold: The threshold.
        unit: Unit of both.
    """

    name: str
    ok: bool
    value: float | None
    threshold: float
    unit: str


@dataclass(frozen=True)
class Finding:
    """Something to change, with the evidence for it.

    Attributes:
        name: Stable name of the kind of finding.
        weight: 1 (worth knowing) to 3 (act).
        what: What was found, one sentence.
        evidence: The figures behind it, in words.
        change: The exact setting, command or change of code.
        figures: The same figures by name.
    """

    name: str
    weight: int
    what: str
    evidence: str
    change: str
    figures: Mapping[str, float | int | str] = field(default_factory=dict)


@dataclass(frozen=True)
class Totals:
    """Figures since the processes started: exact.

    Attributes:
        operations: How many.
        errors: How many failed.
        mean_ms: Their average duration.
        max_ms: The longest.
        under_target: Share that took less than 100 ms.
    """

    operations: int = 0
    errors: int = 0
    mean_ms: float | None = None
    max_ms: float | None = None
    under_target: float | None = None


@dataclass(frozen=True)
class CommandFigures:
    """One command: in the window, and since the start.

    Attributes:
        command: Its name.
        window: Its operations in the window.
        totals: All of its operations.
        time_share: Its share of the time that all operations took since the start.
    """

    command: str
    window: Latency
    totals: Totals
    time_share: float


@dataclass(frozen=True)
class EndpointFigures:
    """One endpoint: a server, cluster node or UNIX socket, and a database.

    Attributes:
        endpoint: ``host:port/db``.
        window: Its last operations.
        totals: All of its operations.
        error_types: Failures by type since the start.
        unreachable: Its last operations all failed to reach it.
        blocking: Its blocking commands since the start, which are in none of the other figures.
    """

    endpoint: str
    window: Latency
    totals: Totals
    error_types: Mapping[str, int]
    unreachable: bool
    blocking: Totals


@dataclass(frozen=True)
class PoolFigures:
    """One connection pool of one process.

    Attributes:
        pool: Its name.
        pid: The process that has it.
        kind: ``pool``, ``blocking`` or ``cluster_node``.
        used: Connections lent out, those of subscriptions and blocking reads included.
        busy: Without those.
        idle: Connections open and free.
        limit: Most connections; None for no limit.
        utilisation: ``busy`` as a share of the limit.
        peak_utilisation: The highest seen, once a second.
        pending: Callers waiting now.
        waits: Waits since the start.
        mean_wait_ms: The average wait.
        timeouts: Waits that ended without a connection.
        exhausted: Calls that found no connection at once.
        created: Connections opened.
        uses: Connections lent out since the start.
        reuse: Share of uses that found a connection open: the pool's efficiency.
        advised_limit: The limit that its load asks for; None if nothing is known of it.
        tuned: Whether redispan tunes it.
    """

    pool: str
    pid: int
    kind: str
    used: int
    busy: int
    idle: int
    limit: int | None
    utilisation: float | None
    peak_utilisation: float | None
    pending: int
    waits: int
    mean_wait_ms: float | None
    timeouts: int
    exhausted: int
    created: int
    uses: int
    reuse: float | None
    advised_limit: int | None
    tuned: bool


@dataclass(frozen=True)
class ServerFigures:
    """One server, as the probe read it.

    Attributes:
        endpoint: ``host:port``.
        reachable: It answered.
        at: When it was read (ISO 8601).
        used_memory_bytes: Memory in use.
        memory_limit_bytes: Its limit, else its host's memory.
        memory_usage: The one as a share of the other.
        figures: Anything else that was read.
    """

    endpoint: str
    reachable: bool
    at: str
    used_memory_bytes: int | None
    memory_limit_bytes: int | None
    memory_usage: float | None
    figures: Mapping[str, float | int | str] = field(default_factory=dict)


@dataclass(frozen=True)
class WorkFigures:
    """All runs of one named piece of work.

    Attributes:
        name: Its name.
        runs: How often it ran.
        failed_runs: How often it ended with an exception.
        mean_ms: Its average duration.
        max_ms: Its longest.
        redis_share: Share of its time that went into Redis; above 1 where operations ran side by side.
        operations_per_run: Redis operations of one run.
        totals: Its operations.
        commands: Operations by command.
        error_types: Failures by type.
        slowest: Its slowest operations: duration in ms, command, endpoint.
    """

    name: str
    runs: int
    failed_runs: int
    mean_ms: float | None
    max_ms: float | None
    redis_share: float | None
    operations_per_run: float
    totals: Totals
    commands: Mapping[str, int]
    error_types: Mapping[str, int]
    slowest: tuple[tuple[float, str, str], ...]


@dataclass(frozen=True)
class UsageFigures:
    """How one command family or key pattern is used: estimates, once operations are sampled.

    Attributes:
        name: The family or the pattern.
        reads: Commands that read.
        writes: Commands that write.
        hits: Values that were there.
        misses: Values that were not.
        hit_ratio: Share that was there.
        bytes_read: Bytes read.
        bytes_written: Bytes written.
        lasting_sets: SETs without a time to live.
        expiring_sets: SETs with one, and EXPIREs.
        early_misses: Misses among a process's first operations.
    """

    name: str
    reads: int
    writes: int
    hits: int
    misses: int
    hit_ratio: float | None
    bytes_read: int
    bytes_written: int
    lasting_sets: int
    expiring_sets: int
    early_misses: int


@dataclass(frozen=True)
class Report:
    """What every report says first.

    Attributes:
        schema_version: Version of the report's schema.
        generated_at: When (ISO 8601).
        scope: ``process`` or ``host``.
        processes: The processes it covers.
        missing: How many processes did not answer in time.
    """

    schema_version: str
    generated_at: str
    scope: str
    processes: tuple[int, ...]
    missing: int

    def as_data(self) -> dict[str, Any]:
        """As plain data for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class HealthReport(Report):
    """Whether Redis is well, for this program.

    Attributes:
        status: ``healthy``, ``degraded`` or ``unhealthy``.
        score: 0 to 100.
        reasons: What costs points.
        checks: Figures held against their thresholds.
        recent: The operations of the last minutes.
        pools: Connection pools.
        servers: Servers, as far as they are probed.
        alerts: What fires now, as sentences.
    """

    status: str = HEALTHY
    score: float = 100.0
    reasons: tuple[Reason, ...] = ()
    checks: tuple[Check, ...] = ()
    recent: Latency = NOTHING
    pools: tuple[PoolFigures, ...] = ()
    servers: tuple[ServerFigures, ...] = ()
    alerts: tuple[str, ...] = ()


@dataclass(frozen=True)
class PerformanceReport(Report):
    """Everything: how fast, how often, how well, and what to change.

    Attributes:
        window_size: Operations of a window.
        since: When the oldest process started (ISO 8601).
        status: As in the health report.
        score: As in the health report.
        reasons: As in the health report.
        window: The last operations of all endpoints together.
        totals: All operations since the start.
        endpoints: By endpoint.
        commands: By command, those first that take most time.
        blocking: Blocking commands, which are in none of the other figures.
        error_types: Failures by type since the start.
        slow: The slowest of the slow operations seen last.
        alert_counts: Alerts since the start by name.
        alerts_firing: What fires now.
        alert_history: The last alerts.
        pools: Connection pools.
        servers: Servers, as far as they are probed.
        works: Named pieces of work.
        recommendations: What to change, the most urgent first.
    """

    window_size: int = 0
    since: str = ""
    status: str = HEALTHY
    score: float = 100.0
    reasons: tuple[Reason, ...] = ()
    window: Latency = NOTHING
    totals: Totals = field(default_factory=Totals)
    endpoints: tuple[EndpointFigures, ...] = ()
    commands: tuple[CommandFigures, ...] = ()
    blocking: tuple[CommandFigures, ...] = ()
    error_types: Mapping[str, int] = field(default_factory=dict)
    slow: tuple[Mapping[str, Any], ...] = ()
    alert_counts: Mapping[str, int] = field(default_factory=dict)
    alerts_firing: tuple[Mapping[str, Any], ...] = ()
    alert_history: tuple[Mapping[str, Any], ...] = ()
    pools: tuple[PoolFigures, ...] = ()
    servers: tuple[ServerFigures, ...] = ()
    works: tuple[WorkFigures, ...] = ()
    recommendations: tuple[Finding, ...] = ()


@dataclass(frozen=True)
class PoolReport(Report):
    """Connection pools: how full, how well used, how large they should be.

    Attributes:
        pools: Every pool of every process.
        recommendations: What to change about them.
    """

    pools: tuple[PoolFigures, ...] = ()
    recommendations: tuple[Finding, ...] = ()


@dataclass(frozen=True)
class CacheReport(Report):
    """How Redis is used as a cache.

    Attributes:
        commands: Operations by command since the start: exact.
        read_share: Share of reads among reads and writes.
        hit_ratio: Share of values that were there.
        sampled: Commands looked at closely; the figures below are estimated from them.
        families: By family of commands.
        patterns: By pattern of keys; empty unless keys may be shown.
        patterns_shown: Whether they may.
        recommendations: What to change.
    """

    commands: Mapping[str, int] = field(default_factory=dict)
    read_share: float | None = None
    hit_ratio: float | None = None
    sampled: int = 0
    families: tuple[UsageFigures, ...] = ()
    patterns: tuple[UsageFigures, ...] = ()
    patterns_shown: bool = False
    recommendations: tuple[Finding, ...] = ()
