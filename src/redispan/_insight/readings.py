"""The figures that alert rules judge, read from windows, pools and servers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from operator import itemgetter

from redispan._core.pool_sources import PoolStats
from redispan._core.records import ERROR_RATE, MEMORY_USAGE, POOL_USAGE, ServerReading
from redispan._insight.alerting import Reading
from redispan._insight.statistics import EndpointWindows, Statistics
from redispan._insight.window import Entry

RECENT_S = 60.0
"""An error rate speaks of the last minute,"""
STRETCHED_S = 300.0
"""or of up to five minutes where little happens, so that a quiet program is judged too."""


def error_rates(statistics: Statistics, now_ns: int, minimum: int) -> Iterator[Reading]:
    """The recent error rate of every endpoint."""
    for windows in statistics.all():
        yield error_rate(windows, now_ns, minimum)


def error_rate(windows: EndpointWindows, now_ns: int, minimum: int) -> Reading:
    """The recent error rate of one endpoint, its blocking commands included."""
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
    """Without a recent error there is nothing to count, only whether there was anything at all."""
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
    """How many recent operations there were, and how many of them failed."""
    samples = errors = 0
    for end_ns, _, _, error, _ in reversed(entries):
        age_s = (now_ns - end_ns) / 1e9
        if age_s > STRETCHED_S or (age_s > RECENT_S and samples >= minimum):
            break
        samples += 1
        errors += error is not None
    return samples, errors


def pool_usages(pools: Iterable[PoolStats]) -> Iterator[Reading]:
    """How full every pool is; one without a limit can't be full."""
    for pool in pools:
        if pool.limit:
            evidence = {
                "redis.client.alert.in_use": busy(pool),
                "redis.client.alert.max_connections": pool.limit,
                "redis.client.alert.pending": pool.pending,
            }
            yield Reading(POOL_USAGE, pool.name, busy(pool) / pool.limit, evidence=evidence)


def busy(pool: PoolStats) -> int:
    """Connections at work: one that sits in a subscription or a blocking read is meant to be lent out for ever."""
    return max(0, pool.used - pool.parked)


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
