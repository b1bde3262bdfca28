"""``RedispanInstrumentor``, the composition root of redispan.

It makes the observers that the settings ask for and applies the patches that call them. ``uninstrument()`` undoes this
in reverse order.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Collection
from typing import Any

from redispan import package, startup, takeover
from redispan._client.patching.native_metrics import NativeMetrics
from redispan._client.patching.one_client import ClientPatches
from redispan._client.patching.patches import Patches
from redispan._client.pool import celery_options
from redispan._client.pool.patches import POOL_PATCHES
from redispan._client.recording.recorder import Recorder
from redispan._core.observing import Observer, Observers
from redispan._runtime import runtime
from redispan._semconv.opt_in import semconv_mode
from redispan._telemetry import scope, self_metric_instruments, server_metrics
from redispan._telemetry.exception_events import ExceptionEvents
from redispan._telemetry.operation_duration import DurationObserver
from redispan._telemetry.pool_metrics import PoolTelemetry
from redispan._telemetry.span_naming import Namer
from redispan._telemetry.spans import LateSpans, SpanObserver
from redispan.settings import Settings
from redispan.settings.table import Resolved

_log = logging.getLogger("redispan")

_OWN_ARGUMENTS = frozenset(
    {"settings", "tracer_provider", "meter_provider", "logger_provider", "request_hook", "response_hook"}
)

Hook = Callable[..., Any]


class RedispanInstrumentor(takeover.base_class()):  # type: ignore[misc]
    """Instruments redis-py; a drop-in replacement for contrib's ``RedisInstrumentor``.

    ``opentelemetry-instrument`` calls ``instrument()`` without arguments. A second call does nothing, and no exception
    of ``instrument()`` reaches the program.

    Attributes:
        settings: The settings in effect.
        resolved: The sources of the settings and the warnings about them; None before ``instrument()``.
    """

    # The base class keeps its singleton in these attributes. Without them here, creating this class would return a
    # contrib instrumentor that was made earlier.
    _instance = None
    _is_instrumented_by_opentelemetry = False

    _patches: Patches | None = None
    _native: NativeMetrics | None = None
    _pool_telemetry: PoolTelemetry | None = None
    _clients: ClientPatches = ClientPatches()
    _lock = threading.RLock()
    settings: Settings = Settings()
    resolved: Resolved | None = None

    def instrumentation_dependencies(self) -> Collection[str]:
        """Return the packages that must all be installed: none, since any of ``package.instruments_any`` is enough."""
        return package.instruments

    def instrument(self, **kwargs: Any) -> None:
        """Instrument every client of the process, including those that exist already.

        An error is logged and not raised.

        Args:
            **kwargs: ``settings`` (a ``Settings``), any single setting by its name, ``tracer_provider``,
                ``meter_provider``, ``logger_provider``, ``request_hook``, ``response_hook``.
        """
        with self._lock:
            if self._is_instrumented_by_opentelemetry:
                return
            try:
                kwargs.setdefault("skip_dep_check", True)
                super().instrument(**kwargs)
            except Exception as fault:
                _log.error("redispan: not instrumented: %s: %s", type(fault).__name__, fault)

    def uninstrument(self, **kwargs: Any) -> None:
        """Undo ``instrument()``; do nothing if redispan is not instrumented."""
        with self._lock:
            if self._is_instrumented_by_opentelemetry:
                super().uninstrument(**kwargs)

    def _instrument(self, **kwargs: Any) -> None:
        self.settings, self.resolved = _settle(kwargs)
        for warning in self.resolved.warnings:
            _log.warning("redispan: %s", warning)
        native = _native_metrics(self.settings)
        runtime.current().configure(self.settings, kwargs.get("logger_provider"))
        recorder = _recorder(self.settings, kwargs, native)
        # This comes after everything that can fail. After a failure, contrib's spans and redis-py's metrics stay.
        native.start()
        if self.settings.contrib == "replace":
            takeover.take_over()
        patches = Patches()
        with POOL_PATCHES.aside():
            patches.apply(recorder)
        POOL_PATCHES.apply(self.settings)  # around the recorder's patches, so that it sees the running operation
        self._pool_telemetry = _pool_telemetry(self.settings, kwargs, native)
        if self.settings.pool == "tuned":
            celery_options.watch()
        self._native, self._patches = native, patches

    def _uninstrument(self, **_: Any) -> None:
        celery_options.stop()
        if self._pool_telemetry is not None:
            self._pool_telemetry.stop()
            self._pool_telemetry = None
        POOL_PATCHES.undo()
        if self._patches is not None:
            with POOL_PATCHES.aside():
                self._patches.undo()
            self._patches = None
        runtime.current().stop()
        if self._native is not None:
            self._native.stop()
            self._native = None
        takeover.give_back()

    @staticmethod
    def instrument_client(
        client: Any,
        tracer_provider: Any = None,
        request_hook: Hook | None = None,
        response_hook: Hook | None = None,
        **kwargs: Any,
    ) -> None:
        """Instrument one client, and the pipelines and subscriptions made from it.

        Args:
            client: A client of any kind.
            tracer_provider: The tracer provider for its spans; the global one by default.
            request_hook: ``hook(span, instance, args, kwargs)``.
            response_hook: ``hook(span, instance, response)``; for a failed call the response is the exception.
            **kwargs: The other arguments of ``instrument()``.
        """
        try:
            kwargs.update(tracer_provider=tracer_provider, request_hook=request_hook, response_hook=response_hook)
            settings, _ = _settle(kwargs)
            with POOL_PATCHES.aside():
                RedispanInstrumentor._clients.instrument(client, _recorder(settings, kwargs, _native_for_one()))
        except Exception as fault:
            _log.error("redispan: client not instrumented: %s", type(fault).__name__)

    @staticmethod
    def uninstrument_client(client: Any) -> None:
        """Undo ``instrument_client``; do nothing if the client isn't instrumented."""
        with POOL_PATCHES.aside():
            RedispanInstrumentor._clients.uninstrument(client)


def _native_metrics(settings: Settings) -> NativeMetrics:
    return NativeMetrics(
        settings.native_metrics,
        operations=settings.metrics,
        connections=settings.metrics and settings.pool != "off",
    )


def _native_for_one() -> NativeMetrics:
    """Return the object that knows which metrics redis-py emits, for the instrumentation of a single client.

    For a single client, redispan neither watches nor replaces the metrics of redis-py, because redis-py measures the
    other clients too.
    """
    shared = RedispanInstrumentor()._native  # noqa: SLF001 - this function belongs to the class
    if shared is None:
        shared = NativeMetrics("leave")
        shared.start(watch=False)
    return shared


def _settle(kwargs: dict[str, Any]) -> tuple[Settings, Resolved]:
    given = kwargs.get("settings")
    named = {k: v for k, v in kwargs.items() if k not in _OWN_ARGUMENTS and v is not None}
    if isinstance(given, Settings):
        # A complete Settings object overrides the environment. Its values are checked like all others.
        return Settings.from_environment({**given.changed(), **named}, {})
    return Settings.from_environment(named)


def _recorder(settings: Settings, kwargs: dict[str, Any], native: NativeMetrics | None) -> Recorder:
    observers = Observers(_observers(settings, kwargs, native), enabled=scope.is_enabled)
    return Recorder(observers, settings.include_commands, settings.exclude_commands)


def _pool_telemetry(settings: Settings, kwargs: dict[str, Any], native: NativeMetrics) -> PoolTelemetry | None:
    if settings.pool == "off":
        return None
    return PoolTelemetry(
        scope.meter_of(kwargs.get("meter_provider")) if settings.metrics else None,
        scope.logger_of(kwargs.get("logger_provider")),
        histograms=settings.pool_time_histograms,
        elsewhere=lambda name: name in native.names,
    )


def _observers(settings: Settings, kwargs: dict[str, Any], native: NativeMetrics | None) -> list[Observer]:
    """Return the observers, the outermost first.

    The span comes first. So it ends last, and can still get attributes for what the other observers find out.
    """
    old_names = semconv_mode(os.environ.get("OTEL_SEMCONV_STABILITY_OPT_IN")) == "dup"
    found: list[Observer] = []
    if settings.contrib != "keep":
        found.append(
            SpanObserver(
                scope.tracer_of(kwargs.get("tracer_provider")),
                Namer(
                    query_mode=settings.query_text,
                    query_limit=settings.query_text_limit,
                    script_names=settings.script_names,
                    old_names=old_names,
                ),
                policy=settings.spans,
                late_provider=kwargs.get("tracer_provider") is None,
                request_hook=kwargs.get("request_hook"),
                response_hook=kwargs.get("response_hook"),
            )
        )
    if settings.exception_events:
        found.append(
            ExceptionEvents(
                scope.logger_of(kwargs.get("logger_provider")), per_minute=settings.exception_events_per_minute
            )
        )
    if settings.metrics:
        meter = scope.meter_of(kwargs.get("meter_provider"))
        found.append(DurationObserver(meter, fine_buckets=settings.fine_buckets, elsewhere=native))
        self_metric_instruments.create(meter)
        if settings.insight and settings.server_probe:
            server_metrics.create(meter, runtime.current().own_readings)
    if settings.contrib != "keep":
        found.append(LateSpans())
    if settings.insight:
        startup.prepare(settings)
        # This observer is the last one, so it runs first at the end of an operation, and the others find `slow` set.
        found.append(
            runtime.current().observer(
                settings,
                tracer_provider=kwargs.get("tracer_provider"),
                meter=scope.meter_of(kwargs.get("meter_provider")) if settings.metrics else None,
                logger_provider=kwargs.get("logger_provider"),
            )
        )
    return found


def take_over_after_loading() -> None:
    """Take over from a contrib instrumentor that was loaded after ``instrument()``, if the settings ask for that."""
    instrumentor = RedispanInstrumentor()
    if instrumentor.is_instrumented_by_opentelemetry and instrumentor.settings.contrib == "replace":
        takeover.take_over()
