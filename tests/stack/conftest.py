"""Fixtures of the stack tests: the tools, and one running stack that most tests share."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from stack.native.stack import Stack, Tools, load_builder

_missing: list[str] = []

# Tests that share a slow fixture, by the beginning of their names: they run on one worker.
TOGETHER = {
    "stack": (
        "test_alerts_arrive.py",
        "test_compose_file.py::test_health_checks_ask_what_is_answered",
        "test_kubernetes.py::test_a_program_is_instrumented",
        "test_program_is_safe.py",
        "test_zero_code_program.py",
    ),
    "kafka": ("test_kafka_tier.py",),
    "leaky": ("test_leaks.py",),
}


# Not `--dist loadgroup`: pytest-xdist 3.8 groups nothing under pytest 9.2, and does not report it.
@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Hand out every test separately, except the tests of one group. The largest group comes first."""
    from xdist.scheduler import LoadScopeScheduling

    class ByWhatIsShared(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            name = nodeid.removeprefix("tests/stack/")
            return next((group for group, begins in TOGETHER.items() if name.startswith(begins)), nodeid)

    return ByWhatIsShared(config, log)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Build the programs before the first test starts its clock: the first build takes a quarter of an hour."""
    if session.config.option.collectonly or not any(item.get_closest_marker("stack") for item in session.items):
        return
    builder = load_builder()
    for name in builder.names():
        if builder.path_of(name).exists():
            continue
        print(f"\nbuilding {name} for the stack tests ...", end="", file=sys.stderr, flush=True)
        started = time.monotonic()
        try:
            builder.ensure(name)
        except Exception as problem:
            _missing.append(f"{name}: {problem}")
        print(f" {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)


@pytest.fixture(scope="session")
def tools() -> Tools:
    """Return the real programs. A machine that cannot build them reports it, and CI fails there."""
    if _missing:
        message = "the stack tests need programs that could not be built: " + "; ".join(_missing)
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return Tools()


@pytest.fixture(scope="session")
def stack(tools: Tools, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Run every program of the compose file. Alert events and all signals are also written to files."""
    with Stack(tools, tmp_path_factory.mktemp("stack"), {"EXTRA_BACKEND": "file"}) as running:
        yield running.start_all()
