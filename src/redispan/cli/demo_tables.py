"""The tables of the demo: operations, the other metrics, events."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rich import box
from rich.table import Table
from rich.text import Text

from redispan.cli.demo_tree import TIMES, short_name

if TYPE_CHECKING:
    from redispan.cli.otlp_inbox import Event, Point

DURATION = "db.client.operation.duration"
ALERT_PREFIX = "redis.client.alert."

# Said once above, or of no use to a reader.
_LEFT_OUT = ("db.system.name", "db.namespace", "server.address", "server.port", "db.operation.name")


def operations_table(points: Sequence[Point]) -> Table:
    """One line per operation: how often, how long, how many failed."""
    table = _table("operation", "count", "failed", "mean", "longest", "share of the time")
    merged: dict[str, tuple[int, int, float, float]] = {}
    for point in points:
        if point.metric == DURATION and point.count:
            name = str(point.attributes.get("db.operation.name", ""))
            count, failed, total, largest = merged.get(name, (0, 0, 0.0, 0.0))
            more_failed = point.count if "error.type" in point.attributes else 0
            merged[name] = (
                count + point.count,
                failed + more_failed,
                total + point.value,
                max(largest, point.largest or 0.0),
            )
    everything = sum(total for _, _, total, _ in merged.values()) or 1.0
    for name, (count, failed, total, largest) in sorted(merged.items(), key=lambda item: -item[1][2]):
        table.add_row(
            name,
            str(count),
            Text(str(failed), style="bold red") if failed else Text("0", style="dim"),
            f"{total / count * 1e3:.2f} ms",
            f"{largest * 1e3:.2f} ms",
            Text("█" * round(total / everything * 30) or "▏", style="green"),
        )
    return table


def metrics_table(points: Sequence[Point]) -> Table:
    """Every other series, one line per metric and distinct attributes."""
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


def alerts_table(events: Sequence[Event], span_names: Mapping[str, str]) -> Table:
    """Events of one kind on one span name as one line, alerts last and in colour."""
    table = _table("event", "count", "what", "span")
    counted = Counter(
        (event.name.startswith(ALERT_PREFIX), event.name, _what(event), span_names.get(event.span_id, ""))
        for event in events
    )
    for (is_alert, name, what, span), count in sorted(counted.items()):
        style = "bold yellow" if is_alert else ""
        table.add_row(Text(name, style=style), str(count), Text(what, style=style), Text(short_name(span), style="dim"))
    return table


def _what(event: Event) -> str:
    attributes = event.attributes
    if "exception.message" in attributes:
        return str(attributes["exception.message"])
    duration = attributes.get("redis.client.operation.duration")
    if isinstance(duration, float):
        return f"{attributes.get('db.operation.name', 'an operation')} took {duration * 1e3:.0f} ms"
    return str(attributes.get("error.type", ""))


def _value(point: Point) -> str:
    if point.count is not None:
        mean = point.value / point.count if point.count else 0.0
        shown = f"{mean * 1e3:.2f} ms" if point.unit == "s" else f"{mean:g}"
        return f"{point.count} {TIMES} {shown}"
    # A unit in braces only repeats what the metric's name says.
    unit = "" if point.unit == "1" or point.unit.startswith("{") else point.unit
    return f"{point.value:g} {unit}".rstrip()


def _table(*columns: str, numbers_from: int = 1) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="dim", show_edge=False)
    numeric = {"count", "failed", "mean", "longest", "value"}
    for position, column in enumerate(columns):
        right = column in numeric and position >= numbers_from
        table.add_column(column, justify="right" if right else "left", overflow="ellipsis", no_wrap=True)
    return table
