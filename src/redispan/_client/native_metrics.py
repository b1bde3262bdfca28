"""redis-py's own OpenTelemetry metrics (since 7.4): never two streams of the same metric by accident.

Programs switch them on whenever they like, so the switch itself is watched: ``ObservabilityInstance.init``.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import Any

from redispan._client import seam
from redispan._client.patching import Patch

_log = logging.getLogger("redispan")


class NativeMetrics:
    """Knows which ``db.client.*`` metrics redis-py emits itself, and settles who does.

    Attributes:
        exists: This redis-py can emit metrics.
        duration: redis-py emits ``db.client.operation.duration``; redispan leaves it alone.
        connections: redis-py emits ``db.client.connection.*``; redispan leaves them alone.
    """

    def __init__(self, policy: str) -> None:
        """Watch nothing yet.

        Args:
            policy: ``leave`` the metrics to redis-py, or ``replace`` them by redispan's.
        """
        self._policy = policy
        self._patches: list[Patch] = []
        self._said = False
        self.exists = False
        self.duration = False
        self.connections = False

    def start(self) -> None:
        """Settle what is on already, and watch for a later switch."""
        providers = seam.load("redis", "observability.providers")
        if providers is None:
            return
        self.exists = True
        try:
            self._patches.append(Patch(providers.ObservabilityInstance, "init", self._init_shell))
            self._patches.append(Patch(providers.ObservabilityInstance, "shutdown", self._shutdown_shell))
            manager = providers.get_observability_instance().get_provider_manager()
            if manager is not None:
                self.settle(manager.config)
        except Exception as fault:
            _log.debug("redispan: redis-py's own metrics can't be watched: %s", type(fault).__name__)

    def stop(self) -> None:
        """Watch no longer."""
        while self._patches:
            self._patches.pop().undo()
        self.duration = self.connections = False

    def settle(self, config: Any) -> None:
        """Decide for one configuration of redis-py's metrics."""
        groups = seam.load("redis", "observability.config").MetricGroup  # type: ignore[union-attr]
        active = config.metric_groups if config.is_enabled() else groups(0)
        ours = groups.COMMAND | groups.CONNECTION_BASIC | groups.CONNECTION_ADVANCED
        if not active & ours:
            self.duration = self.connections = False
            return
        if self._policy == "replace":
            config.metric_groups = active & ~ours
            self._say("redis-py's own db.client.* metrics are switched off: redispan emits them (native_metrics).")
            return
        self.duration = bool(active & groups.COMMAND)
        self.connections = bool(active & (groups.CONNECTION_BASIC | groups.CONNECTION_ADVANCED))
        self._say("redis-py's own metrics are active: redispan leaves those of the same name to it (native_metrics).")

    def _say(self, message: str) -> None:
        if not self._said:
            self._said = True
            _log.warning("redispan: %s", message)

    def _init_shell(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def init(instance: Any, config: Any, *args: Any, **kwargs: Any) -> Any:
            try:
                self.settle(config)
            except Exception as fault:
                _log.debug("redispan: redis-py's metrics were not recognised: %s", type(fault).__name__)
            return original(instance, config, *args, **kwargs)

        return init

    def _shutdown_shell(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def shutdown(instance: Any, *args: Any, **kwargs: Any) -> Any:
            self.duration = self.connections = False
            return original(instance, *args, **kwargs)

        return shutdown
