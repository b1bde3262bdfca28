"""The command table agrees with what a real server reports about its own commands."""

from typing import Any

import pytest

from redispan._core.commands import COMMANDS, key_arguments
from servers.redis_server import RedisServer

pytestmark = pytest.mark.redis

# The table differs from the server on purpose: scripts and transactions may write; channels and LOLWUT have no key.
OTHER_ACCESS = {"EVAL", "EVALSHA", "FCALL", "EXEC", "LOLWUT"}
CHANNELS = {"SPUBLISH", "SSUBSCRIBE", "SUNSUBSCRIBE"}
ALSO_BLOCKING = {"WAIT", "WAITAOF", "MONITOR", "SYNC", "PSYNC", "SUBSCRIBE", "PSUBSCRIBE", "SSUBSCRIBE"}


def _described(server: RedisServer) -> list[tuple[str, list[Any], int]]:
    """Return the name, description and number of words of every command and sub-command of the server."""
    found = []
    for command in server.call("COMMAND"):
        found.append((_name(command[0]), command, 1))
        found += [(_name(sub[0]), sub, 2) for sub in (command[9] if len(command) > 9 else [])]
    return found


def _name(raw: Any) -> str:
    text = raw.decode() if isinstance(raw, bytes) else str(raw)
    return text.upper().replace("|", " ")


def _flags(command: list[Any]) -> set[str]:
    return {flag.decode() if isinstance(flag, bytes) else str(flag).lstrip("+") for flag in command[2]}


def test_every_command_of_the_server_is_known(redis_server: RedisServer) -> None:
    """The table knows every command of the server, so a newer server with new commands fails here."""
    assert sorted(name for name, _, _ in _described(redis_server) if name not in COMMANDS) == []


def test_reads_and_writes_are_the_servers(redis_server: RedisServer) -> None:
    """The table and the server agree on reads and writes. A write mistaken for a read could be retried."""
    for name, command, _ in _described(redis_server):
        flags = _flags(command)
        access = "write" if "write" in flags else "read" if "readonly" in flags else "other"
        if name not in OTHER_ACCESS:
            assert COMMANDS[name].access == access, name


def test_blocking_commands_are_the_servers(redis_server: RedisServer) -> None:
    """The table marks every blocking command of the server. An unmarked one would be cut off and lose an element."""
    for name, command, _ in _described(redis_server):
        if name not in ALSO_BLOCKING:
            assert (COMMANDS[name].blocking is not None) == ("blocking" in _flags(command)), name


def test_fixed_key_positions_are_the_servers(redis_server: RedisServer) -> None:
    """The table has the server's key positions. A position off by one would show a value in mode ``keys``."""
    for name, command, words in _described(redis_server):
        if "movablekeys" in _flags(command) or name in CHANNELS:
            continue
        first, last, step = command[3:6]
        rule = COMMANDS[name].keys
        if first == 0:
            assert rule.first == 0, name
            continue
        expected = (first - words + 1, last if last < 0 else last - words + 1, step)
        assert (rule.first, rule.last, rule.step) == expected, name


@pytest.mark.parametrize(
    "call",
    [
        "ZUNIONSTORE d 2 a b WEIGHTS 1 2",
        "ZDIFF 2 a b WITHSCORES",
        "ZMPOP 2 a b MIN",
        "BZMPOP 1 2 a b MAX",
        "BLMPOP 1 1 a LEFT",
        "SINTERCARD 2 a b LIMIT 3",
        "EVAL return 2 a b v w",
        "EVALSHA 0123 1 a v",
        "FCALL f 2 a b v",
        "XREAD COUNT 2 BLOCK 1 STREAMS a b 0 0",
        "XREADGROUP GROUP STREAMS BLOCK COUNT 1 NOACK STREAMS a >",
        "SORT a BY w LIMIT 0 1 GET x GET y STORE d",
        "GEORADIUS a 1 1 5 km COUNT 1 STORE d",
        "GEORADIUSBYMEMBER a STORE 5 km STOREDIST d",
        "BITOP AND d a b",
        "MSET a 1 b 2",
        "OBJECT ENCODING a",
        "XGROUP CREATE a g $",
    ],
)
def test_movable_keys_are_the_servers(redis_server: RedisServer, call: str) -> None:
    """Where key positions depend on the arguments, redispan finds the keys that the server's own parser finds."""
    args = call.split()
    name = next(name for name in (" ".join(args[:2]), args[0]) if name in COMMANDS)
    answer = redis_server.call("COMMAND", "GETKEYS", *args)
    expected = [key.decode() if isinstance(key, bytes) else key for key in answer]
    assert list(key_arguments(COMMANDS[name], args)) == expected
