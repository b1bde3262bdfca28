"""How hard tests under load try: little in every run, all of it where REDISPAN_SOAK_OPERATIONS says so."""

import contextlib
import os
import sys
from collections.abc import Iterator


def operations(few: int) -> int:
    """How many operations a test does together: ``few``, or what a soak asks for."""
    return int(os.environ.get("REDISPAN_SOAK_OPERATIONS", few))


@contextlib.contextmanager
def hasty_threads() -> Iterator[None]:
    """Let threads take turns every few bytecodes' time: few operations then meet as often as many do otherwise."""
    usual_s = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        yield
    finally:
        sys.setswitchinterval(usual_s)
