"""The load of tests under load: little in every run, and all of it where REDISPAN_SOAK_OPERATIONS sets it."""

import contextlib
import os
import sys
from collections.abc import Iterator


def operations(few: int) -> int:
    """Return how many operations a test does in all: ``few``, or the number that a soak run sets."""
    return int(os.environ.get("REDISPAN_SOAK_OPERATIONS", few))


@contextlib.contextmanager
def hasty_threads() -> Iterator[None]:
    """Switch threads every microsecond, so that few operations collide as often as many do otherwise."""
    usual_s = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        yield
    finally:
        sys.setswitchinterval(usual_s)
