"""Fixtures of the stack tests: the tools, and one running stack that most tests share."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator

import pytest

from stack.native.stack import Stack, Tools, load_builder

_missing: list[str] = []

# Fixtures that start much and live long: under several workers, the tests of one go to one worker.
SHARED = ("stack", "kafka", "leaky")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Names the group of each test that shares something with others, for `--dist loadgroup`."""
    for item in items:
        if item.get_closest_marker("stack"):
            for name in set(SHARED) & set(getattr(item, "fixturenames", ())):
                item.add_marker(pytest.mark.xdist_group(name))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Builds the programs before the first test starts its clock: the first time takes a quarter of an hour."""
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
    """The real programs; a machine that cannot build them says so, and CI fails there."""
    if _missing:
        message = "the stack tests need programs that could not be built: " + "; ".join(_missing)
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return Tools()


@pytest.fixture(scope="session")
def stack(tools: Tools, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Everything of the compose file, running; alert events and all signals also in files."""
    with Stack(tools, tmp_path_factory.mktemp("stack"), {"EXTRA_BACKEND": "file"}) as running:
        yield running.start_all()
