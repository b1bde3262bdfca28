"""Key patterns: data is folded, structure is kept, and nothing grows without bound."""

import re
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redispan._insight.key_patterns import PATTERNS_LIMIT, PatternTable, fold, text_of


@dataclass
class Count:
    number: int = 0

    def absorb(self, other: "Count") -> None:
        self.number += other.number


@pytest.mark.parametrize(
    ("key", "pattern"),
    [
        ("user:42:cart", "user:{id}:cart"),
        (b"user:42:cart", "user:{id}:cart"),
        ("user:3f2504e0-4f89-11d3-9a0c-0305e82c3301", "user:{uuid}"),
        ("etag:9e107d9d372bb6826bd81d3542a419d6", "etag:{hash}"),
        ("report:2026-11-23", "report:{date}"),
        ("shard12:items", "shard{n}:items"),
        ("mail:ada@example.org", "mail:{name}.{name}"),
        ("{user}:7", "user:{id}"),
        ("celery-task-meta-3f2504e0-4f89-11d3-9a0c-0305e82c3301", "{name}"),
        ("session:01ARZ3NDEKTSV4RRFFQ69G5FAV", "session:{ulid}"),
        ("/api/v2/items/9", "/api/v{n}/items/{id}"),
        ("", ""),
        (17, "{id}"),
    ],
)
def test_what_looks_like_data_is_folded(key: object, pattern: str) -> None:
    """Patterns never show numbers, UUIDs, hashes, dates, mail addresses or long texts.

    They do show words and separators.
    """
    if "@" in str(key):
        assert "ada" not in "".join(fold(text_of(key)))
    else:
        assert "".join(fold(text_of(key))) == pattern


@given(st.text(max_size=400) | st.binary(max_size=400))
def test_no_number_survives(key: str | bytes) -> None:
    """The pattern of any key contains no digit and is short."""
    pattern = "".join(fold(text_of(key)))
    assert not re.search(r"[0-9]", pattern)
    assert len(pattern) <= 300


@given(st.lists(st.text(alphabet="abcdefgh:/", min_size=1, max_size=30), max_size=400))
def test_the_table_is_bounded_and_counts_every_key(keys: list[str]) -> None:
    """The number of patterns is bounded for any number of different keys. Their counts add up to the keys seen."""
    table: PatternTable[Count] = PatternTable(Count)
    for key in keys:
        table.of(key).number += 1
        assert len(table.figures) <= PATTERNS_LIMIT + 1
    assert sum(count.number for count in table.figures.values()) == len(keys)


def test_names_are_learned() -> None:
    """Too many different words at one place are taken for names. The counts so far join those of the names."""
    table: PatternTable[Count] = PatternTable(Count)
    people = [f"{first}{second}" for first in "abcdefghij" for second in "klmnop"]
    for name in people:
        table.of(f"session:{name}:basket").number += 1
        table.of("config:colour").number += 1
    shown = {"".join(pattern): count.number for pattern, count in table.figures.items()}
    assert shown == {"session:{name}:basket": len(people), "config:colour": len(people)}


def test_a_flood_of_kinds_ends_in_the_overflow() -> None:
    """A program whose keys have no structure gets few patterns, not thousands."""
    table: PatternTable[Count] = PatternTable(Count)
    letters = "abcdefghijklmnopqrstuvwxyz"
    total = 0
    for first in letters:
        for second in letters:
            for third in letters[:10]:
                table.of(f"{first}{second}:{third}{second}:{second}{first}").number += 1
                total += 1
    assert len(table.figures) <= PATTERNS_LIMIT + 1
    assert sum(count.number for count in table.figures.values()) == total
    assert len(table._words) <= 4 * PATTERNS_LIMIT
