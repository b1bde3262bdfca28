"""Facts are computed once, and no thread waits while another computes them."""

import threading
from typing import Any

from insight_data import entry, snapshot
from redispan._insight.facts import Facts
from waiting import PATIENCE_S


class Slow(dict[str, Any]):
    """A snapshot that is slow to read."""

    def __init__(self, found: dict[str, Any]) -> None:
        super().__init__(found)
        self.being_read, self.go_on = threading.Event(), threading.Event()

    def __getitem__(self, key: str) -> Any:
        if key == "endpoints":
            self.being_read.set()
            self.go_on.wait(PATIENCE_S)
        return super().__getitem__(key)


def test_a_figure_is_computed_once() -> None:
    """A figure that is read again is the same object."""
    facts = Facts(snapshot([entry() for _ in range(5)]))
    assert facts.window is facts.window
    assert facts.window.operations == 5
    assert "window" in (Facts.window.__doc__ or "")


def test_nobody_waits_for_a_report_in_the_making() -> None:
    """No reader waits for a thread that is making a report.

    Otherwise a process forked at that moment would wait for ever.
    """
    slow = Slow(snapshot([entry()]))
    making = threading.Thread(target=lambda: Facts(slow).everything, daemon=True)
    making.start()
    assert slow.being_read.wait(PATIENCE_S)
    done = threading.Event()
    asking = threading.Thread(target=lambda: (Facts(snapshot([entry()])).everything, done.set()), daemon=True)
    asking.start()
    assert done.wait(PATIENCE_S)
    slow.go_on.set()
    making.join(PATIENCE_S)
    asking.join(PATIENCE_S)
