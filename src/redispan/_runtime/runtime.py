"""The insight of this process: one set of windows, one book of alerts, one engine, whatever the number of clients.

The instrumentor wires it to telemetry; the reports read it. Everything in it is empty again in a forked child.
"""

from __future__ import annotations

import logging
import os
import threading
import weakref
from collections.abc import Callable, Iterable
from dataclasses import asdict
from time import perf_counter_ns, time_ns
from typing import Any

from redispan._core import deferred_alerts
from redispan._core.alert_book import ALERTS
from redispan._core.pool_sources import POOL_SOURCES
from redispan._core.records import ServerReading, SlowOperation
from redispan._core.self_metrics import SELF_METRICS
from redispan._insight import alert_rules, readings, snapshots
from redispan._insight.alerting import AlertEngine
from redispan._insight.anomalies import Anomalies
from redispan._insight.cache_patterns import CachePatterns
from redispan._insight.cache_sampling import CacheSampler
from redispan._insight.memory_trend import MemoryTrends
from redispan._insight.observer import TICK_NS, InsightObserver
from redispan._insight.pool_watch import PoolWatch
from redispan._insight.slices import Slices
from redispan._insight.slow import SlowDetector
from redispan._insight.statistics import Statistics
from redispan._insight.work import MonitoredRuns
from redispan._semconv.errors import classify
from redispan._telemetry import alert_events, scope, slow_detection
from redispan._telemetry.alert_events import AlertEmitter
from redispan.settings import Settings

_log = logging.getLogger("redispan")

SNAPSHOT_VERSION = 1


class Insight:
    """What this process knows of its Redis operations.

    Attributes:
        statistics: The windows.
        works: The named pieces of work.
        cache: How Redis is used as a cache.
        memory: Where the servers' memory is heading.
        slices: The last minutes.
        settings: The settings in effect.
        servers: Asked for the servers' figures; whoever probes servers sets it.
        judged_servers: Those of them that this process is to alert on: one process of the host for each server.
        on_tick: Called about once a second while operations run.
    """

    def __init__(self) -> None:
        self.statistics = Statistics()
        self.works = MonitoredRuns()
        self.cache = CachePatterns(patterns=False)
        self.sampler = CacheSampler(self.cache)
        self.memory = MemoryTrends()
        self.slices = Slices()
        self._pools = PoolWatch(lambda: asked(POOL_SOURCES.read))
        self.settings = Settings()
        self.servers: Callable[[], Iterable[ServerReading]] = tuple
        self.judged_servers: Callable[[], Iterable[ServerReading]] | None = None
        self.on_tick: list[Callable[[], None]] = []
        self._engine: AlertEngine | None = None
        self._anomalies: Anomalies | None = None
        self._detectors: list[SlowDetector] = []
        self._processor: Any = None
        self._end_webhook: list[Callable[[], None]] = []
        self._observers: weakref.WeakSet[InsightObserver] = weakref.WeakSet()
        self._reset_cells()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self.reset)

    def _reset_cells(self) -> None:
        self._lock = threading.RLock()
        self._evaluated_ns = 0

    def reset(self) -> None:
        """Forget every figure: in a forked child, and in tests. Settings, callbacks and observers stay."""
        self._reset_cells()
        self.statistics.reset()
        self.works.reset()
        self.cache.reset()
        self.sampler.reset()
        self.memory.reset()
        self.slices.reset()
        self._pools.reset()
        ALERTS.reset()
        for detector in self._detectors:
            detector.reset()
        for observer in tuple(self._observers):
            observer.tick_soon()
        if self._engine is not None:
            self._engine.reset()
        if self._anomalies is not None:
            self._anomalies.reset()

    def configure(self, settings: Settings, logger_provider: Any = None) -> None:
        """Work by the settings of ``instrument()``."""
        self.settings = settings
        if self.statistics.size != settings.window_size:
            self.statistics.resize(settings.window_size)
        self.cache.patterns = settings.query_text == "keys"
        ALERTS.limit.interval_s = settings.slow_interval_s
        self._connect_webhook(settings)
        slow_detection.operations_are_judged = settings.insight
        if not settings.insight:
            # What was seen under earlier settings is not judged any more, whoever asks.
            self._engine = self._anomalies = None
            return
        tell = self._teller(settings, logger_provider).tell
        self._anomalies = Anomalies(
            tell,
            deviations=settings.anomaly_alert,
            throughput=settings.anomaly_throughput,
            error_rate=settings.error_rate_alert,
        )
        self._engine = AlertEngine(
            alert_rules.rules(
                error_rate=settings.error_rate_alert,
                memory_usage=settings.memory_alert,
                pool_usage=settings.pool_alert,
                minimum_operations=settings.error_rate_minimum,
                clear_after_s=settings.alert_clear_after_s,
            ),
            tell,
        )

    def observer(
        self, settings: Settings, *, tracer_provider: Any, meter: Any, logger_provider: Any
    ) -> InsightObserver:
        """An observer that feeds this insight and tells by the given providers.

        Args:
            settings: The thresholds.
            tracer_provider: The provider whose other Redis spans are to be watched; None for the global one.
            meter: redispan's meter, None without metrics.
            logger_provider: Where alert events go; None for the global one.
        """
        if self._engine is None:
            self.configure(settings, logger_provider)
        teller = self._teller(settings, logger_provider)
        detector = SlowDetector(
            log_ms=settings.slow_log_ms,
            alert_ms=settings.slow_alert_ms,
            book=ALERTS,
            spans=slow_detection.SpansOfOperations(tracer_provider),
            tell=teller.tell,
            log=alert_events.log_slow,
            log_interval_s=settings.slow_interval_s,
        )
        # The last few: a program that instruments clients one by one must not make this grow.
        self._detectors = [*self._detectors[-19:], detector]
        attach = self._attacher(settings, teller, tracer_provider)
        attach()
        observer = InsightObserver(
            self.statistics,
            detector,
            error_type=error_type,
            tick=self._tick,
            first_span=attach,
            works=self.works,
            sampler=self.sampler if settings.cache_patterns else None,
        )
        self._observers.add(observer)
        slow_detection.follow_floor(observer)
        if meter is not None:
            alert_events.create_instruments(meter, ALERTS, self.evaluate)
        return observer

    def stop(self) -> None:
        """The instrumentation ends: spans of others aren't watched any more. The figures stay."""
        if self._processor is not None:
            self._processor.enabled = False
            self._processor = None
        slow_detection.operations_are_judged = False
        self._engine = self._anomalies = None
        deferred_alerts.emit_due(everything=True)
        self._detectors = []
        ALERTS.withdraw()
        self._disconnect_webhook()

    def _connect_webhook(self, settings: Settings) -> None:
        self._disconnect_webhook()
        if not settings.alert_webhook:
            return
        from redispan._runtime.webhook import AlertWebhook

        try:
            service = os.environ.get("OTEL_SERVICE_NAME", "")
            webhook = AlertWebhook(settings.alert_webhook, settings.alert_webhook_format, service)
        except ValueError as fault:
            _log.warning("redispan: alert_webhook: %s; no alert is posted.", fault)
            return
        unsubscribe = ALERTS.subscribe(webhook.post)
        self._end_webhook = [unsubscribe, webhook.close]

    def _disconnect_webhook(self) -> None:
        for end in self._end_webhook:
            end()
        self._end_webhook = []

    def _attacher(self, settings: Settings, teller: AlertEmitter, tracer_provider: Any) -> Callable[[], None]:
        def make(provider: Any) -> Any:
            from redispan._telemetry.slow_span_processor import SlowOperationSpanProcessor

            return SlowOperationSpanProcessor(settings.slow_alert_ms, _teller=teller, _automatic_for=provider)

        def attach() -> None:
            if settings.slow_alert_ms <= 0:
                return
            processor = slow_detection.attach(tracer_provider, make)
            if processor is not None:
                processor.configure(settings.slow_alert_ms, teller)
                self._processor = processor

        return attach

    @staticmethod
    def _teller(settings: Settings, logger_provider: Any) -> AlertEmitter:
        return AlertEmitter(scope.logger_of(logger_provider), ALERTS, events=settings.alert_events)

    def _tick(self, now_ns: int) -> None:
        self.evaluate(now_ns)
        for call in list(self.on_tick):
            try:
                call()
            except Exception as fault:
                SELF_METRICS.telemetry_error("tick")
                _log.debug("redispan: a periodic task failed: %s", type(fault).__name__)

    def evaluate(self, now_ns: int | None = None) -> None:
        """Judge the alerts that last, unless that was done less than a second ago; tell what was held back."""
        deferred_alerts.emit_due()
        now_ns = perf_counter_ns() if now_ns is None else now_ns
        engine, anomalies = self._engine, self._anomalies
        if engine is None:
            return
        with self._lock:
            if self._evaluated_ns and now_ns - self._evaluated_ns < TICK_NS:
                return
            self._evaluated_ns = now_ns
        self.memory.follow(asked(self.servers))
        found = [
            *readings.error_rates(self.statistics, now_ns, self.settings.error_rate_minimum),
            *readings.pool_usages(self._pools.now_and_then(now_ns)),
            *readings.memory_usages(asked(self.judged_servers or self.servers)),
        ]
        engine.evaluate(found, now_ns / 1e9, time_ns())
        if anomalies is not None:
            anomalies.follow(self.statistics.all(), now_ns / 1e9, time_ns())

    def learned(self) -> list[dict[str, Any]]:
        """What was learned to be usual, for processes to come."""
        return self._anomalies.as_data() if self._anomalies is not None else []

    def take_over(self, learned: Iterable[Any]) -> None:
        """Begin with what a process before this one learned."""
        if self._anomalies is not None:
            self._anomalies.take_over(learned)

    def slowest(self) -> list[SlowOperation]:
        """The slow operations seen last, by all observers, slowest first."""
        found = [record for detector in self._detectors for record in list(detector.recent)]
        return sorted(found, key=lambda record: record.duration_ms, reverse=True)

    def snapshot(self) -> dict[str, Any]:
        """Everything that reports are made of, as plain data that merges with other processes' snapshots."""
        pid = os.getpid()
        return {
            **self._counts(windows=True),
            "processes": [{"pid": pid, "started_unix_ns": self.statistics.started_unix_ns}],
            "baselines": self._anomalies.snapshot() if self._anomalies is not None else [],
            "slow": [asdict(record) for record in self.slowest()],
            "alerts": ALERTS.snapshot(),
            "pools": self._pools.snapshot(pid),
            "memory": self.memory.snapshot(),
            "servers": {reading.endpoint: asdict(reading) for reading in asked(self.servers)},
        }

    def remains(self) -> dict[str, Any]:
        """What outlives the process: totals and counts, not what was going on. Written down every second, so cheap."""
        return {
            **snapshots.empty(),
            **self._counts(windows=False),
            "alerts": {**ALERTS.snapshot(), "firing": [], "history": []},
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
            # These first: the slices are made of what is read for them.
            "endpoints": self.statistics.snapshot(self.slices, windows=windows),
            "slices": self.slices.snapshot(time_ns()),
            "cache": self.cache.snapshot(),
            "works": self.works.snapshot(),
        }


def asked(source: Callable[[], Iterable[Any]]) -> list[Any]:
    """What a source of figures says; nothing, if it can't."""
    try:
        return list(source())
    except Exception as fault:
        SELF_METRICS.telemetry_error("source")
        _log.debug("redispan: a source of figures failed: %s", type(fault).__name__)
        return []


def error_type(error: BaseException) -> str | None:
    """The label of a failure that counts against Redis, None for flow control and for calls that were cancelled."""
    if not isinstance(error, Exception):
        return None
    failure = classify(error)
    return None if failure.flow_control else failure.error_type


INSIGHT = Insight()
"""The one insight of this process."""
