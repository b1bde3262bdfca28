"""When a server is away for long, every answer is right, nothing runs twice, and the programs continue afterwards."""

from __future__ import annotations

import contextlib
import functools
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

from servers.redis_server import RedisServer, start_redis
from soak.outage_program import HANG_S, WORKERS
from soak.rows import Row, Verdict, counted

PROGRAMS = tuple(product(("plain", "redispan"), ("sync", "async")))


def rows(quick: bool) -> Iterator[Row]:
    """Yield one row for each kind of outage. Four programs run through it side by side."""
    for what, away_s in (("killed", 60), ("frozen", 60), ("killed", 120), ("frozen", 120)):
        run = functools.partial(_run, what, 8 if quick else away_s)
        yield Row("outages", f"{what} for {away_s} s", f"{WORKERS} workers in each of four programs", run)


def _run(what: str, away_s: float) -> Verdict:
    # Answered commands must still be there after a crash.
    server = start_redis(appendonly="yes", appendfsync="always")
    with contextlib.ExitStack() as clearing:
        clearing.callback(server.stop)
        programs = [clearing.enter_context(_started(number, server)) for number in range(len(PROGRAMS))]
        for program in programs:
            assert program.stdout is not None
            if program.stdout.readline() != "ready\n":
                return Verdict(False, f"a program did not start: {program.communicate()[1][-2000:]}")
        _away(server, what, away_s)
        # All get the line at once: calls that begin from now on meet a running server.
        ends = [program.communicate("back\n", timeout=HANG_S) for program in programs]
    recorded = [json.loads(out.splitlines()[-1]) if out.strip() else None for out, _ in ends]
    if None in recorded:
        return Verdict(False, f"a program broke: {[error[-1000:] for _, error in ends]}")
    return _judged(dict(zip(PROGRAMS, recorded, strict=True)))


def _away(server: RedisServer, what: str, away_s: float) -> None:
    process = server.process
    if what == "killed":
        process.kill()
        time.sleep(away_s)
        process.restart()
    else:
        process.pause()
        time.sleep(away_s)
        process.resume()
        server.call("PING")  # it has processed the commands that waited for it


def _judged(recorded: dict[tuple[str, str], Any]) -> Verdict:
    passed, said = True, []
    for (state, mode), program in recorded.items():
        before, after = program["ended"]["before its return"], program["ended"]["after"]
        failed = {how: count for how, count in before.items() if how not in ("answered", "given up")}
        late = {how: count for how, count in after.items() if how not in ("answered", "given up")}
        said.append(
            f"{state} {mode}: {before['answered'] + after['answered']:,} answered, {len(program['wrong'])} wrong or"
            f" doubled, failed meanwhile: {counted(failed) or 'none'}, after it: {counted(late) or 'none'}"
        )
        if state == "redispan":
            passed = passed and not program["wrong"] and sum(failed.values()) > 0
            # The first call after an outage may still meet an old connection, but no second call may.
            passed = passed and sum(late.values()) <= WORKERS
            said += program["wrong"][:5]
    return Verdict(passed, "; ".join(said))


@contextlib.contextmanager
def _started(number: int, server: RedisServer) -> Iterator[subprocess.Popen[str]]:
    script = Path(__file__).with_name("outage_program.py")
    command = [sys.executable, str(script), *PROGRAMS[number], str(server.port), str(number * WORKERS)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as program:
        try:
            yield program
        finally:
            program.kill()
