"""However many different things a program sends, redispan keeps few span names, metric series and dictionaries."""

import random
from collections.abc import Callable
from typing import Any

import pytest
import redis
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult

from redispan import RedispanInstrumentor
from redispan._client.recording import client_shells, endpoints
from redispan._core.commands import COMMANDS
from redispan._runtime.runtime import current
from redispan._semconv import errors
from redispan.testing import TelemetryInMemory
from stress import operations

CALLS = operations(10_000)
SEED = 11
KNOWN = sorted(COMMANDS)


class Listening(Sampler):
    """A sampler that records the names and samples nothing."""

    def __init__(self) -> None:
        self.names: set[str] = set()
        self.texts: set[str] = set()

    def should_sample(self, parent_context, trace_id, name, kind=None, attributes=None, *_, **__):
        self.names.add(name)
        self.texts.add(attributes.get("db.query.text", ""))
        return SamplingResult(Decision.DROP)

    def get_description(self) -> str:
        return "listening"


def anything(source: random.Random) -> tuple[Any, ...]:
    """Return a call: of a known command, of an unknown one, or of a whole line in one string."""
    noise = f"{source.randrange(10**9):x}"
    word = source.choice([source.choice(KNOWN), noise, f"{source.choice(KNOWN)} {noise}", noise.encode()])
    return (word, *(f"{noise}:{at}" for at in range(source.randrange(4))))


def test_thousands_of_random_calls() -> None:
    """Span names are those of known commands, and metric series those of known commands and few errors."""
    listening = Listening()
    telemetry = TelemetryInMemory(sampler=listening)
    RedispanInstrumentor().instrument(**telemetry.providers, exception_events=False, slow_log_ms=0, slow_alert_ms=0)
    source = random.Random(SEED)

    def answer(_client: object, *args: object) -> object:
        if source.random() < 0.1:
            raise redis.ResponseError(f"{''.join(source.choices('ABCDEF', k=6))} {args[0]!r} is not for you")
        return b"answer"

    recorder = RedispanInstrumentor()._patches._recorders[0]
    endpoint = endpoints.intern("many.example.com", 6379, "0")
    call: Callable[..., object] = client_shells.call_shell(
        answer, recorder, client_shells.of_command(recorder, lambda _: endpoint)
    )
    for _ in range(CALLS):
        try:
            call(object(), *anything(source))
        except redis.ResponseError:
            pass
    target = " many.example.com:6379"
    known = {name + target for name in COMMANDS} | {name.lower() + target for name in COMMANDS} | {"_OTHER" + target}
    assert len(listening.names) > 300
    assert listening.names - known == set()
    assert len(listening.texts) < 10 * len(COMMANDS)
    points = telemetry.metric("db.client.operation.duration")
    assert sum(point.count for point in points) == CALLS
    failed = {point.attributes["error.type"] for point in points if "error.type" in point.attributes}
    # redis-py before 8 removes ERR, so an unknown first word can't be recognised as an error prefix.
    fewest = 10 if hasattr(redis.ResponseError(""), "status_code") else 1
    assert fewest <= len(failed) <= errors._INVENTED_LIMIT + 1, "what servers make up is bounded, and the rest is one"
    telemetry.close()


def test_endpoints_beyond_the_limit_have_one_word(
    redis_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, telemetry: TelemetryInMemory
) -> None:
    """Reports, log lines and alerts use the same name for all endpoints beyond the limit."""
    monkeypatch.setattr(endpoints, "_interned", {})
    monkeypatch.setattr(endpoints, "_LIMIT", 0)
    settings = {"slow_log_ms": 0.000_001, "slow_alert_ms": 0.0, "server_probe": False}
    RedispanInstrumentor().instrument(**telemetry.providers, **settings)
    with redis.Redis.from_url(redis_url) as client:
        client.get("k")
        client.get("k")
    RedispanInstrumentor().uninstrument()
    RedispanInstrumentor().instrument(**telemetry.providers, **(settings | {"slow_log_ms": 0, "slow_alert_ms": 0.001}))
    with redis.Redis.from_url(redis_url) as client:
        client.get("k")
    assert [line.partition(" took ")[0] for line in caplog.messages if " took " in line] == [
        "redispan: GET on others"
    ] * 3
    (event,) = telemetry.events("redis.client.alert.slow_operation")
    assert event.attributes["redis.client.alert.subject"] == "others"
    assert list(current().snapshot()["endpoints"]) == ["others"]
