"""Fixtures of the stack tests: the tools, and one running stack that most tests share."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from stack.native.stack import Stack, Tools, load_builder


@pytest.fixture(scope="session")
def tools() -> Tools:
    """The real programs; a machine that cannot build them says so, and CI fails there."""
    found = Tools()
    builder = load_builder()
    for name in builder.names():
        try:
            builder.ensure(name)
        except builder.MissingToolError as problem:
            message = f"the stack tests need {name}: {problem}"
            if os.environ.get("CI"):
                pytest.fail(message)
            pytest.skip(message)
    return found


@pytest.fixture(scope="session")
def stack(tools: Tools, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Everything of the compose file, running; alert events and all signals also in files."""
    with Stack(tools, tmp_path_factory.mktemp("stack"), {"EXTRA_BACKEND": "file"}) as running:
        yield running.start_all()
