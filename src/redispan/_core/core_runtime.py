"""``CoreRuntime``: the part of the runtime that works without the instrumentation.

A program may use a tuned pool, an alert callback or the span processor without instrumenting anything. This module has
what these need: the self-metrics, the alerts and the state of the pools. ``_runtime.Runtime`` adds the rest.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from redispan._core import fork
from redispan._core.alert_book import AlertBook
from redispan._core.deferred_alerts import DeferredAlerts
from redispan._core.pool_sources import PoolSources
from redispan._core.self_metrics import SelfMetrics
from redispan._core.slow_alerts import JudgedSpans

if TYPE_CHECKING:
    from redispan.settings.pool import PoolSettings

Made = TypeVar("Made", bound=fork.Part)


class CoreRuntime:
    """The objects of one process that the packages below ``_runtime`` use.

    Attributes:
        parts: The objects that a forked child renews, by their name in ``fork.RENEWAL_ORDER``.
        self_metrics: The counters of what redispan recorded and dropped, and of its own errors.
        deferred_alerts: The objects that hold alerts back until their interval is over.
        alerts: The alerts of this process: counts, alert history and callbacks.
        judged_spans: The spans that slow detection has judged already.
        pool_sources: The sources of the figures of pools, and the listeners to their events.
        pool_settings: The settings of the pool layer in force; None while the layer is off.
        judges_operations: Whether redispan judges the duration of every operation. While it does, the span of another
            instrumentation for the same operation is not judged.
    """

    def __init__(self, before: CoreRuntime | None = None) -> None:
        """Make the parts, or take over the parts of an earlier runtime.

        Args:
            before: The runtime that this one replaces in the slot.
        """
        self.parts: dict[str, fork.Part] = {} if before is None else before.parts
        self.self_metrics = self.part("self_metrics", SelfMetrics)
        self.deferred_alerts = self.part("deferred_alerts", lambda: DeferredAlerts(self.self_metrics))
        self.alerts = self.part(
            "alerts", lambda: AlertBook(self_metrics=self.self_metrics, deferred=self.deferred_alerts)
        )
        self.judged_spans = self.part("judged_spans", JudgedSpans)
        self.pool_sources = self.part("pool_sources", PoolSources)
        self.pool_settings: PoolSettings | None = None if before is None else before.pool_settings
        self.judges_operations = False

    def part(self, name: str, make: Callable[[], Made]) -> Made:
        """Return the part of this name; make it if there is none yet.

        Args:
            name: One of ``fork.RENEWAL_ORDER``.
            make: Makes the part; its class, for most.
        """
        found = self.parts.get(name)
        if found is None:
            assert name in fork.RENEWAL_ORDER, name
            found = self.parts.setdefault(name, make())
        return found  # type: ignore[return-value]

    def evaluate(self) -> None:
        """Evaluate the alert rules. Without the instrumentation there are none, so this does nothing."""

    def renew_in_child(self) -> None:
        """Renew every part in a forked child."""
        fork.renew(self.parts)
