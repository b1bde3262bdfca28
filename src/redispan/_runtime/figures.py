"""What this process measured of its Redis operations, as plain data that merges with other processes' data."""

from __future__ import annotations

import logging
import os
import weakref
from collections.abc import Callable, Iterable
from dataclasses import asdict
from time import time_ns
from typing import Any

from redispan._core.records import ServerReading, SlowOperation
from redispan._core.slot import SLOT
from redispan._insight import snapshots
from redispan._insight.cache_patterns import CachePatterns
from redispan._insight.cache_sampling import CacheSampler
from redispan._insight.memory_trend import MemoryTrends
from redispan._insight.observer import InsightObserver
from redispan._insight.pool_watch import PoolWatch
from redispan._insight.slices import Slices
from redispan._insight.statistics import Statistics
from redispan._insight.work import MonitoredRuns
from redispan.settings import Settings

_log = logging.getLogger("redispan")

SNAPSHOT_VERSION = 1

Readings = Callable[[], Iterable[ServerReading]]


class Figures:
    """The figures of one process, which observers feed and reports read.

    Attributes:
        settings: The settings in effect.
        statistics: The windows of operations by endpoint.
        monitored: The runs under ``redispan.monitor``.
        cache: How Redis is used as a cache.
        sampler: Picks the operations that the cache figures look at.
        memory: Where the memory of the servers is heading.
        slices: The last minutes.
        pools: The pools, read at most once a second.
        servers: Asked for the figures of the servers; the probe sets it.
        observers: The observers that feed these figures.
    """

    def __init__(self) -> None:
        self.settings = Settings()
        self.statistics = Statistics()
        self.monitored = MonitoredRuns()
        self.cache = CachePatterns(patterns=False)
        self.sampler = CacheSampler(self.cache)
        self.memory = MemoryTrends()
        self.slices = Slices()
        self.pools = PoolWatch(lambda: read(SLOT.runtime.pool_sources.read))
        self.servers: Readings = tuple
        self.observers: weakref.WeakSet[InsightObserver] = weakref.WeakSet()

    def configure(self, settings: Settings) -> None:
        """Measure by the settings of ``instrument()`` from now on."""
        self.settings = settings
        if self.statistics.size != settings.window_size:
            self.statistics.resize(settings.window_size)
        self.cache.patterns = settings.query_text == "keys"

    def renew_in_child(self) -> None:
        """Forget every figure in a forked child; settings and observers stay."""
        self.statistics.reset()
        self.monitored.reset()
        self.cache.reset()
        self.sampler.reset()
        self.memory.reset()
        self.slices.reset()
        self.pools.reset()
        for observer in tuple(self.observers):
            observer.tick_soon()

    def snapshot(self, slow: list[SlowOperation], baselines: list[dict[str, Any]]) -> dict[str, Any]:
        """Return everything that reports are made of.

        Args:
            slow: The slow operations seen last.
            baselines: What is known to be usual.
        """
        pid = os.getpid()
        return {
            **self._counts(windows=True),
            "processes": [{"pid": pid, "started_unix_ns": self.statistics.started_unix_ns}],
            "baselines": baselines,
            "slow": [asdict(record) for record in slow],
            "alerts": SLOT.runtime.alerts.snapshot(),
            "pools": self.pools.snapshot(pid),
            "memory": self.memory.snapshot(),
            "servers": {reading.endpoint: asdict(reading) for reading in read(self.servers)},
        }

    def exit_totals(self) -> dict[str, Any]:
        """Return what outlives the process: totals and counts, not what was going on.

        The host member writes it down about once a second, so it is cheap.
        """
        return {
            **snapshots.empty(),
            **self._counts(windows=False),
            "alerts": {**SLOT.runtime.alerts.snapshot(), "firing": [], "history": []},
        }

    def _counts(self, *, windows: bool) -> dict[str, Any]:
        return {
            "version": SNAPSHOT_VERSION,
            "taken_unix_ns": time_ns(),
            "window_size": self.statistics.size,
            "thresholds": {
                "slow_log_ms": self.settings.slow_log_ms,
                "slow_alert_ms": self.settings.slow_alert_ms,
                "error_rate": self.settings.error_rate_alert,
                "memory_usage": self.settings.memory_alert,
                "pool_usage": self.settings.pool_alert,
            },
            # Before the slices, which are made of what is read for the endpoints.
            "endpoints": self.statistics.snapshot(self.slices, windows=windows),
            "slices": self.slices.snapshot(time_ns()),
            "cache": self.cache.snapshot(),
            "works": self.monitored.snapshot(),
        }


def read(source: Callable[[], Iterable[Any]]) -> list[Any]:
    """Return what a source of figures gives; nothing, if it fails."""
    try:
        return list(source())
    except Exception as fault:
        SLOT.runtime.self_metrics.telemetry_error("source")
        _log.debug("redispan: a source of figures failed: %s", type(fault).__name__)
        return []
