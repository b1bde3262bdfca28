"""The terminal output of the demo: spans as a tree with a time line, operations, metrics and events as tables."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from redispan.cli.demo_tables import events_table, metrics_table, operations_table
from redispan.cli.demo_tree import Row, rows_of

if TYPE_CHECKING:
    from redispan.cli.demo_run import Step
    from redispan.cli.otlp_inbox import Inbox

WIDEST = 118
NARROWEST_WITH_TIMELINE = 96
TIMELINE_CELLS = 16
_FONT_FACES = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)

PROGRAM_LINE = "opentelemetry-instrument python -m redispan.cli.demo_program"


class Screen:
    """The terminal. It keeps a copy of its output, for a picture."""

    def __init__(self, console: Console | None = None) -> None:
        """Use ``console``, or the terminal with its own width up to ``WIDEST`` characters."""
        self._console = console or Console(record=True, highlight=False)
        if console is None and self._console.width > WIDEST:
            self._console = Console(record=True, highlight=False, width=WIDEST)

    def waiting(self, what: str) -> AbstractContextManager[object]:
        """Return a context manager that shows ``what`` as running, inside the block."""
        return self._console.status(f"[dim]{what}[/]")

    def save_svg(self, path: Path) -> None:
        """Save the output as an SVG picture, without the fonts that it would load from the web."""
        picture = self._console.export_svg(title="redispan demo", unique_id="redispan-demo")
        path.write_text(_FONT_FACES.sub("", picture), encoding="utf-8")

    def show(self, steps: Sequence[Step], inbox: Inbox, *, seconds: float, sent_on: str) -> None:
        """Show everything that arrived.

        Args:
            steps: The program's steps, into which the spans are grouped.
            inbox: The telemetry received.
            seconds: How long the program ran, start-up included.
            sent_on: Where the telemetry was sent on to, in words; empty if nowhere.
        """
        spans, points, events = inbox.spans(), inbox.points(), inbox.events()
        self._print(_heading(len(spans), len({point.metric for point in points}), len(events), seconds))
        self._section("Spans", "every Redis operation, named, with no key and no value in it")
        self._print(_tree(rows_of(steps, spans), wide=self._console.width >= NARROWEST_WITH_TIMELINE))
        if events:
            self._section("Events", "failures and alerts as log records, each linked to its span")
            self._print(events_table(events, {span.span_id: span.name for span in spans}))
        self._section("Operations", "db.client.operation.duration, one measurement per operation")
        self._print(operations_table(points))
        rest = metrics_table(points)
        if rest.row_count:
            self._section("More metrics", "counted beside the calls, read when they are exported")
            self._print(rest)
        self._print(_what_next(sent_on))

    def _section(self, title: str, explanation: str) -> None:
        self._console.print()
        self._console.print(Text.assemble((title, "bold cyan"), "  ", (explanation, "dim")))

    def _print(self, renderable: RenderableType) -> None:
        self._console.print(renderable)


def _heading(spans: int, metrics: int, events: int, seconds: float) -> RenderableType:
    things = ((spans, "span"), (metrics, "metric"), (events, "event"))
    counts = [(f"{number} {noun if number == 1 else noun + 's'}", "bold") for number, noun in things]
    line = Text.assemble(
        ("$ ", "dim"), (PROGRAM_LINE, "bold"), "\n",
        ("A small shop on Redis: sync and asyncio, not one line about telemetry in it. It sent ", ""),
        counts[0], ", ", counts[1], " and ", counts[2],
        f" in {seconds:.1f} s, start-up included.",
    )  # fmt: skip
    return Panel(line, title="[bold]redispan demo[/]", title_align="left", border_style="cyan", box=box.ROUNDED)


def _tree(rows: Iterator[Row], *, wide: bool) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 1), expand=wide)
    table.add_column(no_wrap=True, overflow="ellipsis", max_width=46)
    table.add_column(justify="right", no_wrap=True, min_width=len("100.00 ms"))
    if wide:
        table.add_column(no_wrap=True, width=TIMELINE_CELLS)
    table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    for row in rows:
        cells: list[RenderableType] = [row.label, row.duration]
        if wide:
            cells.append(row.timeline(TIMELINE_CELLS))
        table.add_row(*cells, row.remarks)
    return table


def _what_next(sent_on: str) -> RenderableType:
    lines = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    lines.add_column(style="bold", no_wrap=True)
    lines.add_column(style="dim")
    lines.add_row(Text('pip install "redispan[otlp]"'), "beside any program that uses redis-py 5.0 or newer")
    lines.add_row("opentelemetry-instrument python app.py", "its own start, unchanged")
    lines.add_row("redispan doctor", "versions, patches, settings, and what can be reached")
    if not sent_on:
        lines.add_row("OTEL_EXPORTER_OTLP_ENDPOINT=… redispan demo", "the same into your own Collector or backend")
    body: list[RenderableType] = [lines]
    if sent_on:
        body.insert(0, Text(f"This telemetry was {sent_on}.\n"))
    panel = Panel(Group(*body), title="[bold]What next[/]", title_align="left", border_style="green", box=box.ROUNDED)
    return Padding(panel, (1, 0, 0, 0))
