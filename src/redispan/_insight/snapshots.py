"""The snapshot format, and merging the snapshots of several processes into one: exact for counts and windows."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from redispan._insight.window import add_totals

SLOW_KEPT = 100
HISTORY_KEPT = 100
DURATIONS_KEPT = 200

Data = dict[str, Any]


def empty(window_size: int = 1000) -> Data:
    """Return an empty snapshot, that of no process."""
    return {
        "version": 1,
        "taken_unix_ns": 0,
        "window_size": window_size,
        "thresholds": {},
        "processes": [],
        "endpoints": {},
        "slow": [],
        "baselines": [],
        "alerts": {"counts": {}, "emitted": {}, "firing": [], "history": []},
        "cache": {"sampled": 0, "families": {}, "patterns": {}, "patterns_shown": False},
        "works": {},
        "pools": [],
        "servers": {},
        "memory": {},
    }


def merge(snapshots: Sequence[Data]) -> Data:
    """Merge the snapshots of several processes into one. Their order makes no difference.

    A merged window has the newest operations of all processes, as many as one window holds. It is complete, because
    every process keeps its own newest operations.
    """
    merged = empty()
    if not snapshots:
        return merged
    merged["version"] = max(found["version"] for found in snapshots)
    merged["taken_unix_ns"] = max(found["taken_unix_ns"] for found in snapshots)
    size = merged["window_size"] = max(found["window_size"] for found in snapshots)
    newest = max(snapshots, key=lambda found: (found["taken_unix_ns"], str(found["thresholds"])))
    merged["thresholds"] = dict(newest["thresholds"])
    merged["processes"] = sorted((one for found in snapshots for one in found["processes"]), key=lambda p: p["pid"])
    merged["pools"] = sorted(
        (one for found in snapshots for one in found["pools"]), key=lambda pool: (pool["name"], pool["pid"])
    )
    merged["slow"] = _newest((one for found in snapshots for one in found["slow"]), SLOW_KEPT)
    # A sibling process with an older version of redispan sends no baselines.
    learned = [one for found in snapshots for one in found.get("baselines", ())]
    merged["baselines"] = sorted(learned, key=lambda one: json.dumps(one, sort_keys=True))
    for found in snapshots:
        for label, endpoint in found["endpoints"].items():
            _merge_endpoint(merged["endpoints"], label, endpoint)
        _merge_alerts(merged["alerts"], found["alerts"])
        _merge_cache(merged["cache"], found["cache"])
        for name, work in found["works"].items():
            _merge_work(merged["works"], name, work)
        for name, server in found["servers"].items():
            known = merged["servers"].get(name)
            if known is None or server["at_unix_ns"] > known["at_unix_ns"]:
                merged["servers"][name] = server
        for name, points in found.get("memory", {}).items():
            # All processes follow the same readings, so the longest list of points is the most complete one.
            merged["memory"][name] = max(merged["memory"].get(name, []), points, key=lambda seen: (len(seen), seen))
    for endpoint in merged["endpoints"].values():
        for kind in ("answers", "blocking"):
            endpoint[kind]["window"] = sorted(endpoint[kind]["window"], key=_order)[-size:]
    merged["alerts"]["history"] = _newest(merged["alerts"]["history"], HISTORY_KEPT)
    return merged


def _order(entry: Sequence[Any]) -> tuple[Any, ...]:
    """Return a sort key that is a total order: which of two simultaneous operations leaves the window is then fixed."""
    return tuple("" if value is None else value for value in entry)


def _newest(records: Iterable[Data], count: int) -> list[Data]:
    return sorted(records, key=lambda record: (record["at_unix_ns"], str(record)))[-count:]


def _merge_endpoint(into: dict[str, Data], label: str, endpoint: Data) -> None:
    known = into.setdefault(
        label,
        {
            "address": endpoint["address"],
            "port": endpoint["port"],
            "db": endpoint["db"],
            "answers": {"window": [], "totals": {}, "error_types": {}},
            "blocking": {"window": [], "totals": {}, "error_types": {}},
        },
    )
    for kind in ("answers", "blocking"):
        known[kind]["window"] = known[kind]["window"] + list(endpoint[kind]["window"])
        add_totals(known[kind]["totals"], endpoint[kind]["totals"])
        _add_counts(known[kind]["error_types"], endpoint[kind]["error_types"])


def _merge_alerts(into: Data, alerts: Data) -> None:
    _add_counts(into["counts"], alerts["counts"])
    _add_counts(into["emitted"], alerts["emitted"])
    into["firing"] = sorted([*into["firing"], *alerts["firing"]], key=str)
    into["history"] = [*into["history"], *alerts["history"]]


def _merge_cache(into: Data, cache: Data) -> None:
    into["sampled"] += cache["sampled"]
    into["patterns_shown"] = into["patterns_shown"] or cache["patterns_shown"]
    for table in ("families", "patterns"):
        for name, usage in cache[table].items():
            _add_counts(into[table].setdefault(name, {}), usage)


def _merge_work(into: dict[str, Data], name: str, work: Data) -> None:
    known = into.get(name)
    if known is None:
        into[name] = {
            **work,
            "totals": {command: list(figures) for command, figures in work["totals"].items()},
            "error_types": dict(work["error_types"]),
        }
        return
    for figure in ("runs", "failed_runs", "total_ns"):
        known[figure] += work[figure]
    known["longest_ns"] = max(known["longest_ns"], work["longest_ns"])
    known["durations_ns"] = sorted([*known["durations_ns"], *work["durations_ns"]])[-DURATIONS_KEPT:]
    add_totals(known["totals"], work["totals"])
    _add_counts(known["error_types"], work["error_types"])
    known["slowest"] = sorted([*known["slowest"], *work["slowest"]], reverse=True)[:10]
    known["longest_repeat"] = max(known["longest_repeat"], work["longest_repeat"])


def _add_counts(into: dict[str, Any], other: dict[str, Any]) -> None:
    for name, count in other.items():
        into[name] = into.get(name, 0) + count
