"""The health score: monotone in every figure it uses, with reasons that add up."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from insight_data import NOW_NS, endpoint, entry, pool, server, snapshot
from redispan._insight.facts import Facts
from redispan._insight.health import (
    UNREACHABLE_POINTS,
    error_points,
    fullness_points,
    judge,
    tail_points,
    target_points,
)

share = st.floats(0, 1)
GOOD = [entry() for _ in range(100)]


def health(*windows: Any, **parts: Any) -> Any:
    """Return the health of one process."""
    return judge(Facts(snapshot(*windows, **parts)))


@given(share, share)
def test_points_never_fall_when_things_get_worse(one: float, other: float) -> None:
    """More errors, fewer operations on target, a longer tail or fuller pools never cost fewer points."""
    better, worse = sorted((one, other))
    assert error_points(better) <= error_points(worse)
    assert target_points(better) <= target_points(worse)
    assert tail_points(better * 1000, 50) <= tail_points(worse * 1000, 50)
    assert fullness_points(better) <= fullness_points(worse)


@given(st.integers(0, 100), st.integers(0, 100), st.integers(0, 50), st.integers(0, 50), st.integers(0, 100))
def test_the_score_is_monotone(errors: int, more: int, busy: int, busier: int, memory: int) -> None:
    """The whole score is monotone too. A program with more errors and fuller pools never scores higher."""

    def score(failed: int, lent: int, used: int) -> float:
        window = [entry(error="OOM" if at < failed else None) for at in range(200)]
        found = health(window, pools=[pool(busy=lent)], servers={"cache:6379": server(used_memory_bytes=used)})
        assert 0 <= found.score <= 100
        return found.score

    assert score(errors, busy, memory) >= score(errors + more, min(50, busy + busier), memory)
    assert score(errors, busy, memory) >= score(errors, busy, min(100, memory + more))


def test_all_is_well() -> None:
    """Fast operations without failures and free room everywhere give 100 points, no reasons and only passed checks."""
    found = health(GOOD, pools=[pool(busy=3)], servers={"cache:6379": server()})
    assert (found.status, found.score, found.reasons) == ("healthy", 100.0, ())
    assert all(check.ok for check in found.checks)


def test_nothing_happened_yet() -> None:
    """A program that has not used Redis yet is healthy."""
    assert health().status == "healthy"


def test_reasons_add_up() -> None:
    """The score is 100 less the points of the reasons. The reason with the most points comes first."""
    found = health([entry(error="OOM" if at < 10 else None, ms=1) for at in range(100)], pools=[pool(busy=50)])
    assert found.score == round(100 - sum(reason.points for reason in found.reasons), 1)
    assert [reason.points for reason in found.reasons] == sorted(
        (reason.points for reason in found.reasons), reverse=True
    )
    assert "10.0% of the recent operations failed" in found.reasons[0].what


@pytest.mark.parametrize("error", ["redis.exceptions.ConnectionError", "redis.exceptions.TimeoutError"])
def test_an_unreachable_server_is_unhealthy_and_shown_so(error: str) -> None:
    """If the last operations all failed to reach a server, one sentence names that server."""
    window = [*GOOD, *[entry(age_s=0.1, error=error) for _ in range(20)]]
    found = health(window)
    assert found.status == "unhealthy"
    assert "cache0:6379/0 can't be reached" in found.reasons[0].what


def test_a_process_without_traffic_is_not_kept_out_of_service() -> None:
    """A process is healthy again a minute after its failures.

    Its readiness probe took it out of service, so it makes no operations.
    """
    window = [entry(age_s=61, error="redis.exceptions.ConnectionError") for _ in range(4)]
    assert health(window).status == "healthy"
    assert health([entry(age_s=59, error="redis.exceptions.ConnectionError")]).status != "healthy"


def test_a_worker_that_only_blocks_sees_its_server_go() -> None:
    """For a queue worker, the results of its BLPOPs count. Its last answered command was long ago."""
    gone = [entry(age_s=1, command="BLPOP", error="redis.exceptions.ConnectionError") for _ in range(5)]
    found = health(endpoints={"cache:6379/0": endpoint([entry(age_s=500)], gone)})
    assert "can't be reached" in found.reasons[0].what


@pytest.mark.parametrize(
    ("read_s_ago", "error", "gone"),
    [
        (2, None, False),
        (2, "WRONGTYPE", False),
        (2, "redis.exceptions.TimeoutError", True),
        (0, None, True),
    ],
)
def test_a_server_that_is_back_is_not_called_gone_until_the_next_probe(
    read_s_ago: float, error: str | None, gone: bool
) -> None:
    """A server that answers the program after a failed probe counts as reachable.

    A readiness probe need not wait for the next probe.
    """
    answers = [entry(age_s=1, error=error) for _ in range(10)]
    missed = server(reachable=False, used_memory_bytes=None, at_unix_ns=NOW_NS - int(read_s_ago * 1e9))
    found = health(endpoints={"cache:6379/0": endpoint(answers)}, servers={"cache:6379": missed})
    assert any(reason.points == UNREACHABLE_POINTS for reason in found.reasons) is gone
    (check,) = (check for check in found.checks if check.name == "reachable cache:6379")
    assert check.ok is not gone


def test_a_large_cluster_is_as_healthy_as_its_fullest_master() -> None:
    """Forty masters at 75 % of their memory are no outage.

    Otherwise readiness probes would take every process out of service.
    """
    servers = {
        f"node{number}:6379": server(endpoint=f"node{number}:6379", used_memory_bytes=75 if number else 76)
        for number in range(40)
    }
    found = health(GOOD, servers=servers)
    assert found.status == "healthy"
    (reason,) = found.reasons
    assert reason.what == "node0:6379 uses 76% of its memory"
    assert sum(check.name.startswith("memory_usage ") for check in found.checks) == 40


def test_what_fails_at_once_is_not_quick_and_not_slow() -> None:
    """An operation that is refused at once meets no target.

    It costs points as a failure, and not as a slow one as well.
    """
    facts = Facts(snapshot([entry(error="OOM", ms=0.2) for _ in range(20)]))
    for figures in (facts.window, facts.totals, facts.commands[0].window):
        assert figures.under_target == 0
    assert facts.window.over_target == 0
    (reason,) = judge(facts).reasons
    assert "failed" in reason.what


def test_a_past_outage_leaves_the_score() -> None:
    """Errors of ten minutes ago no longer count."""
    window = [*[entry(age_s=600, error="OOM") for _ in range(100)], *GOOD]
    assert health(window).score == 100.0


def test_a_firing_alert_is_never_healthy() -> None:
    """While an alert is firing, the status is at least degraded."""
    alerts = {"counts": {}, "emitted": {}, "firing": [{"message": "m"}], "history": []}
    assert health(GOOD, alerts=alerts).status == "degraded"
