"""Times GET calls, as the program itself feels them, and prints the median and the 99th percentile in microseconds."""

from __future__ import annotations

import os
import sys
from time import perf_counter_ns

import redis


def main() -> None:
    """Times as many calls as asked for, after some to warm up."""
    client = redis.Redis.from_url(os.environ["REDIS_URL"])
    times_ns = []
    for _ in range(int(sys.argv[1])):
        start = perf_counter_ns()
        client.get("key")
        times_ns.append(perf_counter_ns() - start)
    kept = sorted(times_ns[500:])
    print(kept[len(kept) // 2] / 1000, kept[len(kept) * 99 // 100] / 1000)


if __name__ == "__main__":
    main()
