"""The data of the monitoring page: two reports, figures over time, and the distribution of durations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from redispan import reports
from redispan._insight import reporting, slices
from redispan._insight.latency import TARGET_MS

BOUNDS_MS = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0, 5000.0)


def page_data(scope: str) -> dict[str, Any]:
    """Return everything that the page shows.

    Args:
        scope: ``host`` or ``process``.
    """
    gathered = reports.gather(scope)
    snapshot = gathered.snapshot
    windows = (endpoint["answers"]["window"] for endpoint in snapshot["endpoints"].values())
    return {
        "performance": reporting.performance(snapshot, scope=gathered.scope, missing=gathered.missing).as_data(),
        "cache": reporting.cache(snapshot, scope=gathered.scope, missing=gathered.missing).as_data(),
        "thresholds": {"target_ms": TARGET_MS, **snapshot["thresholds"]},
        "slice_s": slices.SLICE_S,
        "timeline": timeline(part.get("slices", {}) for part in gathered.parts),
        "distribution": distribution(entry[1] / 1e6 for window in windows for entry in window),
    }


def timeline(several: Iterable[Mapping[str, slices.Slice]]) -> list[dict[str, Any]]:
    """Return the figures of the last minutes, slice by slice. Slices without an operation are left out."""
    return [
        {
            "at": start,
            "operations": found["count"],
            "errors": found["errors"],
            "p50_ms": slices.quantile_ms(found, 0.5),
            "p95_ms": slices.quantile_ms(found, 0.95),
            "p99_ms": slices.quantile_ms(found, 0.99),
            "max_ms": found["max_ns"] / 1e6,
        }
        for start, found in slices.merge(several).items()
    ]


def distribution(durations_ms: Iterable[float]) -> list[dict[str, Any]]:
    """Return the number of durations up to each bound of ``BOUNDS_MS``. The last entry has no bound."""
    counts = [0] * (len(BOUNDS_MS) + 1)
    for duration_ms in durations_ms:
        place = next((place for place, bound in enumerate(BOUNDS_MS) if duration_ms <= bound), len(BOUNDS_MS))
        counts[place] += 1
    return [{"up_to_ms": bound, "operations": count} for bound, count in zip((*BOUNDS_MS, None), counts, strict=True)]


_NUMBER_OR_NULL = {"anyOf": [{"type": "number"}, {"type": "null"}]}


def _object(**properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def schema() -> dict[str, Any]:
    """Return the JSON schema of ``page_data``."""
    known = reports.schemas()
    performance, cache = known["performance"], known["cache-patterns"]
    own = _object(
        performance={"$ref": "#/$defs/PerformanceReport"},
        cache={"$ref": "#/$defs/CacheReport"},
        thresholds={"type": "object", "additionalProperties": {"type": "number"}},
        slice_s={"type": "integer", "description": "Seconds of one entry of the timeline."},
        timeline={
            "type": "array",
            "items": _object(
                at={"type": "integer", "description": "Start of the slice, in seconds since 1970."},
                operations={"type": "integer"},
                errors={"type": "integer"},
                p50_ms=_NUMBER_OR_NULL,
                p95_ms=_NUMBER_OR_NULL,
                p99_ms=_NUMBER_OR_NULL,
                max_ms={"type": "number"},
            ),
        },
        distribution={
            "type": "array",
            "items": _object(up_to_ms=_NUMBER_OR_NULL, operations={"type": "integer"}),
        },
    )
    return {
        "title": "PageData",
        **own,
        "$defs": {
            **performance["$defs"],
            **cache["$defs"],
            "PerformanceReport": _without_definitions(performance),
            "CacheReport": _without_definitions(cache),
        },
    }


def _without_definitions(found: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in found.items() if key not in ("$defs", "$schema", "version")}
