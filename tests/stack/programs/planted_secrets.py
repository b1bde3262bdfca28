"""Puts a secret into every place of Redis commands where one can be: keys, values, scripts, logins, errors, names."""

from __future__ import annotations

import contextlib
import os

import redis

SECRET = os.environ["PLANTED_SECRET"]
# Those that change what the connection is for, or end the server; channels are used as a program would, below.
NOT_BY_NAME = {
    "SUBSCRIBE", "PSUBSCRIBE", "SSUBSCRIBE", "UNSUBSCRIBE", "PUNSUBSCRIBE", "SUNSUBSCRIBE",
    "MONITOR", "SYNC", "PSYNC", "QUIT", "RESET", "SHUTDOWN", "DEBUG",
}  # fmt: skip
PLACES = (1, 2, 3, 5)
# What is told of a call by design: a function's name is code, as the name of a command is.
NAMES = {"FCALL": ["function"], "FCALL_RO": ["function"]}


def main() -> None:
    """Runs every command, expecting many to fail."""
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
    every_command(client)
    channels_and_scripts()


def every_command(client: redis.Redis) -> None:
    """Each command that the server knows, with the secret in every place; few succeed, and all are told of."""
    known = {str(name).upper() for name in client.command()} - NOT_BY_NAME
    for name in sorted(known):
        for count in PLACES:
            with contextlib.suppress(redis.RedisError):
                client.execute_command(name, *NAMES.get(name, []), *[SECRET] * count)
    print(f"{len(known)} commands")


def channels_and_scripts() -> None:
    """What is no plain command: channels, and a script object."""
    client = redis.Redis.from_url(os.environ["REDIS_URL"])
    with client.pubsub() as channels:
        channels.subscribe(f"channel-{SECRET}")
        channels.psubscribe(f"channel-{SECRET}*")
        client.publish(f"channel-{SECRET}", SECRET)
        for _ in range(4):
            channels.get_message(timeout=0.2)
    client.register_script(f"return ARGV[1] == '{SECRET}'")(keys=[SECRET], args=[SECRET])


if __name__ == "__main__":
    main()
