"""The tree of the demo: rows of steps and spans, nested by parent, with repeated spans folded into one row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

from rich.text import Text

if TYPE_CHECKING:
    from redispan.cli.demo_run import Step
    from redispan.cli.otlp_inbox import Span

TIMES = "\N{MULTIPLICATION SIGN}"
_BLOCKS = " ▏▎▍▌▋▊▉█"


@dataclass(frozen=True)
class Row:
    """One line of the tree.

    Attributes:
        label: The lines of the tree, and the name.
        duration: The duration in milliseconds.
        remarks: Failures, slowness, retries and batch size, then the query text.
        begins: The start within its step, from 0 to 1.
        lasts: The share of its step's time, from 0 to 1; 0 for a step itself.
        style: The style of its bar.
    """

    label: Text
    duration: Text
    remarks: Text
    begins: float = 0.0
    lasts: float = 0.0
    style: str = "green"

    def timeline(self, cells: int) -> Text:
        """Return a bar of ``cells`` characters that shows when the operation ran within its step."""
        if not self.lasts:
            return Text("")
        begin = min(int(self.begins * cells), cells - 1)
        eighths = max(1, min(round(self.lasts * cells * 8), (cells - begin) * 8))
        bar = _BLOCKS[8] * (eighths // 8) + (_BLOCKS[eighths % 8] if eighths % 8 else "")
        return Text(" " * begin + bar, style=self.style)


def rows_of(steps: Sequence[Step], spans: Sequence[Span]) -> Iterator[Row]:
    """Yield the rows of the tree: every step, and below it the spans that began in it."""
    known = {span.span_id for span in spans}
    children: dict[str, list[Span]] = {}
    for span in spans:
        children.setdefault(span.parent_id if span.parent_id in known else "", []).append(span)
    for step, mine in _by_step(steps, children.get("", [])):
        yield Row(Text(step.name, style="bold"), Text(""), Text(""))
        if mine:
            begin_ns = mine[0].start_ns
            length_ns = max(span.start_ns + span.duration_ns for span in mine) - begin_ns
            yield from _level(mine, children, "", begin_ns, max(length_ns, 1))


def _by_step(steps: Sequence[Step], roots: Sequence[Span]) -> Iterator[tuple[Step, list[Span]]]:
    for number, step in enumerate(steps):
        ends_ns = steps[number + 1].start_ns if number + 1 < len(steps) else None
        yield step, [span for span in roots if step.start_ns <= span.start_ns < (ends_ns or span.start_ns + 1)]


def _level(
    spans: Sequence[Span], children: dict[str, list[Span]], guide: str, begin_ns: int, length_ns: int
) -> Iterator[Row]:
    folded = [list(group) for _, group in groupby(spans, key=_alike)]
    for number, group in enumerate(folded):
        last = number == len(folded) - 1
        yield _row(group, guide + ("└─ " if last else "├─ "), begin_ns, length_ns)
        for span in group:
            below = children.get(span.span_id, [])
            yield from _level(below, children, guide + ("   " if last else "│  "), begin_ns, length_ns)


def _alike(span: Span) -> tuple[Any, ...]:
    if span.failed or "redis.client.operation.slow" in span.attributes:
        return (span.span_id,)
    return span.name, span.attributes.get("db.query.text"), span.attributes.get("redis.client.operation.retries")


def _row(group: Sequence[Span], guide: str, begin_ns: int, length_ns: int) -> Row:
    first, last = group[0], group[-1]
    notable = "red" if first.failed else "yellow" if first.attributes.get("redis.client.operation.slow") else ""
    label = Text.assemble((guide, "dim"), (short_name(first.name), notable))
    if len(group) > 1:
        label.append(f"  {TIMES}{len(group)}", style="bold")
    return Row(
        label=label,
        duration=Text(f"{sum(span.duration_ns for span in group) / 1e6:.2f} ms", style=notable),
        remarks=_remarks(first),
        begins=(first.start_ns - begin_ns) / length_ns,
        lasts=(last.start_ns + last.duration_ns - first.start_ns) / length_ns,
        style=notable or "green",
    )


def short_name(name: str) -> str:
    """Return the name of a span, with a script's sha1 cut from 40 characters to eight."""
    return " ".join(f"{word[:8]}…" if len(word) == 40 else word for word in name.split(" "))


def _remarks(span: Span) -> Text:
    attributes = span.attributes
    found = Text()
    if span.failed:
        found.append(f"✗ {attributes.get('error.type', 'failed')}  ", style="bold red")
    if attributes.get("redis.client.operation.slow"):
        found.append("▲ slow  ", style="bold yellow")
    retries = attributes.get("redis.client.operation.retries")
    if retries:
        found.append(f"↻ {retries} {'retry' if retries == 1 else 'retries'}  ", style="bold magenta")
    size = attributes.get("db.operation.batch.size")
    if size:
        found.append(f"{size} commands  ", style="cyan")
    found.append(short_name(str(attributes.get("db.query.text", ""))), style="dim")
    return found
