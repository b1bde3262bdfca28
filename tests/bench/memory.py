"""The memory that redispan uses in a large program: 24 pools, 200 commands on each.

The count covers the blocks that redispan's own code allocated and that are still held after a collection. The SDK's
memory for the same series is shown beside it, because any instrumentation would cause it.
"""

from __future__ import annotations

import gc
import json
import os
import time
import tracemalloc

from bench import chance, children

POOLS, COMMANDS_EACH = 24, 200
READING_NS = 2_000_000
"""A call takes some milliseconds, as on a network, so that the work lasts minutes and none of it is slow."""

SETTLED_S = 4
"""After work, summaries for the host's reports are made for a few seconds more: they pass, and are not counted."""


def measure() -> dict[str, float]:
    """Return the megabytes held by redispan's code, and by OpenTelemetry's."""
    held: dict[str, float] = json.loads(children.run("memory"))
    return held


def main() -> None:
    """Run the work, wait until it settles, and print the memory held."""
    from opentelemetry import trace
    from opentelemetry.sdk.trace.sampling import ALWAYS_ON

    from bench import in_memory, states
    from redispan import RedispanInstrumentor
    from redispan._core.commands import COMMANDS

    names = [name for name, info in sorted(COMMANDS.items()) if info.blocking is None][:COMMANDS_EACH]
    clients = [in_memory.client(port=10_000 + number) for number in range(POOLS)]
    states.start_sdk(ALWAYS_ON)
    tracemalloc.start(1)
    RedispanInstrumentor().instrument()
    for client in clients:
        for name in names:
            for _ in range(5):
                try:
                    client.execute_command(name, "key", "value")
                except Exception:
                    pass
    trace.get_tracer_provider().force_flush()
    time.sleep(SETTLED_S)
    gc.collect()
    held = tracemalloc.take_snapshot()
    sizes = {
        part: sum(trace.size for trace in held.traces if f"{os.sep}{part}{os.sep}" in trace.traceback[-1].filename)
        for part in ("redispan", "opentelemetry")
    }
    print(json.dumps({part: size / 1e6 for part, size in sizes.items()}), flush=True)
    os._exit(0)


if __name__ == "__main__":
    chance.stop(READING_NS)
    main()
