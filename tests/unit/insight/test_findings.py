"""Each kind of advice has one test of what triggers it, and a healthy program gets none."""

import re
from pathlib import Path
from typing import Any

import pytest

from insight_data import entry, pool, server, snapshot, usage
from redispan._insight import findings
from redispan._insight.facts import Facts
from redispan._insight.report_figures import Finding
from redispan._insight.snapshots import empty


def found(*windows: Any, **parts: Any) -> list[Finding]:
    """Return the advice for one process."""
    return list(findings.find(Facts(snapshot(*windows, **parts))))


def cache(patterns: dict[str, Any] | None = None, **figures: float) -> dict[str, Any]:
    """Return the cache use of one family."""
    return {
        "sampled": 1,
        "families": {"string": usage(**figures)},
        "patterns": patterns or {},
        "patterns_shown": True,
    }


def work(times: int, command: str = "GET") -> dict[str, Any]:
    """Return one run of a piece of work that repeats itself."""
    return {
        "checkout": {
            "runs": 1,
            "failed_runs": 0,
            "total_ns": 10**9,
            "longest_ns": 10**9,
            "durations_ns": [10**9],
            "totals": {command: [times, 0, times * 10**6, 10**6, times, 0]},
            "error_types": {},
            "slowest": [],
            "longest_repeat": [times, command],
        }
    }


CASES: dict[str, tuple[tuple[Any, ...], dict[str, Any], str]] = {
    "cold_start": ((), {"cache": cache(hits=900, misses=150, early_misses=120)}, "before taking traffic"),
    "connection_churn": ((), {"pools": [pool(uses=1000, created=600)]}, "keep one client"),
    "failures": (
        ([entry(error="OOM" if at < 3 else None) for at in range(30)],),
        {},
        "maxmemory-policy allkeys-lru",
    ),
    "keyspace_scans": (([entry(command="KEYS")],), {}, "SCAN"),
    "lasting_keys": ((), {"cache": cache(hits=10, lasting_sets=90, expiring_sets=20)}, "ex=3600"),
    "low_hit_ratio": ((), {"cache": cache(hits=50, misses=200)}, "keep values longer"),
    "memory_forecast": (
        (),
        {
            "servers": {"s": server(used_memory_bytes=50)},
            "memory": {"s": [[180.0 * at, 10.0 + at] for at in range(40)]},
        },
        "raise `maxmemory`",
    ),
    "memory_pressure": (
        (),
        {"servers": {"s": server(used_memory_bytes=90, figures={"maxmemory_policy": "noeviction"})}},
        "CONFIG SET maxmemory-policy",
    ),
    "outside_target": (([entry(ms=150 if at < 5 else 1) for at in range(200)],), {}, "SLOWLOG GET"),
    "pool_too_large": ((), {"pools": [pool(limit=500, peak=5, uses=20_000, created=5)]}, "`pool_max_connections=10`"),
    "pool_too_small": (
        (),
        {"pools": [pool(limit=10, peak=10, busy=9, timeouts=3, exhausted=9, waits=9, wait_s=0.9)]},
        "`pool_max_connections=20` (now 10)",
    ),
    "pool_waiting": (([entry(ms=2, wait_ms=1) for _ in range(100)],), {}, "pool_max_connections"),
    "repeated_calls": ((), {"works": work(25)}, "MGET"),
    "script_texts": (([entry(command="EVAL") for _ in range(150)],), {}, "register_script"),
    "slow_tail": (([entry(ms=40 if at < 3 else 0.3) for at in range(200)],), {}, "--bigkeys"),
}


@pytest.mark.parametrize("name", sorted(CASES))
def test_a_finding_speaks(name: str) -> None:
    """redispan gives the advice when its evidence is there, with figures and the exact change."""
    windows, parts, change = CASES[name]
    (finding,) = [one for one in found(*windows, **parts) if one.name == name]
    assert change in finding.change
    assert any(character.isdigit() for character in finding.evidence)
    assert finding.figures
    assert 1 <= finding.weight <= 3


def test_a_healthy_program_gets_no_advice() -> None:
    """redispan gives no advice to a quiet program or to one that runs well."""
    assert not found()
    assert not findings.find(Facts(empty()))
    assert not found(
        [entry(ms=0.3) for _ in range(500)],
        pools=[pool(uses=100_000, created=8, peak=8)],
        servers={"s": server()},
        cache=cache(hits=900, misses=100, expiring_sets=500, lasting_sets=10),
        works=work(3),
    )


def test_pools_made_per_request_are_found() -> None:
    """redispan takes dozens of pools to one place in one process for clients made per request."""
    pools = [pool(f"cache:6379/0#{number}") for number in range(30)]
    assert [finding.name for finding in found(pools=pools)] == ["connection_churn"]


def test_the_pools_of_celery_are_no_fault_of_the_program() -> None:
    """redispan gives no advice about kombu's pools, which a user cannot change.

    kombu makes a pool or two for each channel, a dozen in a worker.
    """
    assert not found(pools=[pool(f"cache:6379/1#{number}") for number in range(14)])


def of_many(**figures: Any) -> dict[str, Any]:
    """Return a cluster of forty nodes, each a little fuller than the one before."""
    numbers = range(40)
    return {
        f"n{number}:1": server(
            endpoint=f"n{number}:1", used_memory_bytes=900 + number, max_memory_bytes=1000, **figures
        )
        for number in numbers
    }


def test_a_full_cluster_is_one_piece_of_advice() -> None:
    """The advice names the three fullest servers and counts the rest, whatever the number of nodes."""
    (finding,) = found(servers=of_many(figures={"maxmemory_policy": "noeviction"}))
    assert finding.what == "40 servers use more than 80% of their memory: n39:1 94%, n38:1 94%, n37:1 94% and 37 more"
    assert finding.evidence.startswith("939 of 1000 bytes, read at ")
    assert finding.evidence.count(" bytes, ") == 3
    assert finding.figures == {"memory_usage": 0.939, "servers": 40}
    assert finding.change.startswith("`CONFIG SET maxmemory-policy")
    mixed = of_many() | {
        "m:1": server(endpoint="m:1", used_memory_bytes=99, figures={"maxmemory_policy": "noeviction"})
    }
    (finding,) = found(servers=mixed)
    assert finding.what.startswith("41 servers use more than 80% of their memory: m:1 99%, n39:1 94%")
    assert "on the 1 whose `maxmemory-policy` is noeviction" in finding.change


def test_a_filling_cluster_is_one_piece_of_advice() -> None:
    """The advice for forty filling servers names those that will be full first, by the time left."""
    names = [f"n{number}:1" for number in range(40)]
    (finding,) = found(
        servers={name: server(endpoint=name, used_memory_bytes=50) for name in names},
        memory={name: [[180.0 * at, 10.0 + at * (1 + i / 100)] for at in range(40)] for i, name in enumerate(names)},
    )
    assert finding.what.startswith("40 servers will have used up their memory within a day: n39:1 in about ")
    assert finding.what.endswith(" and 37 more")
    assert finding.evidence.count("it grows by") == 3
    assert finding.figures["servers"] == 40
    assert finding.weight == 3


def test_every_finding_has_its_test_and_the_weightiest_comes_first() -> None:
    """Every kind of advice in the folder has a case here, and the weightiest comes first.

    Advice without a case would be untested.
    """
    folder = Path(findings.__file__).parent
    made = {name for path in folder.glob("*.py") for name in re.findall(r'Finding\(\s*"(\w+)"', path.read_text())}
    assert made == set(CASES)
    weights = [one.weight for one in found([entry(command="KEYS", error="OOM") for _ in range(50)])]
    assert weights == sorted(weights, reverse=True)
    assert len(weights) >= 2
