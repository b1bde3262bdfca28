"""What a forked child renews, and in which order. The one fork hook is in ``slot``."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Protocol

_log = logging.getLogger("redispan")

RENEWAL_ORDER = (
    # Every other part may use these two while it is renewed. A thread that does not exist in the child may have held
    # their locks.
    "self_metrics",
    "deferred_alerts",
    # These are shared by all instrumentations.
    "alerts",
    "judged_spans",
    "pool_sources",
    # The pool layer: the pool registry, then the limits of retries and of time.
    "pool_registry",
    "retry_budget",
    "deadline_pressure",
    # The figures that the parent measured, and the alert rules that judge them.
    "figures",
    "alerting",
    # The parent's threads, sockets and files come last: the child only has to let go of them.
    "host",
)
"""The order in which a forked child renews the parts of its runtime."""


class Part(Protocol):
    """An object that the process owns one of, and that a forked child renews."""

    def renew_in_child(self) -> None:
        """Forget the parent's data and make new locks in a forked child."""


def renew(parts: Mapping[str, Part]) -> None:
    """Renew the parts that there are, in ``RENEWAL_ORDER``; a part that fails does not stop the others."""
    for name in RENEWAL_ORDER:
        part = parts.get(name)
        if part is None:
            continue
        try:
            part.renew_in_child()
        except Exception as fault:
            _log.debug("redispan: %s was not renewed after a fork: %s", name, type(fault).__name__)
