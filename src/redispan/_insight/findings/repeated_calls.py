"""Advice to combine calls, where a monitored run sends the same command many times in a row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from redispan._insight.facts import Facts
from redispan._insight.report_figures import Finding
from redispan._insight.window import COUNT, SUM_NS
from redispan._insight.work import REPEATS_THAT_TELL

_TOGETHER = {
    "GET": "MGET",
    "SET": "MSET or a pipeline",
    "HGET": "HMGET",
    "HSET": "one HSET with a mapping",
    "SADD": "one SADD with all members",
    "LPUSH": "one LPUSH with all values",
    "RPUSH": "one RPUSH with all values",
    "ZADD": "one ZADD with a mapping",
    "SISMEMBER": "SMISMEMBER",
    "DEL": "one DEL with all keys",
    "EXISTS": "one EXISTS with all keys, or a pipeline",
}


def look(facts: Facts) -> Iterator[Finding]:
    """Advise for every run name whose runs sent the same command many times in a row."""
    for name, work in sorted(facts.snapshot["works"].items()):
        yield from look_at(name, work)


def look_at(name: str, work: Mapping[str, Any]) -> Iterator[Finding]:
    """Advise for one run name.

    Args:
        name: The name of the monitored runs.
        work: Their totals, as in a snapshot.
    """
    times, command = work["longest_repeat"]
    if times < REPEATS_THAT_TELL:
        return
    row = work["totals"].get(command)
    saved_ms = row[SUM_NS] / row[COUNT] / 1e6 * (times - 1) if row else 0.0
    yield Finding(
        "repeated_calls",
        2,
        f"{name} sends {command} {times} times in a row",
        f"about {saved_ms:.1f} ms of it are round trips that one call would save",
        f"use {_TOGETHER.get(command.upper(), 'a pipeline')}",
        {"times": times, "saved_ms": saved_ms},
    )
