"""redis-py's own OpenTelemetry metrics (since 7.4): never two streams of the same metric by accident.

Programs switch them on whenever they like, so the switch itself is watched: ``ObservabilityInstance.init``. What the
switch says counts until the first measurement; then redis-py builds a collector, one for sync and one for asyncio,
which keeps what it was built with whatever is said later, ``shutdown`` included.
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

# Group of redis-py's metrics: the attribute that a collector has with it, and its metrics that redispan has too.
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
    """Knows which metrics of ours redis-py emits itself, and settles who does.

    Attributes:
        names: The metrics that redis-py emits and redispan therefore leaves alone.
        duration: ``db.client.operation.duration`` is one of them; an attribute of its own, as every call asks.
    """

    def __init__(self, policy: str, *, operations: bool = True, connections: bool = True) -> None:
        """Watch nothing yet.

        Args:
            policy: ``leave`` the metrics to redis-py, or ``replace`` them by redispan's.
            operations: Redispan emits the duration of operations, so that it could replace redis-py's.
            connections: Redispan emits the metrics of connections, likewise.
        """
        replaced = {"COMMAND": operations, "CONNECTION_BASIC": connections, "CONNECTION_ADVANCED": connections}
        self._replaced = [group for group, ours in replaced.items() if ours and policy == "replace"]
        self._patches: list[Patch] = []
        self._said: set[str] = set()
        self._changed: list[tuple[Any, Any]] = []
        self.names: frozenset[str] = frozenset()
        self.duration = False

    def start(self, *, watch: bool = True) -> None:
        """Settle what is on already, and watch for a later switch."""
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
        """Watch no longer, and give back what was taken from a configuration that is not in use yet."""
        while self._patches:
            self._patches.pop().undo()
        for config, groups in self._changed:
            config.metric_groups = groups
        self._changed.clear()
        self.names = frozenset()
        self.duration = False

    def settle(self) -> None:
        """Decide for redis-py's metrics as they are now."""
        collectors = clients.native_collectors()
        measuring = {
            group
            for group, (attribute, _) in _GROUPS.items()
            if any(hasattr(collector, attribute) for collector in collectors)
        }
        # A collector that is still to be built will be by the configuration of then.
        config = clients.native_config() if None in collectors else None
        self._take(config, [group for group in self._replaced if group not in measuring])
        found = [group for group in _GROUPS if group in measuring or _is_on(config, group)]
        self.names = frozenset(name for group in found for name in _GROUPS[group][1])
        self.duration = DURATION in self.names
        if not found:
            return
        if measuring.intersection(self._replaced):
            self._say(
                "redis-py emitted metrics of its own before redispan came, and can't be made to stop: redispan leaves"
                " those of the same name to it. Instrument first to have them replaced (native_metrics)."
            )
        else:
            self._say(
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
        self._say("redis-py's own metrics of operations and connections are off: redispan emits them (native_metrics).")

    def _say(self, message: str) -> None:
        if message not in self._said:
            self._said.add(message)
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
