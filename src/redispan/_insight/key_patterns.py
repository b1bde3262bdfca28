"""Patterns of keys, such as ``user:{id}:cart``: what changes from key to key is folded, what it learned is bounded.

Numbers, UUIDs, hashes and dates are folded by their look. Words are kept until one place shows too many different
ones, which then is a place for names, not for words: ``session:{name}``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar

from redispan._core.arguments import plain

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
    """Figures of one pattern, which join another's when patterns are folded into one."""

    def absorb(self, other: Any) -> None:
        """Add the other's figures to these."""


Figures = TypeVar("Figures", bound=Mergeable)


def text_of(key: object) -> str:
    """A key as bounded text; empty if it is none."""
    found = plain(key)
    if isinstance(found, (bytes, bytearray, memoryview)):
        return bytes(found[:_KEY_LENGTH]).decode("utf-8", "replace")
    if isinstance(found, (str, int)) and not isinstance(found, bool):
        return str(found)[:_KEY_LENGTH]
    return ""


def fold(key: str) -> Pattern:
    """The segments and separators of a key, with everything folded that looks like data."""
    parts = _SEPARATORS.split(key)
    if len(parts) > 2 * _SEGMENTS_LIMIT:
        parts = [*parts[: 2 * _SEGMENTS_LIMIT], "{rest}"]
    return tuple(part if at % 2 else _fold_segment(part) for at, part in enumerate(parts))


def _fold_segment(segment: str) -> str:
    if _PLAIN.fullmatch(segment) and len(segment) <= _WORD_LENGTH:
        return segment
    if segment in ("", "{rest}"):
        return segment
    # A cluster's hash tag says that it is one; its braces are ours to write.
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
    """Figures by pattern: at most ``PATTERNS_LIMIT`` patterns and a bucket for the rest."""

    def __init__(self, new: Callable[[], Figures]) -> None:
        """Start empty.

        Args:
            new: Makes the figures of a new pattern.
        """
        self._new = new
        self.figures: dict[Pattern, Figures] = {}
        self._words: dict[Pattern, set[str]] = {}
        self._folded: set[Pattern] = set()

    def of(self, key: object) -> Figures:
        """The figures of the pattern that ``key`` belongs to."""
        pattern = self._learn(fold(text_of(key)))
        found = self.figures.get(pattern)
        if found is None:
            if len(self.figures) >= PATTERNS_LIMIT:
                pattern = OVERFLOW
            found = self.figures.setdefault(pattern, self._new())
        return found

    def _learn(self, pattern: Pattern) -> Pattern:
        """Replace words by ``{name}`` where too many different ones were seen, noticing what is new."""
        prefix: Pattern = ()
        for at, segment in enumerate(pattern):
            if at % 2 == 0 and segment and not segment.startswith("{"):
                if prefix in self._folded:
                    segment = "{name}"  # noqa: PLW2901 - from here on it stands for all words of its place
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
        # The first place holds the kinds of things a program keeps: it may have more words.
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
