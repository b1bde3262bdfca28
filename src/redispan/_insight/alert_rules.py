"""The rules of lasting alerts, as data: when an alert fires, when it clears, and how many samples it needs."""

from __future__ import annotations

from dataclasses import dataclass

from redispan._core.records import ERROR_RATE, MEMORY_USAGE, POOL_USAGE

CLEAR_SHARE = 0.8
"""An alert clears at this share of its threshold: an alert that fires above an error rate of 5 % clears at 4 %."""


@dataclass(frozen=True)
class Rule:
    """The rule of one lasting alert.

    Attributes:
        name: The alert's name.
        what: The figure, in words.
        threshold: The alert fires above this value.
        clear_at: The alert clears at this value or below.
        clear_after_s: How long the figure must stay at ``clear_at`` or below before the alert clears, in seconds.
        minimum: How many samples the figure must rest on before the alert may fire.
        severity: ``warning`` or ``error``.
    """

    name: str
    what: str
    threshold: float
    clear_at: float
    clear_after_s: float
    minimum: int
    severity: str


def rules(
    *,
    error_rate: float,
    memory_usage: float,
    pool_usage: float,
    minimum_operations: int,
    clear_after_s: float,
) -> dict[str, Rule]:
    """Return the rules in effect, by name. A threshold of 0 leaves its rule out.

    Args:
        error_rate: Threshold for the share of operations that fail, 0 to 1.
        memory_usage: Threshold for the used share of the server's memory limit, 0 to 1.
        pool_usage: Threshold for the busy share of a pool's connections, 0 to 1.
        minimum_operations: How many operations an error rate must rest on.
        clear_after_s: How long a figure must stay good before its alert clears, in seconds.
    """
    given = (
        (ERROR_RATE, "error rate", error_rate, minimum_operations, "error"),
        (MEMORY_USAGE, "memory usage of the server", memory_usage, 1, "warning"),
        (POOL_USAGE, "connections of the pool in use", pool_usage, 1, "warning"),
    )
    return {
        name: Rule(name, what, threshold, threshold * CLEAR_SHARE, clear_after_s, minimum, severity)
        for name, what, threshold, minimum, severity in given
        if threshold > 0
    }
