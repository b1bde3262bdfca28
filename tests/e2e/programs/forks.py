"""A program that uses Redis, forks, and goes on in all processes: a server that warms its cache before its workers."""

# requests, which exports, imports netrc on first use; a fork in that moment leaves the import locked in the child,
# with any instrumentation or none.
import netrc  # noqa: F401
import os
import sys
import time

import redis

client = redis.Redis.from_url(os.environ["REDIS_URL"])
before, after, children = map(int, sys.argv[1:])

for _ in range(before):
    client.incr("before")

started = []
for _ in range(children):
    child = os.fork()
    if child == 0:
        for _ in range(after):
            client.hincrby("after", "count")
        time.sleep(60)  # like a worker, until it is ended from outside
        os._exit(0)
    started.append(child)

for child in started:
    os.waitpid(child, 0)
