"""The figures that reports are made of: pools, servers, commands, findings, each a record of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from redispan._insight.latency import Latency


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
        under_target: Share that succeeded in less than 100 ms.
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
        reachable: It answered the probe, or the program since.
        at: When it was read (ISO 8601).
        used_memory_bytes: Memory in use.
        memory_limit_bytes: Its limit, else its host's memory.
        memory_usage: The one as a share of the other.
        memory_growth_bytes_per_h: Its pace over the last two hours, if it has been growing steadily.
        memory_full_in_h: When it reaches the limit at this pace.
        figures: Anything else that was read.
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
class BaselineFigures:
    """What was learned to be usual of one figure, and how it is now; each process learns by itself.

    Attributes:
        endpoint: ``host:port/db``.
        command: The command; None for all of the endpoint's operations together.
        figure: ``latency`` (95th percentile of a slice of ten seconds or more), ``error_rate`` or ``throughput``.
        unit: Unit of the figures: ``s``, ``1`` or ``{operation}/s``.
        expected: What is usual.
        limit: Above it is unusual.
        measured: The last slice.
        slices: How many slices were learned, by the process that learned most.
        ready: Enough was learned to judge by.
        firing: The alert ``anomaly`` fires for it.
        processes: How many processes it is of: throughputs are their sum, other figures their average.
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
