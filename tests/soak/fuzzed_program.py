"""Make random calls in batches, without and with redispan in turn, and print in JSON where they differ.

Usage: python tests/soak/fuzzed_program.py sync|async PROTOCOL CALLS SEED PORT
"""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import json
import logging
import random
import re
import sys
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import redis
import redis.asyncio

import redispan
from behaviour.test_secrets import HARMFUL
from clients import close, settle
from redispan import RedispanInstrumentor
from redispan._core.commands import COMMANDS
from redispan.testing import TelemetryInMemory
from servers import resp
from soak.random_arguments import KEYS, MARK, argument, touched
from soak.rows import HANG_S

BATCH = 25
# fmt: off
NOT_TWICE_ALIKE = {
    "COMMAND", "COMMANDLOG", "EXPIRETIME", "HEXPIRETIME", "HOTKEYS", "HPEXPIRE", "HPEXPIRETIME", "HPTTL",
    "HRANDFIELD", "HTTL", "INFO", "LASTSAVE", "LOLWUT", "MEMORY", "MIGRATE", "PEXPIRE", "PEXPIRETIME", "PSETEX",
    "PTTL", "PUBSUB", "RANDOMKEY", "SLOWLOG", "SPOP", "SRANDMEMBER", "TIME", "TTL", "XAUTOCLAIM", "XCLAIM", "XINFO",
    "XPENDING", "ZRANDMEMBER",
}
SHOWN = {"FCALL", "FCALL_RO", "TFCALL", "TFCALLASYNC"}
"""Their first argument is a name by the conventions, and told."""
METHODS = (
    "append", "bitcount", "copy", "decr", "delete", "exists", "expire", "get", "getdel", "getrange", "getset", "hdel",
    "hexists", "hget", "hgetall", "hincrby", "hkeys", "hmget", "hset", "hvals", "incr", "incrbyfloat", "keys", "lindex",
    "linsert", "llen", "lpop", "lpos", "lpush", "lrange", "lset", "mget", "mset", "object", "pfadd", "pfcount",
    "publish", "rename", "rpush", "sadd", "scan", "scard", "sdiff", "set", "setex", "sinter", "sismember", "smembers",
    "sort", "strlen", "sunion", "type", "unlink", "xadd", "xlen", "xrange", "zadd", "zcard", "zincrby", "zrange",
    "zrangebyscore", "zrank", "zscore", "zunion",
)
# fmt: on
WORDS = sorted(name for name in COMMANDS if name.split()[0] not in {*HARMFUL, *NOT_TWICE_ALIKE, *SHOWN})
SCRIPTS = (
    f"return {{KEYS[1], ARGV[1], #KEYS, #ARGV}} -- {MARK}",
    f"return redis.error_reply('ERR {MARK}')",
    f"error('{MARK}')",
    "return redis.call('SET', KEYS[1], ARGV[1])",
    f"this is no script {MARK}",
)

Step = Callable[[Any], Any]
arities: dict[str, int] = {}
"""The commands that the server knows, and how many words it wants: enough calls have to succeed."""


def command(source: random.Random) -> tuple[str, Callable[[Any], Any]]:
    """Return a random call with random arguments: its name for a report, and how a client or batch makes it."""
    word: Any = source.choice(sorted(arities) if source.random() < 0.8 else WORDS)
    count = source.choice((0, 1, 1, 2, 2, 2, 3, 4, 8))
    if source.random() < 0.6:
        count = abs(arities.get(word, count + 1)) - 1
    usual = source.random() < 0.5
    makes = [argument(source, usual=usual) for _ in range(count)]
    if makes and source.random() < 0.6:
        key = source.choice(KEYS)
        makes[0] = lambda: key
    if source.random() < 0.3:
        name = source.choice(METHODS)
        return name, lambda client: getattr(client, name)(*(make() for make in makes))
    shape = source.random()
    if shape < 0.1:
        word = f"{source.choice(('NOSUCH', 'get ', 'SET '))}{MARK}{source.randrange(1000)}"
    elif shape < 0.25:
        word = source.choice((word.lower(), word.title(), word.encode(), f"{word} {MARK}"))
    words = str(word).split() if shape > 0.6 else [word]
    return repr(word), lambda client: client.execute_command(*words, *(make() for make in makes))


def step(source: random.Random) -> tuple[str, Step]:
    """Return a single command, a batch, or a script."""
    kind = source.random()
    if kind < 0.78:
        return command(source)
    if kind < 0.92:
        queued = [command(source) for _ in range(source.randrange(6))]
        transaction, raising = source.random() < 0.5, source.random() < 0.5
        return f"batch of {[name for name, _ in queued]}", lambda client: _batch(client, queued, transaction, raising)
    script = source.choice(SCRIPTS)
    keys, args = [argument(source) for _ in range(source.randrange(3))], [argument(source)]

    def run(client: Any) -> Any:
        return client.register_script(script)(keys=[make() for make in keys], args=[make() for make in args])

    return f"script {script!r}", run


async def _batch(client: Any, queued: list[tuple[str, Step]], transaction: bool, raising: bool) -> Any:
    batch = client.pipeline(transaction=transaction)
    try:
        # redis-py itself returns coroutines or results for commands that a batch runs at once.
        said = [await outcome(lambda one=one: _queue(one, batch)) for _, one in queued]
        return said, await outcome(lambda: batch.execute(raise_on_error=raising)), len(batch)
    finally:
        await settle(batch.reset())


async def _queue(one: Step, batch: Any) -> Any:
    answer = one(batch)
    return "queued" if answer is batch else await settle(answer)


async def outcome(call: Callable[[], Any]) -> tuple[Any, ...]:
    """Return everything that a caller can see of a call."""
    try:
        return "answer", shown(await settle(call()))
    except Exception as error:
        return "error", shown(error)


def shown(value: Any) -> str:
    """Return a text that is the same for the same value: exceptions by type and arguments, no addresses."""
    if isinstance(value, BaseException):
        return f"{type(value).__module__}.{type(value).__qualname__}{shown(value.args)}"
    if isinstance(value, (list, tuple)):
        return f"{type(value).__name__}({', '.join(map(shown, value))})"
    try:
        return re.sub(r" at 0x[0-9a-f]+", "", repr(value))
    except Exception:
        return f"a {type(value).__name__} that refuses"


class Comparison:
    """Run each batch both ways on the same data."""

    def __init__(self, mode: str, protocol: int, port: int) -> None:
        self.package: Any = redis.asyncio if mode == "async" else redis
        self.protocol, self.port = protocol, port
        self.outcome: dict[str, Any] = {"different": [], "leaked": [], "undecided": [], "batches": 0, "spans": 0}
        self.ended: Counter[str] = Counter()
        self.errors: set[str] = set()
        self.heard: list[str] = []
        handler = logging.Handler()
        handler.emit = lambda record: self.heard.append(f"{record.getMessage()}{record.exc_text}{record.args}")  # type: ignore[method-assign]
        for name in ("redispan", "opentelemetry"):
            logging.getLogger(name).addHandler(handler)
            logging.getLogger(name).setLevel(logging.DEBUG)
            logging.getLogger(name).propagate = False

    def compare(self, seed: str) -> None:
        """Run one batch plain and with redispan, and both once more if they differ."""
        plain, ours, leaked = self._run(seed), *self._watched(seed)
        self.outcome["batches"] += 1
        if leaked:
            self.outcome["leaked"].append(f"batch {seed}: {leaked}")
        if ours != plain:
            first = self._difference(seed, plain, ours)
            again = self._run(seed)
            # Random choices are the same in each run. Only the time of day differs.
            kind = "different" if again == plain and self._watched(seed)[0] != again else "undecided"
            self.outcome[kind].append(first)
        for kind, what in plain[:-2]:
            self.ended[kind] += 1
            if kind == "error":
                self.errors.add(what.partition("(")[0])

    def _difference(self, seed: str, plain: list[Any], ours: list[Any]) -> str:
        names = [name for name, _ in self._plan(seed)]
        pairs = zip([*names, "data", "questions put to arguments"], plain, ours, strict=True)
        name, theirs, mine = next(pair for pair in pairs if pair[1] != pair[2])
        return f"batch {seed}: {name}: {str(mine)[:300]} instead of {str(theirs)[:300]}"

    def _plan(self, seed: str) -> list[tuple[str, Step]]:
        source = random.Random(seed)
        return [step(source) for _ in range(BATCH)]

    def _run(self, seed: str) -> list[Any]:
        source = random.Random(seed + "options")
        options = {"decode_responses": source.random() < 0.5}
        if source.random() < 0.5:
            options["socket_timeout"] = 30  # the tuned pool leaves the program's own setting alone
        self._call(("FLUSHALL",), ("SCRIPT", "FLUSH"), ("SET", KEYS[0], "text"), ("SET", KEYS[1], "41"))
        self._call(("RPUSH", KEYS[2], 1, 2, 3), ("HSET", KEYS[3], "f", 1), ("SADD", KEYS[4], "a"))
        self._call(("ZADD", KEYS[5], 1, "a", 2, "b"), ("XADD", KEYS[6], "1-1", "f", "v"))
        touched.clear()
        said = asyncio.run(self._calls(seed, options))
        keys = sorted(self._call(("KEYS", "*"))[0])
        data = list(zip(keys, self._call(*(("DUMP", key) for key in keys)), strict=True))
        return [*said, data, sorted(touched.items())]

    async def _calls(self, seed: str, options: dict[str, Any]) -> list[Any]:
        client = self.package.Redis(host="127.0.0.1", port=self.port, protocol=self.protocol, **options)
        try:
            return [await outcome(lambda one=one: one(client)) for _, one in self._plan(seed)]
        finally:
            await close(client)

    def _watched(self, seed: str) -> tuple[list[Any], str]:
        self.heard.clear()
        with contextlib.closing(TelemetryInMemory()) as telemetry:
            # server_probe off: it queries the server from a separate thread, at separate times.
            RedispanInstrumentor().instrument(
                **telemetry.providers, host_sharing=False, server_probe=False, exception_events_per_minute=10**6
            )
            try:
                ours = self._run(seed)
                texts = {
                    "span": "".join(span.to_json() for span in telemetry.spans()),
                    "metric": "".join(metric.to_json() for metric in telemetry.metrics().values()),
                    "event": "".join(repr((one.body, dict(one.attributes or {}))) for one in telemetry.logs()),
                    "log line": "".join(self.heard),
                    "report": f"{redispan.performance_report(scope='process')}{redispan.health_report(scope='process')}"
                    f"{redispan.cache_patterns_report(scope='process')}"
                    f"{redispan.connection_pool_report(scope='process')}",
                }
                self.outcome["spans"] += len(telemetry.spans())
            finally:
                RedispanInstrumentor().uninstrument()
        leaks = [
            f"{where}: ...{text[max(0, text.index(MARK) - 150) :][:300]}"
            for where, text in texts.items()
            if MARK in text
        ]
        return ours, "; ".join(leaks)

    def _call(self, *commands: tuple[Any, ...]) -> list[Any]:
        return resp.call(("127.0.0.1", self.port), *commands) if commands else []


def _around(text: str) -> str:
    at = text.index(MARK)
    return text[max(0, at - 150) : at + 150]


def main(mode: str, protocol: str, calls: str, seed: str, port: str) -> None:
    """Compare batch after batch."""
    faulthandler.dump_traceback_later(HANG_S, exit=True)
    warnings.simplefilter("ignore")  # coroutines of batches that redis-py never awaits, and deprecated methods
    (known,) = resp.call(("127.0.0.1", int(port)), ("COMMAND",))
    arities.update({row[0].upper(): row[1] for row in known if row[0].upper() in WORDS})
    comparison = Comparison(mode, int(protocol), int(port))
    for number in range(int(calls) // BATCH):
        comparison.compare(f"{seed}-{number}")
    ended = {"answered": comparison.ended["answer"], "failed": comparison.ended["error"]}
    print(json.dumps({**comparison.outcome, **ended, "errors": len(comparison.errors)}))


if __name__ == "__main__":
    main(*sys.argv[1:])
