"""Snapshots as a process makes them, built from a few figures, for tests of reports, health and advice."""

from typing import Any

from redispan._insight.cache_patterns import Usage
from redispan._insight.snapshots import empty
from redispan._insight.window import count_into

NOW_NS = 1_800_000_000_000_000_000
MS = 1_000_000


def entry(age_s: float = 1.0, ms: float = 1.0, command: str = "GET", error: str | None = None, wait_ms: float = 0.0):
    """Return one operation of a window."""
    return [NOW_NS - int(age_s * 1e9), int(ms * MS), command, error, int(wait_ms * MS)]


def endpoint(answers: list[list[Any]] = (), blocking: list[list[Any]] = (), host: str = "cache") -> dict[str, Any]:
    """Return one endpoint with these operations and no others."""
    found: dict[str, Any] = {"address": host, "port": 6379, "db": "0"}
    for kind, window in (("answers", answers), ("blocking", blocking)):
        totals: dict[str, list[int]] = {}
        error_types: dict[str, int] = {}
        count_into(totals, error_types, [tuple(one) for one in window])
        found[kind] = {"window": [list(one) for one in window], "totals": totals, "error_types": error_types}
    return found


def pool(name: str = "cache:6379/0", **figures: Any) -> dict[str, Any]:
    """Return one idle pool, changed by ``figures``."""
    quiet = {
        "name": name,
        "kind": "pool",
        "used": 0,
        "idle": 0,
        "parked": 0,
        "limit": 50,
        "soft": True,
        "pending": 0,
        "timeouts": 0,
        "waits": 0,
        "wait_s": 0.0,
        "exceeded": 0,
        "exhausted": 0,
        "created": 0,
        "connect_failures": 0,
        "uses": 0,
        "closed": {},
        "tuned": True,
        "values": {},
        "pid": 1,
        "busy": 0,
        "peak": 0,
    }
    return {**quiet, **figures}


def server(**figures: Any) -> dict[str, Any]:
    """Return one healthy server as a probe reads it, changed by ``figures``."""
    well = {
        "endpoint": "cache:6379",
        "at_unix_ns": NOW_NS,
        "reachable": True,
        "address": "cache",
        "port": 6379,
        "used_memory_bytes": 10,
        "max_memory_bytes": 100,
        "host_memory_bytes": 1000,
        "figures": {},
    }
    return {**well, **figures}


def baseline(figure: str, unit: str, expected: float, measured: float, command: str | None = "GET") -> dict[str, Any]:
    """Return one process's baseline of one figure, which fires above twice the expected value."""
    return {
        "endpoint": "cache:6379/0",
        "command": command,
        "figure": figure,
        "unit": unit,
        "expected": expected,
        "limit": 2 * expected,
        "measured": measured,
        "samples": 20,
        "slices": 40,
        "ready": True,
        "firing": measured > 2 * expected,
    }


def usage(**figures: float) -> dict[str, float]:
    """Return how one family or pattern is used."""
    return vars(Usage(**figures))


def snapshot(*windows: list[list[Any]], pid: int = 1, **parts: Any) -> dict[str, Any]:
    """Return the snapshot of one process with one endpoint per window."""
    found = empty()
    found["taken_unix_ns"] = NOW_NS
    found["processes"] = [{"pid": pid, "started_unix_ns": NOW_NS - 10**12}]
    for number, window in enumerate(windows):
        found["endpoints"][f"cache{number}:6379/0"] = endpoint(window, host=f"cache{number}")
    return {**found, **parts}


def totals_only(snapshot: dict[str, Any]) -> dict[str, Any]:
    """Return the exit totals of a snapshot: totals and counts, without what was under way at the time."""
    alerts = snapshot["alerts"]
    return {
        **snapshot,
        **{part: [] for part in ("processes", "pools", "slow", "baselines")},
        "servers": {},
        "memory": {},
        "alerts": {**alerts, "firing": [], "history": []},
        "endpoints": {
            label: {
                **endpoint,
                **{kind: {**endpoint[kind], "window": []} for kind in ("answers", "blocking")},
            }
            for label, endpoint in snapshot["endpoints"].items()
        },
    }


FULL = snapshot(
    [entry(error="OOM" if at % 3 == 0 else None, ms=at, command="KEYS") for at in range(200)],
    pools=[pool(uses=1000, created=600, limit=None), pool(busy=49, waits=3, wait_s=1.0)],
    memory={"s": [[180.0 * at, 10.0 + at] for at in range(40)]},
    servers={"s": server(used_memory_bytes=95), "t": server(endpoint="t", reachable=False, used_memory_bytes=None)},
    cache={
        "sampled": 3,
        "families": {"string": usage(misses=500, hits=1, early_misses=300, lasting_sets=200)},
        "patterns": {"user:{id}": usage(misses=500)},
        "patterns_shown": True,
    },
    baselines=[baseline("latency", "s", 0.001, 0.003, None), baseline("latency", "s", 0.001, 0.001)],
    works={
        "checkout": {
            "runs": 2,
            "failed_runs": 1,
            "total_ns": 10**9,
            "longest_ns": 10**9,
            "durations_ns": [1],
            "totals": {"GET": [50, 1, 10**8, 10**7, 50, 0]},
            "error_types": {"OOM": 1},
            "slowest": [[10**7, "GET", "cache:6379/0"]],
            "longest_repeat": [50, "GET"],
        }
    },
)
"""The snapshot of a process with everything that a report can show."""
