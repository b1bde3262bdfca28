"""The readings that alert rules judge, computed from windows, pools and servers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from operator import itemgetter

from redispan._core.pool_sources import PoolStats
from redispan._core.records import ERROR_RATE, MEMORY_USAGE, POOL_USAGE, ServerReading
from redispan._insight.alerting import Reading
from redispan._insight.statistics import EndpointWindows, Statistics
from redispan._insight.window import Entry

RECENT_S = 60.0
"""An error rate covers the last 60 seconds."""
STRETCHED_S = 300.0
"""With few operations an error rate covers up to five minutes, so that redispan also judges a quiet program."""


def error_rates(statistics: Statistics, now_ns: int, minimum: int) -> Iterator[Reading]:
    """Yield the recent error rate of every endpoint."""
    for windows in statistics.all():
        yield error_rate(windows, now_ns, minimum)


def error_rate(windows: EndpointWindows, now_ns: int, minimum: int) -> Reading:
    """Compute the recent error rate of one endpoint, including its blocking commands.

    Args:
        windows: The operations of the endpoint.
        now_ns: The time on the clock of the operations.
        minimum: How many operations the rate should rest on.
    """
    if windows.last_error_ns is None or now_ns - windows.last_error_ns > STRETCHED_S * 1e9:
        return _faultless(windows, now_ns)
    entries = windows.answers.recent()
    blocking = windows.blocking.recent()
    if blocking:
        entries = sorted(entries + blocking, key=itemgetter(0))
    samples, errors = recent_errors(entries, now_ns, minimum)
    endpoint = windows.endpoint
    return Reading(
        ERROR_RATE,
        windows.label,
        errors / samples if samples else None,
        samples,
        endpoint.address,
        endpoint.port,
        endpoint.db,
        {"redis.client.alert.operations": samples, "redis.client.alert.errors": errors},
    )


def _faultless(windows: EndpointWindows, now_ns: int) -> Reading:
    """Return the reading of an endpoint without a recent error: 0, or None without a recent operation."""
    newest_ns = max(kind.newest_ns() or 0 for kind in (windows.answers, windows.blocking))
    heard = now_ns - newest_ns <= STRETCHED_S * 1e9
    endpoint = windows.endpoint
    return Reading(
        ERROR_RATE,
        windows.label,
        0.0 if heard else None,
        int(heard),
        endpoint.address,
        endpoint.port,
        endpoint.db,
    )


def recent_errors(entries: list[Entry], now_ns: int, minimum: int) -> tuple[int, int]:
    """Count the recent operations, and those of them that failed."""
    samples = errors = 0
    for end_ns, _, _, error, _ in reversed(entries):
        age_s = (now_ns - end_ns) / 1e9
        if age_s > STRETCHED_S or (age_s > RECENT_S and samples >= minimum):
            break
        samples += 1
        errors += error is not None
    return samples, errors


def pool_usages(pools: Iterable[PoolStats]) -> Iterator[Reading]:
    """Yield the busy share of every pool. A pool without a limit cannot be full and has no reading."""
    for pool in pools:
        if pool.limit:
            evidence = {
                "redis.client.alert.in_use": busy(pool),
                "redis.client.alert.max_connections": pool.limit,
                "redis.client.alert.pending": pool.pending,
            }
            yield Reading(POOL_USAGE, pool.name, busy(pool) / pool.limit, evidence=evidence)


def busy(pool: PoolStats) -> int:
    """Count the busy connections, without those in subscriptions and blocking reads, which stay lent out by design."""
    return max(0, pool.used - pool.parked)


def memory_usages(servers: Iterable[ServerReading]) -> Iterator[Reading]:
    """Yield the used share of the memory of every reachable server, if its limit is known."""
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
