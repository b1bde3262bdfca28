"""Run the tests that have a small version every day at full size: stress of the units, and property tests."""

from __future__ import annotations

import functools
import os
import re
import subprocess
import sys
from collections.abc import Iterator

from soak.rows import HANG_S, ROOT, Row, Verdict

OPERATIONS = 1_000_000
PROPERTIES = ("tests/unit", "tests/behaviour")


def rows(quick: bool) -> Iterator[Row]:
    """The stress tests, and the property tests."""
    if not quick:
        # The tests that read their size from tests/stress.py.
        trying = [
            str(path) for path in (ROOT / "tests/unit").rglob("test_*.py") if "from stress import" in path.read_text()
        ]
        run = functools.partial(_pytest, {"REDISPAN_SOAK_OPERATIONS": str(OPERATIONS)}, *sorted(trying))
        yield Row("full-size", "tests under load", f"{OPERATIONS:,} operations", run)
    profile = "default" if quick else "thorough"
    run = functools.partial(_pytest, {"HYPOTHESIS_PROFILE": profile}, "-m", "hypothesis", *PROPERTIES)
    yield Row("full-size", "property tests", f"hypothesis profile {profile}", run)


def _pytest(environment: dict[str, str], *arguments: str) -> Verdict:
    command = [sys.executable, "-m", "pytest", "-q", "--timeout", str(HANG_S // 2), *arguments]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=HANG_S,
    )
    lines = done.stdout.splitlines()
    failures = [line for line in lines if line.startswith(("FAILED ", "ERROR "))]
    summary = re.sub(r" in [\d.]+s.*", "", lines[-1]).strip("= ") if lines else done.stderr[-500:]
    return Verdict(done.returncode == 0, "; ".join([summary, *failures]))
