"""What redispan owns in a process: one slot leads to it, and one fork hook renews it in a written order."""

import os
import re
import threading
from pathlib import Path
from typing import ClassVar

import pytest

import redispan
from redispan._core.core_runtime import CoreRuntime
from redispan._core.fork import RENEWAL_ORDER
from redispan._core.slot import SLOT
from redispan._runtime.runtime import current

SOURCE = Path(redispan.__file__).parent


class Recorded:
    """A part that records when it is renewed."""

    order: ClassVar[list["Recorded"]] = []

    def renew_in_child(self) -> None:
        """Record the renewal."""
        Recorded.order.append(self)


def test_the_source_registers_one_fork_hook() -> None:
    """The source registers a single fork hook. A second one would run in an order that is written down nowhere."""
    found = [path.name for path in SOURCE.rglob("*.py") for _ in re.findall(r"register_at_fork\(", path.read_text())]
    assert found == ["slot.py"]


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_renews_every_part_in_the_written_order() -> None:
    """A forked child renews every part in the written order.

    Neither the order of creation nor a failing part changes that.
    """
    runtime = SLOT.runtime = CoreRuntime()
    parts = {name: Recorded() for name in reversed(RENEWAL_ORDER)}
    runtime.parts.clear()
    runtime.parts.update(parts)
    parts["alerts"].renew_in_child = "no function"  # type: ignore[method-assign,assignment]
    child = os.fork()
    if child == 0:
        expected = [parts[name] for name in RENEWAL_ORDER if name != "alerts"]
        os._exit(0 if Recorded.order == expected else 1)
    vars(SLOT).pop("runtime")
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert Recorded.order == []


def test_every_part_of_a_runtime_is_in_the_order() -> None:
    """The order lists every part of a runtime. A missing part would keep its parent's locks in a child."""
    assert set(current().parts) <= set(RENEWAL_ORDER)
    with pytest.raises(AssertionError):
        current().part("unheard of", Recorded)


def test_what_was_there_before_the_instrumentation_stays() -> None:
    """A callback that a program registered first is notified of alerts of the runtime from ``instrument()``."""
    before = SLOT.runtime
    before.alerts.subscribe(print)
    before.self_metrics.add("retries")
    assert current().alerts.callbacks == [print]
    assert current().self_metrics.read("retries") == {"": 1}
    assert SLOT.runtime is current() is not before


def test_threads_that_come_together_get_one_runtime() -> None:
    """Many threads that use redispan for the first time at once get the same runtime."""
    together = threading.Barrier(8)
    found: list[CoreRuntime] = []

    def look() -> None:
        together.wait(10)
        found.append(SLOT.runtime)
        found.append(current())

    threads = [threading.Thread(target=look) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({id(one.parts) for one in found}) == 1
    assert all(one is current() for one in found[1::2] if one is not None and type(one) is not CoreRuntime)
