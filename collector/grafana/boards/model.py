"""What a dashboard is made of, and the queries that several share. Plain data: no Grafana in here."""

from __future__ import annotations

from dataclasses import dataclass, field

CLIENT = 'db_system_name="redis",job=~"$job",server_address=~"$server"'
DURATION = "db_client_operation_duration_seconds"

Limits = tuple[tuple[float | None, str], ...]
# The same figures as in prometheus/rules: a panel turns red where an alert fires.
ERROR_LIMITS: Limits = ((None, "green"), (0.01, "orange"), (0.05, "red"))
LATENCY_LIMITS: Limits = ((None, "green"), (0.01, "orange"), (0.05, "red"))
WITHIN_LIMITS: Limits = ((None, "red"), (0.99, "orange"), (0.999, "green"))
POOL_LIMITS: Limits = ((None, "green"), (0.7, "orange"), (0.9, "red"))
MEMORY_LIMITS: Limits = ((None, "green"), (0.7, "orange"), (0.8, "red"))
ANY_LIMITS: Limits = ((None, "green"), (1, "red"))


@dataclass(frozen=True)
class Panel:
    """One panel: a ``graph``, a single figure (``stat``), a ``table``, or ``states`` over time.

    Attributes:
        title: What it shows.
        unit: Grafana's name of the unit.
        description: How to read it.
        queries: Expression and legend of each.
        kind: See above.
        exemplars: Whether single traced operations are drawn as dots.
        highest: Where the axis ends.
        limits: From which value on which colour; the first value is ``None``. A graph draws them as lines.
        words: Text and colour for whole numbers that stand for a state.
        columns: Of a table: its labels, with their headings.
    """

    title: str
    unit: str
    description: str
    queries: list[tuple[str, str]]
    kind: str = "graph"
    exemplars: bool = False
    highest: float | None = None
    limits: Limits = ()
    words: dict[int, tuple[str, str]] = field(default_factory=dict)
    columns: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Row:
    """Panels side by side."""

    title: str
    panels: list[Panel]


@dataclass(frozen=True)
class Board:
    """One dashboard."""

    uid: str
    title: str
    description: str
    rows: list[Row]
    variables: dict[str, tuple[str, str]] = field(default_factory=dict)


JOBS = {
    "job": ("Service", f"label_values({DURATION}_count, job)"),
    "server": ("Redis server", f"label_values({DURATION}_count, server_address)"),
}


def rate(selector: str, by: str = "") -> str:
    """Operations per second."""
    return f"sum {by}(rate({DURATION}_count{{{selector}}}[$__rate_interval]))"


def errors(selector: str, by: str = "") -> str:
    """Failed operations per second, 0 where nothing failed."""
    failed = rate(selector + ',error_type!=""', by)
    return f"({failed} or {rate(selector, by)} * 0)"


def quantile(share: float, metric: str, selector: str, by: str = "") -> str:
    """A quantile of a histogram."""
    labels = f"{by}, le" if by else "le"
    return f"histogram_quantile({share}, sum by ({labels}) (rate({metric}_bucket{{{selector}}}[$__rate_interval])))"


def within(limit: str, selector: str) -> str:
    """Share of operations that succeeded within a limit which is a bucket of the histogram."""
    quick = f'rate({DURATION}_bucket{{{selector},le="{limit}"%s}}[$__rate_interval])'
    succeeded, any_end = quick % ',error_type=""', quick % ""
    return f"(sum({succeeded}) or sum({any_end}) * 0) / sum(rate({DURATION}_count{{{selector}}}[$__rate_interval]))"


def or_zero(expression: str) -> str:
    """For counters that appear with their first event: no event at all is one 0, not an empty panel."""
    return f"{expression} or on() vector(0)"
