"""A hundred thousand operations over a network that fails at random, on four versions of redis-py."""

from __future__ import annotations

import dataclasses
import functools
import os
import re
import sys
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from unittest import mock

import matrix
from soak.rows import Row, Verdict

TEST = "tests/behaviour/test_pool_faulty_network.py"
ENVIRONMENTS = ("redis-8-plain", "redis-7", "redis-6", "redis-5.3")
"""Of the matrix: with and without hiredis, each major version."""


def rows(quick: bool) -> Iterator[Row]:
    """Yield one row for each version, way to build a client, and sync or asyncio."""
    jobs = {job.name: job for job in matrix.JOBS}
    operations = 1_600 if quick else 100_000
    for name, built, mode in product(ENVIRONMENTS, ("Redis", "from_url"), ("sync", "async")):
        what = f"{' '.join(jobs[name].pins)}, {built}, {mode}"
        job = dataclasses.replace(jobs[name], name=f"soak-{name}-{built}-{mode}", files=(TEST,), skips=False)
        run = functools.partial(_run, job, f"{built}-{mode}", operations)
        yield Row("faulty-network", what, f"{operations:,} operations", run)


def _run(job: matrix.Job, test: str, operations: int) -> Verdict:
    chosen = {"REDISPAN_FAULTY_OPERATIONS": str(operations), "PYTEST_ADDOPTS": f"-rP -k {test}"}
    with mock.patch.dict(os.environ, chosen):
        outcome = matrix.run(job, Path(sys.executable))
    text = outcome.log.read_text(encoding="utf-8", errors="replace")
    ended = re.findall(r"^ended: \{(.*)\}$", text, re.MULTILINE)
    # A test that did not run, or did not report how its operations ended, proves nothing.
    passed = outcome.passed and len(ended) == 1
    return Verdict(passed, ended[0].replace("'", "") if passed else f"{outcome.summary}; its log: {outcome.log.name}")
