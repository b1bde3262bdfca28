"""``Alerting``: the alert rules, the anomaly detection, the slow detection and the webhook of one process."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterable
from time import perf_counter_ns, time_ns
from typing import Any

from redispan._core.records import SlowOperation
from redispan._core.slot import SLOT
from redispan._insight import alert_rules, readings
from redispan._insight.alerting import AlertEngine
from redispan._insight.anomalies import Anomalies
from redispan._insight.observer import TICK_NS
from redispan._insight.slow import SlowDetector
from redispan._runtime.figures import Figures, Readings, read
from redispan._telemetry import alert_events, scope, slow_detection
from redispan._telemetry.alert_events import AlertEmitter
from redispan.settings import Settings

_log = logging.getLogger("redispan")

_DETECTORS_KEPT = 20
"""The most detectors that are kept. A program that instruments clients one by one makes a detector for each."""


class Alerting:
    """Judges the figures of one process and emits its alerts.

    Attributes:
        judged_servers: Returns the readings of the servers that this process alerts on, so that one process of the host
            does it for each server; None to use all readings of the figures.
        evaluated_ns: ``perf_counter_ns`` of the last evaluation of the rules; 0 if there was none.
    """

    def __init__(self, figures: Figures) -> None:
        """Prepare; nothing is judged before ``configure``.

        Args:
            figures: The figures to judge.
        """
        self._figures = figures
        self.judged_servers: Readings | None = None
        self._engine: AlertEngine | None = None
        self._anomalies: Anomalies | None = None
        self._detectors: list[SlowDetector] = []
        self._processor: Any = None
        self._webhook: Any = None
        self._unsubscribe_webhook: Callable[[], None] | None = None
        self._new_lock()

    def _new_lock(self) -> None:
        self._lock = threading.RLock()
        self.evaluated_ns = 0

    def renew_in_child(self) -> None:
        """Forget the parent's alerts, baselines and slow operations in a forked child; keep rules and callbacks."""
        self._new_lock()
        for part in (*self._detectors, self._engine, self._anomalies):
            if part is not None:
                part.reset()
        if self._webhook is not None:
            self._webhook.renew_in_child()

    @property
    def is_configured(self) -> bool:
        """Whether there are alert rules to evaluate."""
        return self._engine is not None

    def configure(self, settings: Settings, logger_provider: Any = None) -> None:
        """Use the settings of ``instrument()``, and emit alerts to its logger provider.

        Args:
            settings: The settings, with the thresholds.
            logger_provider: The logger provider for alert events; None for the global one.
        """
        SLOT.runtime.alerts.limit.interval_s = settings.slow_interval_s
        self._connect_webhook(settings)
        SLOT.runtime.judges_operations = settings.insight
        if not settings.insight:
            # The rules of earlier settings must not be evaluated any more.
            self._engine = self._anomalies = None
            return
        emit = self._emitter(settings, logger_provider).emit
        self._anomalies = Anomalies(
            emit,
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
            emit,
        )

    def detector(
        self, settings: Settings, *, tracer_provider: Any, logger_provider: Any
    ) -> tuple[SlowDetector, Callable[[], None]]:
        """Make the detector of slow operations for one instrumentation.

        Args:
            settings: The settings, with the thresholds.
            tracer_provider: The tracer provider of the instrumentation; None for the global one.
            logger_provider: The logger provider for alert events; None for the global one.

        Returns:
            The detector, and a function that adds the span processor to the tracer provider. The function may be called
            again until the provider takes processors.
        """
        emitter = self._emitter(settings, logger_provider)
        found = SlowDetector(
            log_ms=settings.slow_log_ms,
            alert_ms=settings.slow_alert_ms,
            book=SLOT.runtime.alerts,
            spans=slow_detection.SpansOfOperations(tracer_provider),
            emit=emitter.emit,
            log=alert_events.log_slow,
            log_interval_s=settings.slow_interval_s,
        )
        self._detectors = [*self._detectors[1 - _DETECTORS_KEPT :], found]
        return found, self._attacher(settings, emitter, tracer_provider)

    def stop(self) -> None:
        """Stop judging: end the rules, the span processor and the webhook's thread. The figures stay."""
        if self._processor is not None:
            self._processor.enabled = False
            self._processor = None
        SLOT.runtime.judges_operations = False
        self._engine = self._anomalies = None
        SLOT.runtime.deferred_alerts.emit_due(everything=True)
        self._detectors = []
        SLOT.runtime.alerts.withdraw()
        self._disconnect_webhook()

    def evaluate(self, now_ns: int | None = None) -> None:
        """Emit the deferred alerts that are due, and evaluate the alert rules.

        The rules are skipped if they were evaluated less than a second ago.

        Args:
            now_ns: ``perf_counter_ns`` of the moment to evaluate at; now by default.
        """
        SLOT.runtime.deferred_alerts.emit_due()
        now_ns = perf_counter_ns() if now_ns is None else now_ns
        engine, anomalies, figures = self._engine, self._anomalies, self._figures
        if engine is None:
            return
        with self._lock:
            if self.evaluated_ns and now_ns - self.evaluated_ns < TICK_NS:
                return
            self.evaluated_ns = now_ns
        figures.memory.follow(read(figures.servers))
        found = [
            *readings.error_rates(figures.statistics, now_ns, figures.settings.error_rate_minimum),
            *readings.pool_usages(figures.pools.now_and_then(now_ns)),
            *readings.memory_usages(read(self.judged_servers or figures.servers)),
        ]
        engine.evaluate(found, now_ns / 1e9, time_ns())
        if anomalies is not None:
            anomalies.follow(figures.statistics.all(), now_ns / 1e9, time_ns())

    def slowest(self) -> list[SlowOperation]:
        """Return the last slow operations of all detectors, the slowest first."""
        found = [record for detector in self._detectors for record in list(detector.recent)]
        return sorted(found, key=lambda record: record.duration_ms, reverse=True)

    def baselines(self) -> list[dict[str, Any]]:
        """Return the baselines of the anomaly detection as plain data for reports."""
        return self._anomalies.snapshot() if self._anomalies is not None else []

    def learned(self) -> list[dict[str, Any]]:
        """Return the learned baselines as plain data, for a later process to take over."""
        return self._anomalies.as_data() if self._anomalies is not None else []

    def take_over(self, learned: Iterable[Any]) -> None:
        """Start with the baselines that an earlier process learned."""
        if self._anomalies is not None:
            self._anomalies.take_over(learned)

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
        self._webhook = webhook
        self._unsubscribe_webhook = SLOT.runtime.alerts.subscribe(webhook.post)

    def _disconnect_webhook(self) -> None:
        if self._unsubscribe_webhook is not None:
            self._unsubscribe_webhook()
            self._webhook.close()
        self._webhook = self._unsubscribe_webhook = None

    def _attacher(self, settings: Settings, emitter: AlertEmitter, tracer_provider: Any) -> Callable[[], None]:
        def make(provider: Any) -> Any:
            from redispan._telemetry.slow_span_processor import SlowOperationSpanProcessor

            return SlowOperationSpanProcessor(settings.slow_alert_ms, _emitter=emitter, _automatic_for=provider)

        def attach() -> None:
            if settings.slow_alert_ms <= 0:
                return
            processor = slow_detection.attach(tracer_provider, make)
            if processor is not None:
                processor.configure(settings.slow_alert_ms, emitter)
                self._processor = processor

        return attach

    @staticmethod
    def _emitter(settings: Settings, logger_provider: Any) -> AlertEmitter:
        return AlertEmitter(scope.logger_of(logger_provider), SLOT.runtime.alerts, events=settings.alert_events)
