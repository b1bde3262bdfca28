"""What redispan keeps in memory in a large program: 24 pools, 200 commands on each.

Counted are the blocks allocated by redispan's own code and still held, after a collection. What the SDK keeps for the
same series is shown beside it: any instrumentation would cause that.
"""

from __future__ import annotations

import gc
import os
import sys
import time
import tracemalloc
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import redis
from in_memory import InMemoryConnection
from states import SAMPLED, drain, redispan_on

from redispan._core.commands import COMMANDS

POOLS, COMMANDS_EACH = 24, 200
SETTLED_S = 4
"""After work, summaries for the host's reports are made for a few seconds more: they pass, and are not counted."""


def main() -> None:
    names = [name for name, info in sorted(COMMANDS.items()) if info.blocking is None][:COMMANDS_EACH]
    clients = [
        redis.Redis(
            connection_pool=redis.ConnectionPool(
                connection_class=InMemoryConnection, host="localhost", port=10_000 + number, protocol=2
            )
        )
        for number in range(POOLS)
    ]
    tracemalloc.start(1)
    with redispan_on(SAMPLED):
        for client in clients:
            for name in names:
                for _ in range(5):
                    try:
                        client.execute_command(name, "key", "value")
                    except Exception:
                        pass
        drain()
        time.sleep(SETTLED_S)
        gc.collect()
        held = tracemalloc.take_snapshot()
    for title, part in (("redispan", f"{os.sep}redispan{os.sep}"), ("SDK", f"{os.sep}opentelemetry{os.sep}")):
        size = sum(trace.size for trace in held.traces if part in trace.traceback[-1].filename)
        print(f"{title}: {size / 1e6:.2f} MB held for {POOLS} pools x {len(names)} commands")


if __name__ == "__main__":
    main()
