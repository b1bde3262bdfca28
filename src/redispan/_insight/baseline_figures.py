"""The baselines of reports: one row per figure, merged from all processes that learned it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from redispan._insight.baseline import KINDS, THROUGHPUT
from redispan._insight.report_figures import BaselineFigures

SHOWN = 200

Learned = Mapping[str, Any]


def baselines_of(learned: Iterable[Learned]) -> tuple[BaselineFigures, ...]:
    """Return at most ``SHOWN`` rows: first those that fire, then the others, each ordered by endpoint and command."""
    together: dict[tuple[str, str, str], list[Learned]] = {}
    for one in learned:
        together.setdefault((one["endpoint"], one["command"] or "", one["figure"]), []).append(one)
    found = [_row(group) for _, group in sorted(together.items(), key=lambda item: _order(item[0]))]
    return tuple(sorted(found, key=lambda row: not row.firing)[:SHOWN])


def _order(key: tuple[str, str, str]) -> tuple[str, str, int]:
    endpoint, command, figure = key
    return endpoint, command, list(KINDS).index(figure) if figure in KINDS else len(KINDS)


def _row(group: Sequence[Learned]) -> BaselineFigures:
    first = group[0]
    if first["figure"] == THROUGHPUT.name:
        weights = [1.0] * len(group)
        whole = 1.0
    else:
        # A process without an operation in its last slice counts little, but its baseline still counts.
        weights = [max(1.0, one["samples"]) for one in group]
        whole = sum(weights)

    def together(figure: str) -> float:
        return sum(float(one[figure]) * weight for one, weight in zip(group, weights, strict=True)) / whole

    return BaselineFigures(
        endpoint=first["endpoint"],
        command=first["command"],
        figure=first["figure"],
        unit=first["unit"],
        expected=together("expected"),
        limit=together("limit"),
        measured=together("measured"),
        slices=max(one["slices"] for one in group),
        ready=any(one["ready"] for one in group),
        firing=any(one["firing"] for one in group),
        processes=len(group),
    )
