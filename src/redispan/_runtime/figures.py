"""``Figures``: the figures that one process measured, and its snapshot, which merges with those of other processes."""

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
    """The figures of one process. Observers add to them, and reports read them.

    Attributes:
        settings: The settings in effect.
        statistics: The windows of the last operations, by endpoint.
        monitored: The monitored runs (``redispan.monitor``).
        cache: The figures of Redis as a cache.
        sampler: Selects the operations that the cache figures are taken from.
        memory: The trend of the servers' memory.
        slices: The figures of the last minutes, in slices of time.
        pools: The figures of the pools, read at most once a second.
        servers: Returns the readings of the servers. The server probe sets it.
        observers: The observers that add to these figures, referenced weakly.
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
        """Use the settings of ``instrument()`` from now on."""
        self.settings = settings
        if self.statistics.size != settings.window_size:
            self.statistics.resize(settings.window_size)
        self.cache.patterns = settings.query_text == "keys"

    def renew_in_child(self) -> None:
        """Forget every figure in a forked child; keep the settings and the observers."""
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
        """Return the snapshot of this process: the plain data that reports are made of.

        Args:
            slow: The last slow operations.
            baselines: The baselines of the anomaly detection, as plain data.
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
        """Return the exit totals: the totals and counts that stay after the process has ended.

        They leave out everything current, such as windows, firing alerts and pools. The host member writes them to a
        file about once a second, so computing them is cheap.
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
            # This comes before the slices, because they are computed from what is read here.
            "endpoints": self.statistics.snapshot(self.slices, windows=windows),
            "slices": self.slices.snapshot(time_ns()),
            "cache": self.cache.snapshot(),
            "works": self.monitored.snapshot(),
        }


def read(source: Callable[[], Iterable[Any]]) -> list[Any]:
    """Return the items of a source of figures; an empty list if the source raises."""
    try:
        return list(source())
    except Exception as fault:
        SLOT.runtime.self_metrics.telemetry_error("source")
        _log.debug("redispan: a source of figures failed: %s", type(fault).__name__)
        return []
