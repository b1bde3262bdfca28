"""The steady state of a process: warm, past redispan's detailed start phase, with no background work."""

from __future__ import annotations

import gc
import threading

from bench import in_memory
from bench.operations import Operation, Run

YOUNG_BATCHES, YOUNG_COMMANDS = 60, 50
"""More operations than redispan looks at one by one in a young process (2,000, at most 50 of a batch)."""

WARM_CALLS = 600


def warm_up(operation: Operation) -> Run:
    """Run the process past its start phase, and warm up the operation's path.

    Returns:
        A function that makes the given number of calls. Garbage collection is off from now on.

    Raises:
        RuntimeError: redispan works in the background, which would be counted as part of the calls.
    """
    client = in_memory.client()
    for _ in range(YOUNG_BATCHES):
        pipeline = client.pipeline(transaction=False)
        for _ in range(YOUNG_COMMANDS):
            pipeline.get("key:123")
        pipeline.execute()
    run = operation.make()
    run(max(4, WARM_CALLS // operation.commands))
    threads = [thread.name for thread in threading.enumerate() if "redispan" in thread.name]
    if threads:
        raise RuntimeError(f"not the calls alone would be counted: {', '.join(threads)}")
    gc.collect()
    gc.disable()
    return run
