"""No argument of the program is in anything exported: random marked secrets in every position of every command."""

import logging
import random

import pytest
import redis

from clients import World, close, outcome_of, settle, with_clusters
from redispan._core.commands import COMMANDS
from redispan._core.slot import SLOT
from redispan.testing import TelemetryInMemory
from stress import operations

pytestmark = pytest.mark.redis

MARK = "s3cr3t"
HARMFUL = (
    "SHUTDOWN",
    "DEBUG",
    "MONITOR",
    "SUBSCRIBE",
    "PSUBSCRIBE",
    "SSUBSCRIBE",
    "REPLICAOF",
    "SLAVEOF",
    "SYNC",
    "PSYNC",
    "FAILOVER",
    "QUIT",
    "RESET",
    "CLIENT",
    "HELLO",
    "AUTH",
    "ACL",
    "CONFIG",
    "CLUSTER",
    "SAVE",
    "BGSAVE",
    "BGREWRITEAOF",
    "WAIT",
    "WAITAOF",
    "BLPOP",
    "BRPOP",
    "BLMOVE",
    "BRPOPLPUSH",
    "BLMPOP",
    "BZPOPMIN",
    "BZPOPMAX",
    "BZMPOP",
    "XREAD",
    "XREADGROUP",
    "SWAPDB",
    "MULTI",
    "EXEC",
    "DISCARD",
    "WATCH",
    "READONLY",
    "ASKING",
    "MODULE",
    "SENTINEL",
    "LATENCY",
    "SCRIPT",
    "FUNCTION",
    "UNSUBSCRIBE",
    "PUNSUBSCRIBE",
    "SUNSUBSCRIBE",
    "READWRITE",
    "REPLCONF",
    "RESTORE-ASKING",
    "PFSELFTEST",
    "PFDEBUG",
    "SELECT",
)
KEYLESS_NAMES = ("FCALL", "FCALL_RO")
"""Their first argument is a name by the conventions, and shown."""


def everything(recorded: TelemetryInMemory, caplog: pytest.LogCaptureFixture) -> str:
    """Return every text that left redispan: spans, measurements, log records and Python logging."""
    spans = "".join(span.to_json() for span in recorded.spans())
    metrics = "".join(metric.to_json() for metric in recorded.metrics().values())
    logs = "".join(repr((record.body, dict(record.attributes or {}))) for record in recorded.logs())
    ours = "".join(
        f"{record.getMessage()}{record.exc_text}{record.__dict__}"
        for record in caplog.records
        if record.name.startswith("redispan")
    )
    return spans + metrics + logs + ours


def secret(random_source: random.Random) -> object:
    """Return a marked argument of some type and shape."""
    text = f"{MARK}{random_source.randrange(10**9)}"
    return random_source.choice(
        [text, text.encode(), f"{text} with more", f"ERR {text}", f"x\r\n{text}", memoryview(text.encode())]
    )


@pytest.mark.parametrize("mode", ["hidden", "keys"])
def test_no_secret_of_any_command_is_emitted(redis_server, instrument, mode: str, caplog: pytest.LogCaptureFixture):
    """No secret in the arguments of any known command is emitted, alone and in pipelines, failing or not.

    Each command is sent in every spelling and with every number of arguments. The two are
    paired differently from one command to the next.
    """
    recorded = instrument(query_text=mode, exception_events_per_minute=100_000)
    source = random.Random(7)
    client = redis.Redis.from_url(redis_server.url, retry=None, socket_timeout=2)
    with caplog.at_level(logging.DEBUG):
        for place, name in enumerate(sorted(COMMANDS)):
            word = name.split()[0]
            if word in HARMFUL or (mode == "keys" and COMMANDS[name].keys.first):
                continue
            client_shells = (name.split(), [name], [name.encode()])
            for at, count in enumerate((0, 1, 3)):
                args = [secret(source) for _ in range(count)]
                if word in KEYLESS_NAMES and args:
                    args[0] = "function_name"
                call = client_shells[(place + at) % len(client_shells)]
                outcome_of_sync(lambda call=call, args=args: client.execute_command(*call, *args))
                if count == 0:
                    continue
                pipeline = client.pipeline(transaction=bool((place + at) % 2))
                pipeline.execute_command(name, *args)
                pipeline.execute_command(*(("GET", "k") if mode == "hidden" else ("PING",)))
                outcome_of_sync(pipeline.execute)
    client.close()
    assert len(recorded.spans()) > 500
    assert MARK not in everything(recorded, caplog)


def outcome_of_sync(call):
    """Run a call, and ignore its outcome."""
    try:
        call()
    except Exception:
        return


@with_clusters
async def test_no_secret_of_hostile_calls_is_emitted(
    world: World, recorded: TelemetryInMemory, caplog: pytest.LogCaptureFixture
):
    """No secret in place of a command, in one string, in scripts, in errors or in connection data is emitted."""
    client = world.client()
    text = f"{MARK}value"
    client_shells = (
        (f"SET k {text}",),
        (f"{text}",),
        (text, text),
        (f"{text} {text}", "x"),
        (text.encode(),),
        (f"GET {text}",),
        ("EVAL", f"return redis.error_reply('{text}')", 0),
        ("EVAL", f"error('{text}')", "0"),
        ("EVALSHA", text, 0),
        ("CONFIG GET", text),
        ("CONFIG", text),
        ("NOSUCH", text),
        ("SET", "k", "v", text),
        ("INCRBY", "k", text),
        ("AUTH", text),
        ("AUTH", "user", text),
        ("ACL", "SETUSER", text, f">{text}"),
        ("OBJECT", text, text),
        ("SCRIPT LOAD", text),
        ("FUNCTION", "LOAD", text),
        ("EXPIRE", "k", text),
        ("XADD", "s", text, text, text),
    )
    with caplog.at_level(logging.DEBUG):
        for call in client_shells:
            await outcome_of(lambda call=call: client.execute_command(*call))
            pipeline = world.pipeline(client)
            pipeline.set("k", text)
            try:
                pipeline.execute_command(*call)
                await outcome_of(pipeline.execute)
            except Exception:
                await settle(pipeline.reset())
        script = client.register_script(f"return redis.error_reply('FAIL {text}')")
        await outcome_of(lambda: script(keys=[text], args=[text]))
        if world.kind != "async-cluster":
            pubsub = client.pubsub()
            await outcome_of(lambda: pubsub.subscribe(text))
            await outcome_of(lambda: client.publish(text, text))
            await close(pubsub)
    assert len(recorded.spans()) > 20
    assert MARK not in everything(recorded, caplog)


def test_credentials_are_never_emitted(acl_server, recorded: TelemetryInMemory, caplog: pytest.LogCaptureFixture):
    """User and password of the connection, right or wrong, appear in no telemetry."""
    with caplog.at_level(logging.DEBUG):
        client = redis.Redis.from_url(acl_server.url)
        client.set("app:1", 1)
        outcome_of_sync(lambda: client.set("other", 1))
        wrong = redis.Redis(host=acl_server.host, port=acl_server.port, username="u" + MARK, password=MARK, retry=None)
        outcome_of_sync(wrong.ping)
    client.close()
    wrong.close()
    shown = everything(recorded, caplog)
    assert acl_server.password not in shown
    assert acl_server.username not in shown
    assert MARK not in shown
    assert len(recorded.spans()) == 3


def test_random_commands_stay_bounded(telemetry: TelemetryInMemory):
    """With thousands of random commands, function names and scripts, names, label sets and memory stay bounded."""
    import tracemalloc

    from redispan._client.recording import client_shells, endpoints
    from redispan._client.recording.recorder import Recorder
    from redispan._core.observing import Observers
    from redispan._telemetry import scope
    from redispan._telemetry.operation_duration import DurationObserver
    from redispan._telemetry.span_naming import Namer
    from redispan._telemetry.spans import SpanObserver

    names: set[str] = set()

    class Forgetful:
        def start_span(self, name, **_):
            from opentelemetry.trace import INVALID_SPAN

            names.add(name)
            return INVALID_SPAN

    SLOT.runtime.self_metrics.clear()
    namer = Namer(query_mode="hidden", query_limit=1024, script_names=True, old_names=False)
    recorder = Recorder(
        Observers([SpanObserver(Forgetful(), namer), DurationObserver(scope.meter_of(telemetry.meter_provider))])
    )
    endpoint = endpoints.intern("bounded.example.com", 6379, "0")
    shell = client_shells.call_shell(
        lambda self, *args: None, recorder, client_shells.of_command(recorder, lambda _: endpoint)
    )
    client, source = object(), random.Random(3)
    known = sorted(COMMANDS)

    def burst(count: int) -> None:
        for _ in range(count):
            word = source.choice(
                [
                    f"cmd{source.randrange(10**9)}",
                    source.choice(known),
                    source.choice(known).lower(),
                    "FCALL",
                    "EVALSHA",
                    f"CONFIG x{source.randrange(10**9)}",
                    f"{source.randrange(10**9)}".encode(),
                ]
            )
            first = f"{source.randrange(16**40):040x}" if word == "EVALSHA" else f"f{source.randrange(10**9)}"
            shell(client, word, first, *["v"] * source.randrange(5))

    measured = operations(24_000) // 6
    burst(5 * measured)
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    burst(measured)
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(names) < 2 * len(COMMANDS) + 1100
    assert len(telemetry.metric("db.client.operation.duration")) < 2 * len(COMMANDS) + 100
    assert after - before < 150 * measured, "less than a name and a dictionary of each"
