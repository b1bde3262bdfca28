"""The rules of alerts that last, as data: when they fire, when they clear, how much they must have seen."""

from __future__ import annotations

from dataclasses import dataclass

from redispan._core.records import ERROR_RATE, MEMORY_USAGE, POOL_USAGE

CLEAR_SHARE = 0.8
"""An alert clears at this share of its threshold: 4 % for an error rate that fires above 5 %."""


@dataclass(frozen=True)
class Rule:
    """One kind of alert.

    Attributes:
        name: The alert's name.
        what: The figure, in words.
        threshold: It fires above this.
        clear_at: It clears at this or below.
        clear_after_s: The figure must have stayed there for so long.
        minimum: So many samples must be behind the figure before it may fire.
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
    """The rules in effect by name; a threshold of 0 leaves its rule out.

    Args:
        error_rate: Share of operations that fail.
        memory_usage: Share of the server's memory limit.
        pool_usage: Share of a pool's connections.
        minimum_operations: Operations behind an error rate.
        clear_after_s: For how long the figure must be good again.
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
