"""The records inside reports: one class each for pools, servers, commands, advice and other figures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from redispan._insight.latency import Latency


@dataclass(frozen=True)
class Reason:
    """A reason why the health score is below 100.

    Attributes:
        what: The reason, in one sentence.
        points: Number of points that it costs.
    """

    what: str
    points: float


@dataclass(frozen=True)
class Check:
    """One figure compared with its threshold.

    Attributes:
        name: Name of the check.
        ok: Whether the figure is within the threshold.
        value: The figure, or None without data.
        threshold: The threshold.
        unit: Unit of the figure and the threshold.
    """

    name: str
    ok: bool
    value: float | None
    threshold: float
    unit: str


@dataclass(frozen=True)
class Finding:
    """A piece of advice: something to change, with the evidence for it.

    Attributes:
        name: Stable name of the kind of advice.
        weight: Importance, from 1 (worth knowing) to 3 (act).
        what: What redispan found, in one sentence.
        evidence: The figures behind it, in words.
        change: The exact setting, command or code change.
        figures: The figures of the evidence by name.
    """

    name: str
    weight: int
    what: str
    evidence: str
    change: str
    figures: Mapping[str, float | int | str] = field(default_factory=dict)


@dataclass(frozen=True)
class Totals:
    """Exact figures since the processes started.

    Attributes:
        operations: Number of operations.
        errors: Number of failed operations.
        mean_ms: Average duration.
        max_ms: Longest duration.
        under_target: Share of operations that succeeded in less than 100 ms, 0 to 1.
    """

    operations: int = 0
    errors: int = 0
    mean_ms: float | None = None
    max_ms: float | None = None
    under_target: float | None = None


@dataclass(frozen=True)
class CommandFigures:
    """The figures of one command, in the window and since the start.

    Attributes:
        command: Name of the command.
        window: Figures of its operations in the window.
        totals: Figures of all its operations since the start.
        time_share: Its share of the total time of all operations since the start, 0 to 1.
    """

    command: str
    window: Latency
    totals: Totals
    time_share: float


@dataclass(frozen=True)
class EndpointFigures:
    """The figures of one endpoint: a server, cluster node or UNIX socket, and a database.

    Attributes:
        endpoint: ``host:port/db``.
        window: Figures of its last operations.
        totals: Figures of all its operations since the start.
        error_types: Number of failures by error type since the start.
        unreachable: Whether its last operations all failed to reach it.
        blocking: Figures of its blocking commands since the start. Window, totals and error types exclude them.
    """

    endpoint: str
    window: Latency
    totals: Totals
    error_types: Mapping[str, int]
    unreachable: bool
    blocking: Totals


@dataclass(frozen=True)
class PoolFigures:
    """The figures of one connection pool of one process.

    Attributes:
        pool: Name of the pool.
        pid: Id of the process that owns the pool.
        kind: ``pool``, ``blocking`` or ``cluster_node``.
        used: Connections in use, including those in subscriptions and blocking reads.
        busy: Connections in use, without those in subscriptions and blocking reads.
        idle: Open connections that are free.
        limit: The most connections that the pool may open, or None without a limit.
        utilisation: ``busy`` as a share of the limit.
        peak_utilisation: Highest utilisation seen, read about once a second.
        pending: Callers that wait for a connection now.
        waits: Number of waits for a connection since the start.
        mean_wait_ms: Average time of a wait.
        timeouts: Waits that ended without a connection.
        exhausted: Calls that found no connection at once.
        created: Connections opened since the start.
        uses: How often a connection was lent out since the start.
        reuse: Share of uses that reused an open connection, which is the pool's efficiency.
        advised_limit: The limit that redispan advises for the load, or None without data.
        tuned: Whether redispan tunes the pool.
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
    """The figures of one server, as the probe read them.

    Attributes:
        endpoint: ``host:port``.
        reachable: Whether the server answered the probe, or has answered the program since.
        at: Time of the reading (ISO 8601).
        used_memory_bytes: Memory in use.
        memory_limit_bytes: Memory limit of the server, or the memory of its host if it has no limit.
        memory_usage: Used memory as a share of the limit.
        memory_growth_bytes_per_h: Growth of memory per hour over the last two hours, or None without steady growth.
        memory_full_in_h: Hours until memory reaches the limit at this growth rate.
        figures: Further figures that the probe read.
    """

    endpoint: str
    reachable: bool
    at: str
    used_memory_bytes: int | None
    memory_limit_bytes: int | None
    memory_usage: float | None
    memory_growth_bytes_per_h: float | None
    memory_full_in_h: float | None
    figures: Mapping[str, float | int | str] = field(default_factory=dict)


@dataclass(frozen=True)
class WorkFigures:
    """The figures of all monitored runs of one name.

    Attributes:
        name: Name of the runs.
        runs: Number of runs.
        failed_runs: Number of runs that ended with an exception.
        mean_ms: Average duration of a run.
        max_ms: Duration of the longest run.
        redis_share: Share of the runs' time spent in Redis operations. It exceeds 1 if operations ran concurrently.
        operations_per_run: Average number of Redis operations of a run.
        totals: Figures of all operations of the runs.
        commands: Number of operations by command.
        error_types: Number of failures by error type.
        slowest: The slowest operations of the runs, each with its duration in ms, command and endpoint.
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
    """The usage of one command family or key pattern. The figures are estimates, once operations are sampled.

    Attributes:
        name: Name of the command family, or the key pattern.
        reads: Commands that read.
        writes: Commands that write.
        hits: Lookups that found a value.
        misses: Lookups that found no value.
        hit_ratio: Share of lookups that found a value.
        bytes_read: Bytes read.
        bytes_written: Bytes written.
        lasting_sets: SETs without a time to live.
        expiring_sets: SETs with a time to live, and EXPIREs.
        early_misses: Misses among the first operations of a process.
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
class BaselineFigures:
    """The learned baseline of one figure, and its current value. Each process learns its own baselines.

    Attributes:
        endpoint: ``host:port/db``.
        command: The command, or None for all operations of the endpoint together.
        figure: ``latency`` (95th percentile of a slice of ten seconds or more), ``error_rate`` or ``throughput``.
        unit: Unit of the figures: ``s``, ``1`` or ``{operation}/s``.
        expected: The usual value.
        limit: A value above it is unusual.
        measured: The value of the last slice.
        slices: Number of learned slices, from the process that learned most.
        ready: Whether the baseline has learned enough slices to judge by.
        firing: Whether the alert ``anomaly`` fires for this figure.
        processes: Number of processes behind the figures. Throughputs are their sum, other figures their average.
    """

    endpoint: str
    command: str | None
    figure: str
    unit: str
    expected: float
    limit: float
    measured: float
    slices: int
    ready: bool
    firing: bool
    processes: int
