"""``SLOT``, which holds the runtime of this process, and the one fork hook that renews the runtime in a child.

Every package below ``_runtime`` finds the objects of the process here, such as ``SLOT.runtime.self_metrics``.
"""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from redispan._core.core_runtime import CoreRuntime


class Slot:
    """The holder of the runtime of this process.

    Attributes:
        runtime: A ``CoreRuntime``, made at its first use. It becomes a ``_runtime.Runtime`` once the process is
            instrumented or asks for a report.
        making: A lock for making the runtime.
    """

    runtime: CoreRuntime

    def __init__(self) -> None:
        self.making = threading.Lock()

    def __getattr__(self, name: str) -> CoreRuntime:
        # Python calls this only while the slot is empty.
        if name != "runtime":
            raise AttributeError(name)
        from redispan._core.core_runtime import CoreRuntime

        return self.__dict__.setdefault("runtime", CoreRuntime())  # type: ignore[no-any-return]

    def renew_in_child(self) -> None:
        """Renew the runtime in a forked child, if the parent had one."""
        self.making = threading.Lock()
        runtime = self.__dict__.get("runtime")
        if runtime is not None:
            runtime.renew_in_child()


SLOT = Slot()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=SLOT.renew_in_child)
