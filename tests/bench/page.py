"""The page that quotes the figures: Markdown tables between its marks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from bench.budgets import Verdict
from bench.figures import Figures
from bench.states import BARE, State

BEGIN, END = "<!-- figures: make bench writes them -->", "<!-- end of the figures -->"


def write_into(page: Path, text: str) -> None:
    """Replace the text between the marks of ``page``."""
    before, begin, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    page.write_text(f"{before}{begin}\n{text.strip()}\n\n{end}{after}", encoding="utf-8")


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table whose first column is text and whose other columns are numbers."""
    lines = [head, ("---", *("---:" for _ in head[1:])), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def costs(figures: Figures, shown: str) -> str:
    """Return a table of the bare call's cost, and of what each state adds to it."""
    rows = [("bare: the whole call", *_cells(figures, shown, lambda name: figures.all_of(BARE, name)))]
    rows += [
        (state.name, *_cells(figures, shown, lambda name, state=state: figures.over_bare(state, name)))
        for state in figures.states
        if state != BARE
    ]
    return table(("added to the bare call", *figures.operations), rows)


def ratios(figures: Figures, watcher: str) -> str:
    """Return a table of what redispan adds in each state, in multiples of what ``watcher`` adds with the same SDK."""
    rows = []
    for state in figures.states:
        against = State(watcher, state.sdk)
        if state.watcher == "redispan" and against in figures.states:
            cells = _cells(figures, "{:.2f}", lambda name, s=state, a=against: figures.ratio(s, a, name))
            rows.append((state.name, *cells))
    return table((f"in multiples of {watcher}", *figures.operations), rows)


def savings(figures: Figures) -> str:
    """Return a table of what each setting saves, compared with the state without it."""
    rows = [
        (state.name, *_cells(figures, "{:,.0f}", lambda name, state=state: figures.saved(state, name)))
        for state in figures.states
        if state.settings
    ]
    return table(("saved by the setting", *figures.operations), rows)


def parts(frames: Mapping[str, float], bare: Mapping[str, float]) -> str:
    """Return a table of the packages whose frames a watched call and the bare call have."""
    names = sorted({*frames, *bare}, key=lambda name: -frames.get(name, 0))
    rows = [(name, f"{bare.get(name, 0):.1f}", f"{frames.get(name, 0):.1f}") for name in names]
    return table(("code of", "bare", "watched"), rows)


def budgets(verdicts: Iterable[Verdict]) -> str:
    """Return a table of the targets, the measured values, and whether each target is met."""
    rows = [(one.what, one.limit, one.measured, "met" if one.met else "MISSED") for one in verdicts]
    return table(("budget", "at most", "counted", ""), rows)


def _cells(figures: Figures, shown: str, value_of: Callable[[str], float | None]) -> list[str]:
    values = [value_of(name) for name in figures.operations]
    return ["" if value is None else shown.format(value) for value in values]
