"""The figures that alert rules judge, read from windows, pools and servers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from redispan._core.records import ERROR_RATE, MEMORY_USAGE, POOL_USAGE, PoolReading, ServerReading
from redispan._insight.alerting import Reading
from redispan._insight.statistics import Series, Statistics
from redispan._insight.window import Entry

RECENT_S = 60.0
"""An error rate speaks of the last minute,"""
STRETCHED_S = 300.0
"""or of up to five minutes where little happens, so that a quiet program is judged too."""


def error_rates(statistics: Statistics, now_ns: int, minimum: int) -> Iterator[Reading]:
    """The recent error rate of every endpoint."""
    for series in statistics.all():
        yield error_rate(series, now_ns, minimum)


def error_rate(series: Series, now_ns: int, minimum: int) -> Reading:
    """The recent error rate of one endpoint, its blocking commands included."""
    entries = series.answers.recent()
    if series.blocking.entries:
        entries = sorted(entries + series.blocking.recent())
    samples, errors = recent_errors(entries, now_ns, minimum)
    endpoint = series.endpoint
    return Reading(
        ERROR_RATE,
        series.label,
        errors / samples if samples else None,
        samples,
        endpoint.address,
        endpoint.port,
        endpoint.db,
        {"redis.client.alert.operations": samples, "redis.client.alert.errors": errors},
    )


def recent_errors(entries: list[Entry], now_ns: int, minimum: int) -> tuple[int, int]:
    """How many recent operations there were, and how many of them failed."""
    samples = errors = 0
    for end_ns, _, _, error, _ in reversed(entries):
        age_s = (now_ns - end_ns) / 1e9
        if age_s > STRETCHED_S or (age_s > RECENT_S and samples >= minimum):
            break
        samples += 1
        errors += error is not None
    return samples, errors


def pool_usages(pools: Iterable[PoolReading]) -> Iterator[Reading]:
    """How full every pool is; one without a limit can't be full."""
    for pool in pools:
        if 0 < pool.max_connections < 2**31 - 1:
            evidence = {
                "redis.client.alert.in_use": pool.in_use,
                "redis.client.alert.max_connections": pool.max_connections,
            }
            yield Reading(POOL_USAGE, pool.name, pool.in_use / pool.max_connections, evidence=evidence)


def memory_usages(servers: Iterable[ServerReading]) -> Iterator[Reading]:
    """How full every server's memory is."""
    for server in servers:
        share = server.memory_share if server.reachable else None
        if share is not None:
            evidence = {
                "redis.client.alert.used_bytes": server.used_memory_bytes or 0,
                "redis.client.alert.limit_bytes": server.max_memory_bytes or server.host_memory_bytes or 0,
            }
            yield Reading(
                MEMORY_USAGE, server.endpoint, share, address=server.address, port=server.port, evidence=evidence
            )
