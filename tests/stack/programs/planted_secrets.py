"""Puts a secret into every place of Redis commands where one can be: keys, values, scripts, logins, errors, names."""

from __future__ import annotations

import contextlib
import os
import sys
import time

import redis

SECRET = os.environ["PLANTED_SECRET"]


def main() -> None:
    """Runs every command, expecting many to fail, and leaves time for the telemetry to go out."""
    client = redis.Redis.from_url(os.environ["REDIS_URL"])
    for command in (
        ("SET", f"key:{SECRET}", SECRET),
        ("SET", "key", SECRET),
        ("GET", f"key:{SECRET}"),
        ("HSET", "hash", SECRET, SECRET),
        ("AUTH", SECRET),
        ("AUTH", "user", SECRET),
        ("CONFIG", "SET", "requirepass-typo", SECRET),
        ("ACL", "SETUSER", "someone", f">{SECRET}", "wrong-rule"),
        ("EVAL", f"return '{SECRET}'", 0),
        ("EVAL", f"error('{SECRET}')", 0),
        ("EVAL", f"return redis.call('{SECRET}')", 0),
        ("EVALSHA", SECRET, 0),
        ("LPUSH", "key", SECRET),
        ("MIGRATE", "127.0.0.1", "1", "key", "0", "100", "AUTH", SECRET),
        ("PUBLISH", f"channel-{SECRET}", SECRET),
        ("XADD", "stream", "*", SECRET, SECRET),
        ("CLIENT", "SETNAME", SECRET),
        (SECRET, "argument"),
        (f"SET key {SECRET}",),
        ("GETT", SECRET),
    ):
        with contextlib.suppress(redis.RedisError):
            client.execute_command(*command)
    with contextlib.suppress(redis.RedisError), client.pipeline() as batch:
        batch.set(f"key:{SECRET}", SECRET).lpush("key", SECRET).execute()
    with contextlib.suppress(redis.RedisError):
        redis.Redis.from_url(os.environ["REDIS_URL"].replace("://", f"://user:{SECRET}@")).ping()
    time.sleep(float(sys.argv[1]))


if __name__ == "__main__":
    main()
