"""The tables of the demo: operations, the other metrics, and events."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich import box
from rich.table import Table
from rich.text import Text

from redispan.cli.demo_tree import TIMES, short_name

if TYPE_CHECKING:
    from redispan.cli.otlp_inbox import Event, Point

DURATION = "db.client.operation.duration"
OPERATIONS_SHOWN = 10
ALERT_PREFIX = "redis.client.alert."

_PARTS = (
    ("pool_wait.time", "waiting for a connection"),
    ("connect.time", "connecting"),
    ("backoff.time", "pausing before a retry"),
)

# These are shown above the table, or of no use to a reader.
_LEFT_OUT = ("db.system.name", "db.namespace", "server.address", "server.port", "db.operation.name")


@dataclass(frozen=True)
class _Operation:
    name: str
    count: int
    failed: int
    total_s: float
    longest_s: float


def operations_table(points: Sequence[Point]) -> Table:
    """Return a table of the operations: one line for each that failed or took the most time, and one for the rest."""
    table = _table("operation", "count", "failed", "mean", "longest", "share of the time")
    operations = _operations(points)
    everything_s = sum(one.total_s for one in operations) or 1.0
    for one in operations[:OPERATIONS_SHOWN]:
        table.add_row(
            one.name,
            str(one.count),
            Text(str(one.failed), style="bold red" if one.failed else "dim"),
            f"{one.total_s / one.count * 1e3:.2f} ms",
            f"{one.longest_s * 1e3:.2f} ms",
            Text("█" * round(one.total_s / everything_s * 30) or "▏", style="green"),
        )
    rest = operations[OPERATIONS_SHOWN:]
    if rest:
        count, failed = sum(one.count for one in rest), sum(one.failed for one in rest)
        table.add_row(Text(f"{len(rest)} more", style="dim"), str(count), Text(str(failed), style="dim"), "", "", "")
    return table


def _operations(points: Sequence[Point]) -> list[_Operation]:
    """Return the sums of each operation's points, of whatever outcome: failed operations first, then by total time."""
    merged: dict[str, _Operation] = {}
    for point in points:
        if point.metric == DURATION and point.count:
            name = str(point.attributes.get("db.operation.name", ""))
            before = merged.get(name, _Operation(name, 0, 0, 0.0, 0.0))
            merged[name] = _Operation(
                name,
                before.count + point.count,
                before.failed + (point.count if "error.type" in point.attributes else 0),
                before.total_s + point.value,
                max(before.longest_s, point.largest or 0.0),
            )
    # Failed operations come first, so that they are shown however little time they took.
    return sorted(merged.values(), key=lambda one: (one.failed == 0, -one.total_s))


def metrics_table(points: Sequence[Point]) -> Table:
    """Return a table of every other series: one line per metric and set of attributes."""
    table = _table("metric", "attributes", "value", numbers_from=2)
    previous = ""
    for point in points:
        if point.metric == DURATION:
            continue
        kept = {key: value for key, value in point.attributes.items() if key not in _LEFT_OUT}
        words = "  ".join(f"{key.rpartition('.')[2]}={value}" for key, value in sorted(kept.items()))
        table.add_row(point.metric if point.metric != previous else "", Text(words, style="dim"), _value(point))
        previous = point.metric
    return table


def events_table(events: Sequence[Event], span_names: Mapping[str, str]) -> Table:
    """Return a table of the events: one line per kind of event and span name, with alerts last and in colour."""
    table = _table("event", "what", "span")
    # On a narrow terminal, the names stay whole and the second column is cut.
    table.expand, table.columns[1].ratio, table.columns[2].max_width = True, 1, 24
    counted = Counter(
        (event.name.startswith(ALERT_PREFIX), event.name, _what(event), span_names.get(event.span_id, ""))
        for event in events
    )
    for (is_alert, name, what, span), count in sorted(counted.items()):
        style = "bold yellow" if is_alert else ""
        words = what if count == 1 else f"{count} {TIMES} {what}"
        table.add_row(Text(name, style=style), Text(words, style=style), Text(short_name(span), style="dim"))
    return table


def _what(event: Event) -> str:
    attributes = event.attributes
    if "exception.message" in attributes:
        return str(attributes["exception.message"])
    duration = attributes.get("redis.client.operation.duration")
    if isinstance(duration, float):
        return f"{attributes.get('db.operation.name', 'an operation')} took {duration * 1e3:.0f} ms{_parts(event)}"
    return str(attributes.get("error.type", ""))


def _parts(event: Event) -> str:
    """Return the parts of a slow operation that took a tenth of its time or more, other than waiting for the answer."""
    whole_s = float(event.attributes.get("redis.client.operation.duration", 0.0))
    found = []
    for name, words in _PARTS:
        part_s = float(event.attributes.get(f"redis.client.operation.{name}", 0.0))
        if part_s * 10 >= whole_s:
            found.append(f"{part_s * 1e3:.0f} ms {words}")
    return f": {', '.join(found)}" if found else ""


def _value(point: Point) -> str:
    if point.count is not None:
        mean = point.value / point.count if point.count else 0.0
        shown = f"{mean * 1e3:.2f} ms" if point.unit == "s" else f"{mean:g}"
        return f"{point.count} {TIMES} {shown}"
    # A unit in braces only repeats the metric's name.
    unit = "" if point.unit == "1" or point.unit.startswith("{") else point.unit
    return f"{point.value:g} {unit}".rstrip()


def _table(*columns: str, numbers_from: int = 1) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="dim", show_edge=False)
    numeric = {"count", "failed", "mean", "longest", "value"}
    for position, column in enumerate(columns):
        right = column in numeric and position >= numbers_from
        table.add_column(column, justify="right" if right else "left", overflow="ellipsis", no_wrap=True)
    return table
