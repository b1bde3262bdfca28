"""Random calls give the same answers, errors and data with and without redispan. No telemetry has an argument."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from itertools import product

from servers.redis_server import start_redis
from soak.rows import Row, Verdict, ask

SHARE_UNDECIDED = 0.005
"""So many batches may come out differently once and not again, as where a key expires between two calls."""


def rows(quick: bool) -> Iterator[Row]:
    """Yield one row for each mode and protocol, together 50,000 calls."""
    calls = 500 if quick else 12_500
    for seed, (mode, protocol) in enumerate(product(("sync", "async"), (2, 3)), 1):
        run = functools.partial(_run, mode, protocol, calls, seed)
        yield Row("fuzzing", f"{mode}, RESP{protocol}", f"{calls:,} calls", run)


def _run(mode: str, protocol: int, calls: int, seed: int) -> Verdict:
    server = start_redis()
    try:
        recorded = ask("fuzzed_program.py", mode, protocol, calls, seed, server.port)
    finally:
        server.stop()
    said = [
        f"{recorded['answered']:,} answered, {recorded['failed']:,} failed with "
        f"{recorded['errors']} kinds of exception",
        f"{len(recorded['different'])} different, {len(recorded['leaked'])} told an argument",
        f"{recorded['spans']:,} spans looked through",
    ]
    if recorded["undecided"]:
        said.append(f"{len(recorded['undecided'])} of {recorded['batches']:,} batches differed once, and not again")
    said += [
        f"{kind}, seed {seed}, {example}"
        for kind in ("different", "leaked", "undecided")
        for example in recorded[kind][:3]
    ]
    # A run in which hardly any call was answered, or none failed, would compare nothing.
    fair = min(recorded["answered"], recorded["failed"]) > calls / 20 and recorded["spans"] > calls / 2
    right = (
        not recorded["different"]
        and not recorded["leaked"]
        and len(recorded["undecided"]) <= SHARE_UNDECIDED * recorded["batches"]
    )
    return Verdict(fair and right, "; ".join(said))
