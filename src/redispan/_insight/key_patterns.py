"""Key patterns such as ``user:{id}:cart``: a placeholder replaces what varies from key to key, in bounded memory.

Numbers, UUIDs, hashes and dates become placeholders because of their format. Words stay until one position shows too
many different ones. That position then holds names rather than words, as in ``session:{name}``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar

from redispan._core.command_keys import plain

PATTERNS_LIMIT = 200
WORDS_PER_PLACE = 12
OVERFLOW = ("{other keys}",)
_SEGMENTS_LIMIT = 8
_KEY_LENGTH = 256
_WORD_LENGTH = 24

_SEPARATORS = re.compile(r"([:/|.#])")
_SHAPES: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"[+-]?\d+"), "{id}"),
    (re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}"), "{uuid}"),
    (re.compile(r"\d{4}-\d{2}(?:-\d{2})?(?:[T ].*)?"), "{date}"),
    (re.compile(r"(?=.*\d)[0-9a-fA-F]{8,}"), "{hash}"),
    (re.compile(r"[0-9A-HJKMNP-TV-Z]{26}"), "{ulid}"),
)
_DIGITS = re.compile(r"\d+")
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z_\-]*")

Pattern = tuple[str, ...]


class Mergeable(Protocol):
    """The figures of one pattern. They are added to another pattern's when the two patterns become one."""

    def absorb(self, other: Any) -> None:
        """Add the figures of ``other`` to these."""


Figures = TypeVar("Figures", bound=Mergeable)


def text_of(key: object) -> str:
    """Return a key as text of bounded length; empty if ``key`` is not of a type that keys have."""
    found = plain(key)
    if isinstance(found, (bytes, bytearray, memoryview)):
        return bytes(found[:_KEY_LENGTH]).decode("utf-8", "replace")
    if isinstance(found, (str, int)) and not isinstance(found, bool):
        return str(found)[:_KEY_LENGTH]
    return ""


def fold(key: str) -> Pattern:
    """Return the segments and separators of a key, with a placeholder for every segment that looks like data."""
    parts = _SEPARATORS.split(key)
    if len(parts) > 2 * _SEGMENTS_LIMIT:
        parts = [*parts[: 2 * _SEGMENTS_LIMIT], "{rest}"]
    return tuple(part if at % 2 else _fold_segment(part) for at, part in enumerate(parts))


def _fold_segment(segment: str) -> str:
    if _PLAIN.fullmatch(segment) and len(segment) <= _WORD_LENGTH:
        return segment
    if segment in ("", "{rest}"):
        return segment
    # A hash tag of a cluster loses its braces, because braces mark the placeholders of a pattern.
    if segment.startswith("{") and segment.endswith("}"):
        return _fold_segment(segment[1:-1])
    for shape, name in _SHAPES:
        if shape.fullmatch(segment):
            return name
    if len(segment) > _WORD_LENGTH:
        return "{name}"
    folded = _DIGITS.sub("{n}", segment)
    return folded if _PLAIN.fullmatch(folded.replace("{n}", "n")) else "{name}"


class PatternTable(Generic[Figures]):
    """The figures by pattern, for at most ``PATTERNS_LIMIT`` patterns. All further patterns share one entry."""

    def __init__(self, new: Callable[[], Figures]) -> None:
        """Create an empty table.

        Args:
            new: Creates the figures of a new pattern.
        """
        self._new = new
        self.figures: dict[Pattern, Figures] = {}
        self._words: dict[Pattern, set[str]] = {}
        self._folded: set[Pattern] = set()

    def of(self, key: object) -> Figures:
        """Return the figures of the pattern that ``key`` belongs to. A new pattern gets new figures."""
        pattern = self._learn(fold(text_of(key)))
        found = self.figures.get(pattern)
        if found is None:
            if len(self.figures) >= PATTERNS_LIMIT:
                pattern = OVERFLOW
            found = self.figures.setdefault(pattern, self._new())
        return found

    def _learn(self, pattern: Pattern) -> Pattern:
        """Record the words of a pattern, and put ``{name}`` in positions that have had too many different words."""
        prefix: Pattern = ()
        for at, segment in enumerate(pattern):
            if at % 2 == 0 and segment and not segment.startswith("{"):
                if prefix in self._folded:
                    segment = "{name}"  # noqa: PLW2901 - it now replaces all words of its position
                elif self._is_one_too_many(prefix, segment):
                    self._fold_place(prefix)
                    segment = "{name}"  # noqa: PLW2901
            prefix = (*prefix, segment)
        return prefix

    def _is_one_too_many(self, prefix: Pattern, word: str) -> bool:
        words = self._words.get(prefix)
        if words is None:
            if len(self._words) >= 4 * PATTERNS_LIMIT:
                return True
            words = self._words[prefix] = set()
        words.add(word)
        # The first position names the kinds of things that a program stores, so it may have more words.
        return len(words) > (WORDS_PER_PLACE if prefix else 4 * WORDS_PER_PLACE)

    def _fold_place(self, prefix: Pattern) -> None:
        if len(self._folded) < 4 * PATTERNS_LIMIT:
            self._folded.add(prefix)
        place = len(prefix)
        old, self.figures = self.figures, {}
        self._words = {
            known: words for known, words in self._words.items() if known[:place] != prefix or len(known) < place
        }
        for pattern, figures in old.items():
            if len(pattern) > place and pattern[:place] == prefix and not pattern[place].startswith("{"):
                pattern = (*prefix, "{name}", *pattern[place + 1 :])  # noqa: PLW2901
            known = self.figures.setdefault(pattern, figures)
            if known is not figures:
                known.absorb(figures)
