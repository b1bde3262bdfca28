"""Naming the first few and counting the rest: a cluster of a hundred nodes is one line, not a hundred."""

from __future__ import annotations

from collections.abc import Sequence

NAMED = 3


def few_of(phrases: Sequence[str], named: int = NAMED) -> str:
    """The first ``named`` phrases in a row, and how many more there are."""
    rest = len(phrases) - named
    shown = ", ".join(phrases[:named])
    return f"{shown} and {rest} more" if rest > 0 else shown
