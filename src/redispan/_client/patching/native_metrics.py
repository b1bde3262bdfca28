"""Avoids duplicates of redis-py's own OpenTelemetry metrics, which redis-py has since version 7.4.

A program can switch them on at any time, so redispan patches the switch itself: ``ObservabilityInstance.init`` and
``shutdown``. The configuration counts until the first measurement. redis-py then builds a collector, one for sync and
one for asyncio. A collector keeps the configuration that it was built with; later calls do not change it, not even
``shutdown``.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import Any

from redispan._client.internals import clients
from redispan._client.patching.patch import Patch

_log = logging.getLogger("redispan")

DURATION = "db.client.operation.duration"

# For each metric group of redis-py: the attribute that a collector has if the group is on, and the metrics of the group
# that redispan emits too.
_GROUPS = {
    "COMMAND": ("operation_duration", (DURATION,)),
    "CONNECTION_BASIC": (
        "connection_create_time",
        ("db.client.connection.count", "db.client.connection.create_time"),
    ),
    "CONNECTION_ADVANCED": (
        "connection_timeouts",
        ("db.client.connection.timeouts", "db.client.connection.wait_time", "redis.client.connection.closed"),
    ),
}


class NativeMetrics:
    """Finds out which of redispan's metrics redis-py emits too, and decides which of the two emits them.

    Attributes:
        names: The metrics that redis-py emits, so that redispan does not.
        duration: Whether ``db.client.operation.duration`` is in ``names``. It is a separate attribute because redispan
            reads it in every call.
    """

    def __init__(self, policy: str, *, operations: bool = True, connections: bool = True) -> None:
        """Store the policy. ``start`` begins to watch.

        Args:
            policy: ``leave`` (redis-py emits the metrics) or ``replace`` (redispan emits them instead).
            operations: Whether redispan emits the duration of operations, so that it can replace redis-py's.
            connections: Whether redispan emits the metrics of connections, so that it can replace redis-py's.
        """
        replaced = {"COMMAND": operations, "CONNECTION_BASIC": connections, "CONNECTION_ADVANCED": connections}
        self._replaced = [group for group, ours in replaced.items() if ours and policy == "replace"]
        self._patches: list[Patch] = []
        self._warned: set[str] = set()
        self._changed: list[tuple[Any, Any]] = []
        self.names: frozenset[str] = frozenset()
        self.duration = False

    def start(self, *, watch: bool = True) -> None:
        """Decide for the metrics that are on already, and watch for later changes.

        Args:
            watch: False to decide only once, now.
        """
        providers = clients.load("redis", "observability.providers")
        if providers is None:
            return
        try:
            if watch:
                for method in ("init", "shutdown"):
                    self._patches.append(Patch(providers.ObservabilityInstance, method, self._switch_shell))
            self.settle()
        except Exception as fault:
            _log.debug("redispan: redis-py's own metrics can't be watched: %s", type(fault).__name__)

    def stop(self) -> None:
        """Stop watching, and restore the metric groups that redispan switched off in redis-py's configuration.

        Only a collector that does not exist yet is built from the restored configuration.
        """
        while self._patches:
            self._patches.pop().undo()
        for config, groups in self._changed:
            config.metric_groups = groups
        self._changed.clear()
        self.names = frozenset()
        self.duration = False

    def settle(self) -> None:
        """Decide which metrics redispan leaves to redis-py, from redis-py's state now."""
        collectors = clients.native_collectors()
        measuring = {
            group
            for group, (attribute, _) in _GROUPS.items()
            if any(hasattr(collector, attribute) for collector in collectors)
        }
        # A collector that does not exist yet will be built from the configuration at that time.
        config = clients.native_config() if None in collectors else None
        self._take(config, [group for group in self._replaced if group not in measuring])
        found = [group for group in _GROUPS if group in measuring or _is_on(config, group)]
        self.names = frozenset(name for group in found for name in _GROUPS[group][1])
        self.duration = DURATION in self.names
        if not found:
            return
        if measuring.intersection(self._replaced):
            self._warn_once(
                "redis-py emitted metrics of its own before redispan came, and can't be made to stop: redispan leaves"
                " those of the same name to it. Instrument first to have them replaced (native_metrics)."
            )
        else:
            self._warn_once(
                "redis-py's own metrics are active: redispan leaves those of the same name to it (native_metrics)."
            )

    def _take(self, config: Any, wanted: list[str]) -> None:
        taken = [group for group in wanted if _is_on(config, group)]
        if not taken:
            return
        groups = clients.load("redis", "observability.config").MetricGroup  # type: ignore[union-attr]
        self._changed.append((config, config.metric_groups))
        for group in taken:
            config.metric_groups &= ~groups[group]
        self._warn_once(
            "redis-py's own metrics of operations and connections are off: redispan emits them (native_metrics)."
        )

    def _warn_once(self, message: str) -> None:
        if message not in self._warned:
            self._warned.add(message)
            _log.warning("redispan: %s", message)

    def _switch_shell(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def switch(instance: Any, *args: Any, **kwargs: Any) -> Any:
            result = original(instance, *args, **kwargs)
            try:
                self.settle()
            except Exception as fault:
                _log.debug("redispan: redis-py's metrics were not recognised: %s", type(fault).__name__)
            return result

        return switch


def _is_on(config: Any, group: str) -> bool:
    if config is None or not config.is_enabled():
        return False
    groups = clients.load("redis", "observability.config").MetricGroup  # type: ignore[union-attr]
    return group in groups.__members__ and bool(config.metric_groups & groups[group])
