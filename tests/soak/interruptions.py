"""An interruption at any point of a call reaches the program. redispan loses nothing that redis-py keeps."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

from servers.redis_server import start_redis
from soak.rows import Row, Verdict, ask, counted

SCENARIOS = ("GET", "first call", "pipeline", "pubsub", "script")
KNOWN = Path(__file__).with_name("known_interruptions.json")
"""At how many places of each row, opcodes of whatever code, which fault shows today.

Who mends a fault lowers its number; none may rise.
"""


def rows(quick: bool) -> Iterator[Row]:
    """Yield one row for each call, sync or asyncio, and kind of interruption."""
    for scenario, mode, kind in product(SCENARIOS, ("sync", "async"), ("CtrlC", "handler")):
        run = functools.partial(_run, scenario, mode, kind, 7 if quick else 1)
        yield Row("interruptions", f"{scenario}, {mode}, {kind}", f"every {'7th ' * quick}point", run)


def _run(scenario: str, mode: str, kind: str, step: int) -> Verdict:
    server = start_redis()
    try:
        plain, ours = (
            ask("interrupted_program.py", scenario, mode, kind, state, step, server.url)
            for state in ("plain", "redispan")
        )
    finally:
        server.stop()
    found = beyond(plain, ours)
    known = json.loads(KNOWN.read_text(encoding="utf-8")).get(f"{scenario}, {mode}, {kind}", {})
    # A call is sometimes longer than another and has more places, so up to an eighth above a number is chance. None
    # stays none.
    worse = {fault: count for fault, count in found.items() if count > known.get(fault, 0) * 9 // 8}
    # If hardly any point was reached, the run proves nothing.
    reached = min(ours["points"], plain["points"]) * step > 150
    said = [f"{ours['points']:,} points (plain {plain['points']:,})", f"known faults: {counted(found) or 'none'}"]
    if worse:
        said.append(f"MORE THAN KNOWN: {counted(worse)}; at {', '.join(_places(plain, ours, worse))}")
    return Verdict(reached and not worse, "; ".join(said))


def beyond(plain: dict[str, Any], ours: dict[str, Any]) -> dict[str, int]:
    """Count the places where a fault occurs with redispan, but not with plain redis-py interrupted there."""
    counts = {fault: len(set(places) - set(plain["found"].get(fault, {}))) for fault, places in ours["found"].items()}
    return {fault: count for fault, count in counts.items() if count}


def _places(plain: dict[str, Any], ours: dict[str, Any], faults: dict[str, int]) -> list[str]:
    """List the files, lines and functions of the faults, to help find the cause."""
    new = {place for fault in faults for place in set(ours["found"][fault]) - set(plain["found"].get(fault, {}))}
    return sorted({place.rpartition(" ")[0] for place in new})[:20]
