"""The health score: 100 minus the points of each reason. Worse figures never give a better score."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from redispan._insight.facts import Facts
from redispan._insight.latency import TARGET_MS
from redispan._insight.report_figures import Check, Reason
from redispan._insight.report_records import DEGRADED, HEALTHY, UNHEALTHY

HEALTHY_FROM = 80.0
UNHEALTHY_BELOW = 50.0
UNREACHABLE_POINTS = 60.0
_MINIMUM = 5
"""How many recent operations a rate must rest on to cost points."""


@dataclass(frozen=True)
class Health:
    """The health of Redis for this program.

    Attributes:
        status: ``healthy``, ``degraded`` or ``unhealthy``.
        score: 0 to 100.
        reasons: What costs points, the most expensive first.
        checks: Figures compared with their thresholds.
    """

    status: str
    score: float
    reasons: tuple[Reason, ...]
    checks: tuple[Check, ...]


def judge(facts: Facts) -> Health:
    """Compute score, status, reasons and checks from the facts."""
    reasons = sorted((one for one in _reasons(facts) if one.points > 0), key=lambda one: one.points, reverse=True)
    score = round(max(0.0, 100.0 - sum(reason.points for reason in reasons)), 1)
    unreachable = any(endpoint.unreachable for endpoint in facts.endpoints)
    status = HEALTHY
    if score < HEALTHY_FROM or unreachable or facts.snapshot["alerts"]["firing"]:
        status = DEGRADED
    if score < UNHEALTHY_BELOW:
        status = UNHEALTHY
    return Health(status, score, tuple(reasons), tuple(_checks(facts)))


def error_points(rate: float) -> float:
    """Return the points that an error rate costs: 5 % cost 15 points, 17 % and more cost 50."""
    return min(50.0, 300.0 * rate)


def target_points(over_target: float) -> float:
    """Return the points for operations of 100 ms or more: a share of 1 % costs 2.5 points, 10 % and more cost 25."""
    return min(25.0, 250.0 * over_target)


def tail_points(p99_ms: float, slow_ms: float) -> float:
    """Return the points that a p99 costs: twice the slow threshold costs 5 points, eight times and more cost 15."""
    if slow_ms <= 0 or p99_ms <= slow_ms:
        return 0.0
    return min(15.0, 5.0 * math.log2(p99_ms / slow_ms))


def fullness_points(share: float) -> float:
    """Return the points that a full pool or memory costs: none up to a share of 70 %, 20 points at 100 %."""
    return 20.0 * min(1.0, max(0.0, (share - 0.7) / 0.3))


def _reasons(facts: Facts) -> Iterator[Reason]:
    for endpoint in facts.endpoints:
        if endpoint.unreachable:
            yield Reason(f"{endpoint.endpoint} can't be reached: its last operations all failed", UNREACHABLE_POINTS)
    for server in facts.servers:
        if not server.reachable and not any(reason.unreachable for reason in facts.endpoints):
            yield Reason(f"{server.endpoint} doesn't answer the probe", UNREACHABLE_POINTS)
    # Only the fullest server and the fullest pool cost points: twenty masters, or pools, at 75 % are no worse than one.
    full = max(facts.servers, key=lambda server: server.memory_usage or 0.0, default=None)
    if full is not None and full.memory_usage is not None:
        yield Reason(f"{full.endpoint} uses {full.memory_usage:.0%} of its memory", fullness_points(full.memory_usage))
    recent = facts.recent
    if recent.operations >= _MINIMUM:
        yield Reason(f"{recent.error_rate:.1%} of the recent operations failed", error_points(recent.error_rate))
        over, p99_ms = recent.over_target or 0.0, recent.p99_ms or 0.0
        yield Reason(f"{over:.1%} of the recent operations took {TARGET_MS:.0f} ms or more", target_points(over))
        yield Reason(
            f"the slowest hundredth of the recent operations took {p99_ms:.1f} ms or more",
            tail_points(p99_ms, facts.thresholds["slow_alert_ms"]),
        )
    fullest = max(facts.pools, key=lambda pool: pool.utilisation or 0.0, default=None)
    if fullest is not None and fullest.utilisation is not None:
        yield Reason(
            f"the pool {fullest.pool} lends out {fullest.utilisation:.0%} of its connections",
            fullness_points(fullest.utilisation),
        )
    waiting = sum(pool.pending for pool in facts.pools)
    if waiting:
        yield Reason(f"{waiting} callers wait for a connection of a pool", min(10.0, 2.0 * waiting))


def _checks(facts: Facts) -> Iterator[Check]:
    limits = facts.thresholds
    recent = facts.recent
    for name, value, threshold, unit in (
        ("error_rate", recent.error_rate if recent.operations else None, limits["error_rate"], "1"),
        ("p99", recent.p99_ms, limits["slow_alert_ms"], "ms"),
        ("outside_target", recent.over_target, 0.01, "1"),
    ):
        yield _check(name, value, threshold, unit)
    for pool in facts.pools:
        yield _check(f"pool_usage {pool.pool}", pool.utilisation, limits["pool_usage"], "1")
    for server in facts.servers:
        yield _check(f"memory_usage {server.endpoint}", server.memory_usage, limits["memory_usage"], "1")
        yield Check(f"reachable {server.endpoint}", server.reachable, float(server.reachable), 1.0, "1")
    for endpoint in facts.endpoints:
        up = not endpoint.unreachable
        yield Check(f"reachable {endpoint.endpoint}", up, float(up), 1.0, "1")


def _check(name: str, value: float | None, threshold: float, unit: str) -> Check:
    # A threshold of 0 means that the check is turned off.
    return Check(name, value is None or threshold <= 0 or value <= threshold, value, threshold, unit)
