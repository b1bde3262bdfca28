"""The part of the runtime that works without the instrumentation: counters, alerts, the state of pools.

A program may use a tuned pool, an alert callback or the span processor without instrumenting anything. What these need
is here; ``_runtime.Runtime`` adds the rest.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Protocol, TypeVar

from redispan._core.alert_book import AlertBook
from redispan._core.deferred_alerts import DeferredAlerts
from redispan._core.pool_sources import PoolSources
from redispan._core.self_metrics import SelfMetrics
from redispan._core.slow_alerts import JudgedSpans

if TYPE_CHECKING:
    from redispan.settings.pool import PoolSettings

_log = logging.getLogger("redispan")

RENEWAL_ORDER = (
    # What every other part may use while it is renewed: its locks may be held by a thread that the child lacks.
    "self_metrics",
    "deferred_alerts",
    # What is shared by all instrumentations.
    "alerts",
    "judged_spans",
    "pool_sources",
    # The pool layer: its pools, then what limits their retries and their time.
    "pool_registry",
    "retry_budget",
    "deadline_pressure",
    # What the parent measured, and how it is judged.
    "figures",
    "alerting",
    # Threads, sockets and files of the parent come last: they only have to be let go.
    "host",
)
"""The order in which a forked child renews the parts of its runtime."""


class Part(Protocol):
    """One thing that the process owns."""

    def renew_in_child(self) -> None:
        """Forget what the parent counted, and make new locks, in a forked child."""


Made = TypeVar("Made", bound=Part)


class CoreRuntime:
    """What one process owns below ``_runtime``.

    Attributes:
        self_metrics: What redispan did, dropped and failed at.
        deferred_alerts: The alerts that are held back until their interval is over.
        alerts: The alerts of this process: counts, history, callbacks.
        judged_spans: The spans that were looked at for slowness.
        pool_sources: Where the figures of pools are read, and who is notified of their events.
        pool_settings: The settings of the pool layer in force; None while the layer is off.
        judges_operations: Whether the statistics judge every operation, so that spans of others for the same
            operation need not be judged.
    """

    def __init__(self, before: CoreRuntime | None = None) -> None:
        """Make the parts, or take over those of the runtime before.

        Args:
            before: The runtime that this one replaces in the slot.
        """
        self.parts: dict[str, Part] = {} if before is None else before.parts
        self.self_metrics = self.part("self_metrics", SelfMetrics)
        self.deferred_alerts = self.part("deferred_alerts", DeferredAlerts)
        self.alerts = self.part("alerts", AlertBook)
        self.judged_spans = self.part("judged_spans", JudgedSpans)
        self.pool_sources = self.part("pool_sources", PoolSources)
        self.pool_settings: PoolSettings | None = None if before is None else before.pool_settings
        self.judges_operations = False

    def part(self, name: str, kind: type[Made]) -> Made:
        """Return the part of this name, made at its first use.

        Args:
            name: One of ``RENEWAL_ORDER``.
            kind: Its class.
        """
        found = self.parts.get(name)
        if found is None:
            assert name in RENEWAL_ORDER, name
            found = self.parts.setdefault(name, kind())
        return found  # type: ignore[return-value]

    def evaluate(self) -> None:
        """Judge the alerts that last; without the instrumentation there are none."""

    def renew_in_child(self) -> None:
        """Renew every part in its order; a part that fails doesn't stop the others."""
        for name in RENEWAL_ORDER:
            part = self.parts.get(name)
            if part is None:
                continue
            try:
                part.renew_in_child()
            except Exception as fault:
                _log.debug("redispan: %s was not renewed after a fork: %s", name, type(fault).__name__)
