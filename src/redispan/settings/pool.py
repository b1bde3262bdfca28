"""The settings of the tuned pool. ``Settings`` inherits them, so they are given and documented in the same way."""

from __future__ import annotations

import dataclasses

from redispan.settings.table import setting


@dataclasses.dataclass(frozen=True)
class PoolSettings:
    """The settings of how connections are tuned, watched and retried. A value that the program sets always wins."""

    pool: str = setting(
        "tuned",
        "`tuned` (fill what the program left unset, wait when a pool is exhausted, retry connecting), `observe` "
        "(only report what pools do) or `off`.",
        topic="pool",
        choices=("tuned", "observe", "off"),
    )
    pool_exclude: tuple[str, ...] = setting(
        (),
        "Pools left untouched: names as in `db.client.connection.pool.name`, with `*` and `?` (`cache-*:6379/*`).",
        topic="pool",
    )
    pool_max_connections: int = setting(
        50,
        "Most connections of a pool whose limit the program left unset; 0 leaves the library's.",
        topic="pool",
        unit="connections",
        low=0,
        high=100000,
    )
    pool_limit: str = setting(
        "soft",
        "What happens at that limit when waiting was in vain: `soft` opens a connection more, up to the library's own "
        "limit, and counts it; `hard` raises the library's exception.",
        topic="pool",
        choices=("soft", "hard"),
    )
    pool_wait_s: float | None = setting(
        None,
        "Longest wait for a connection of an exhausted pool; none: read timeout + 1 s; 0: no waiting.",
        topic="pool",
        unit="s",
        low=0,
        high=3600,
        optional=True,
    )
    pool_parked_max: int = setting(
        1000,
        "Connections that sit in blocking reads or subscriptions don't count towards the limit, up to so many.",
        topic="pool",
        unit="connections",
        low=0,
        high=100000,
    )
    pool_connect_timeout_s: float = setting(
        3.0, "Connect timeout; 0 leaves the library's.", topic="pool", unit="s", low=0, high=3600
    )
    pool_socket_timeout_s: float = setting(
        2.0,
        "Read and write timeout; it follows blocking commands (their own block time and a grace). 0 leaves the "
        "library's.",
        topic="pool",
        unit="s",
        low=0,
        high=3600,
    )
    pool_block_grace_s: float = setting(
        5.0, "Read timeout of a blocking command beyond its block time.", topic="pool", unit="s", low=0, high=3600
    )
    pool_keepalive: bool = setting(True, "TCP keepalive, with the three options below.", topic="pool")
    pool_keepalive_idle_s: int = setting(
        30, "Idle time before the first keepalive probe.", topic="pool", unit="s", low=1, high=32767
    )
    pool_keepalive_interval_s: int = setting(
        5, "Time between keepalive probes.", topic="pool", unit="s", low=1, high=32767
    )
    pool_keepalive_count: int = setting(
        3, "Lost probes after which the connection is dead.", topic="pool", unit="probes", low=1, high=127
    )
    pool_health_check_s: int = setting(
        15,
        "Idle time after which a connection is checked with PING before use; 0 turns it off.",
        topic="pool",
        unit="s",
        low=0,
        high=86400,
    )
    pool_retry: bool = setting(
        True,
        "Retry connecting, and reads that failed in transit, with exponential backoff and jitter. A command that "
        "changes data is never repeated once it may have run, and a retry policy of the program's own is left alone.",
        topic="pool",
    )
    pool_connect_retry_s: float = setting(
        2.0,
        "Longest time spent on retrying to connect where the library itself would not have retried.",
        topic="pool",
        unit="s",
        low=0,
        high=3600,
    )
    pool_deadline_s: float = setting(
        10.0,
        "Bound of one operation with all connecting, waiting and retrying, where the program set neither timeout nor "
        "retry. Blocking and long commands and DNS are outside it. 0: no bound.",
        topic="pool",
        unit="s",
        low=0,
        high=3600,
    )
    pool_retries_per_s: float = setting(
        50.0,
        "Retry budget: most retries per second and server of this process; more are spread out.",
        topic="pool",
        unit="retries/s",
        low=0.1,
        high=100000,
    )
    pool_sizing: str = setting(
        "fixed",
        "`fixed`, or `dynamic`: a limit that redispan set follows measured use between the floor and the ceiling.",
        topic="pool",
        choices=("fixed", "dynamic"),
    )
    pool_sizing_floor: int = setting(
        10, "Smallest limit under `pool_sizing=dynamic`.", topic="pool", unit="connections", low=1, high=100000
    )
    pool_sizing_ceiling: int = setting(
        200, "Largest limit under `pool_sizing=dynamic`.", topic="pool", unit="connections", low=1, high=100000
    )
    pool_time_histograms: bool = setting(
        False,
        "Record `db.client.connection.wait_time` and `.use_time` for every use of a connection.",
        topic="pool",
    )
    celery_prefetch_multiplier: int = setting(
        0,
        "`worker_prefetch_multiplier` of Celery apps that leave it unset; 0 leaves Celery's. 2 suits many short tasks.",
        topic="celery",
        low=0,
        high=100000,
    )
    celery_max_memory_per_child_kib: int = setting(
        0,
        "`worker_max_memory_per_child` of Celery apps that leave it unset; 0 leaves Celery's. It is compared with the "
        "peak: see the page on Celery before you set it (200000 is 200 MB).",
        topic="celery",
        unit="KiB",
        low=0,
        high=100_000_000,
    )
