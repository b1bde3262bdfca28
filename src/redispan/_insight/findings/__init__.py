"""Advice: what a program should change. Each module holds one kind of advice.

A module has a function ``look(facts)`` that yields ``Finding`` records. Each record says what was found, the figures
behind it, and the exact setting, command or change of code. To add a kind of advice, write its module, add its function
to ``_LOOKS``, and test it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from redispan._insight.facts import Facts
from redispan._insight.findings import (
    cold_start,
    connection_churn,
    failures,
    keyspace_scans,
    lasting_keys,
    low_hit_ratio,
    memory,
    outside_target,
    pool_too_large,
    pool_too_small,
    pool_waiting,
    repeated_calls,
    script_texts,
    slow_tail,
)
from redispan._insight.report_figures import Finding

Look = Callable[[Facts], Iterable[Finding]]

_LOOKS: dict[str, tuple[Look, ...]] = {
    "pool": (pool_too_small.look, pool_waiting.look, pool_too_large.look, connection_churn.look),
    "cache": (low_hit_ratio.look, lasting_keys.look, cold_start.look, repeated_calls.look),
    "other": (
        failures.look,
        memory.look_at_usage,
        memory.look_at_growth,
        outside_target.look,
        slow_tail.look,
        keyspace_scans.look,
        script_texts.look,
    ),
}


def find(facts: Facts, *kinds: str) -> tuple[Finding, ...]:
    """Return the advice of the named groups, or of all groups if none is named, the most important first.

    Args:
        facts: The figures to judge.
        kinds: Groups of advice: ``pool``, ``cache`` or ``other``.
    """
    looks = [look for kind in (kinds or _LOOKS) for look in _LOOKS[kind]]
    return tuple(sorted((found for look in looks for found in look(facts)), key=lambda finding: -finding.weight))
