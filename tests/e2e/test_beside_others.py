"""Check the README's comparison table row by row: redispan, contrib's instrumentation and redis-py's own metrics."""

import importlib.metadata
from dataclasses import dataclass
from typing import Any

import pytest

from e2e.reading import DURATION
from servers.cluster import ClusterServer
from servers.otlp_receiver import OtlpReceiver
from servers.otlp_records import ReceivedSpan
from servers.redis_server import RedisServer
from servers.sentinel import SentinelServer
from zero_code import FRAMEWORKS, Launcher

COMPARED = {"redis": "8.1.0", "opentelemetry-instrumentation-redis": "0.66b2"}

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(
        {name: importlib.metadata.version(name) for name in COMPARED} != COMPARED,
        reason="the README's table is about other versions: look at it again",
    ),
]

CURRENT_NAMES = ("db.operation.name", "error.type", "db.response.status_code")
SECRET = "078-05-1120"


@dataclass
class Programs:
    """Run the program with one of the three alone, and keep the telemetry and the result of each step."""

    launcher: Launcher
    receiver: OtlpReceiver

    def run(self, who: str, *steps: str, conventions: str = "") -> list[str]:
        """Run steps and return their results."""
        off = {"redispan": ["redis"], "contrib": ["redispan"], "native": ["redis", "redispan"]}[who]
        first = ["native"] if who == "native" else []
        finished = self.launcher.run(
            "compared.py",
            *first,
            *steps,
            variables={
                "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": ",".join([*off, *FRAMEWORKS]),
                "OTEL_SEMCONV_STABILITY_OPT_IN": conventions,
            },
        )
        assert finished.code == 0, finished.all
        return finished.out.split()[len(first) :]

    def span_of(self, word: str) -> ReceivedSpan:
        """Return the one span of this command, whichever library made it and whatever its name is."""
        (span,) = (span for span in self.receiver.spans() if word in str(self._text_of(span)).split(" ")[0])
        return span

    @staticmethod
    def _text_of(span: ReceivedSpan) -> Any:
        return span.attributes.get("db.query.text", span.attributes.get("db.statement", ""))


@pytest.fixture
def programs(
    launcher: Launcher, otlp_receiver: OtlpReceiver, cluster_server: ClusterServer, sentinel_server: SentinelServer
) -> Programs:
    """Return the program, with servers of every kind."""
    host, port = sentinel_server.sentinels[0]
    launcher.variables.update(CLUSTER_URL=cluster_server.url, SENTINEL=f"{host}:{port}")
    return Programs(launcher, otlp_receiver)


@pytest.mark.parametrize(("who", "spans"), [("redispan", 2), ("contrib", 2), ("native", 0)])
def test_a_span_per_command_and_pipeline(who: str, spans: int, programs: Programs) -> None:
    """redispan and contrib both make a span for each command and pipeline. redis-py itself makes none."""
    assert programs.run(who, "plain", "batch") == ["ok", "ok"]
    assert len(programs.receiver.spans()) == spans


@pytest.mark.parametrize(
    ("who", "conventions", "named"), [("redispan", "", True), ("contrib", "", False), ("contrib", "database", False)]
)
def test_current_names(who: str, conventions: str, named: bool, programs: Programs) -> None:
    """contrib has none of the three current names, whichever conventions are selected."""
    assert programs.run(who, "plain", "failure", conventions=conventions) == ["ok", "ResponseError"]
    span = programs.span_of("LPUSH")
    assert [name in span.attributes for name in CURRENT_NAMES] == [named] * 3


@pytest.mark.parametrize("who", ["redispan", "contrib"])
def test_the_node_that_answered(who: str, programs: Programs, cluster_server: ClusterServer) -> None:
    """In a cluster, contrib's span names no server."""
    assert programs.run(who, "cluster") == ["ok"]
    attributes = programs.span_of("SET").attributes
    owner = cluster_server.owner_of("k")
    assert attributes.get("server.port") == (owner.port if who == "redispan" else None)
    assert [name for name in attributes if name.startswith("net.")] == []


@pytest.mark.parametrize("who", ["redispan", "contrib"])
def test_the_master_that_answered(who: str, programs: Programs, sentinel_server: SentinelServer) -> None:
    """Behind a sentinel, contrib's span names a server that does not exist."""
    assert programs.run(who, "sentinel") == ["ok"]
    attributes = programs.span_of("SET").attributes
    if who == "redispan":
        assert attributes["server.port"] == attributes["network.peer.port"] == sentinel_server.master.port
    else:
        assert (attributes["net.peer.name"], attributes["net.peer.port"]) == ("localhost", 6379)


@pytest.mark.parametrize("who", ["redispan", "contrib", "native"])
def test_retries(who: str, programs: Programs) -> None:
    """contrib's span of a repeated call looks like any other span. redis-py counts the failed attempt as a failure."""
    assert programs.run(who, "retry") == ["ok"]
    if who == "native":
        points = [
            point for point in programs.receiver.points(DURATION) if point.attributes["db.operation.name"] == "GET"
        ]
        assert sorted("error.type" in point.attributes for point in points) == [False, True]
        assert any(point.attributes.get("redis.client.operation.retry_attempts") == 1 for point in points)
        return
    span = programs.span_of("GET")
    assert span.attributes.get("redis.client.operation.retries") == (1 if who == "redispan" else None)
    assert [name for name in span.attributes if "retr" in name] == (
        ["redis.client.operation.retries"] if who == "redispan" else []
    )
    assert span.events == []


@pytest.mark.parametrize("who", ["redispan", "native"])
def test_a_failing_command_is_measured(who: str, programs: Programs) -> None:
    """redis-py's histogram does not include commands that the server refuses."""
    assert programs.run(who, "plain", "failure") == ["ok", "ResponseError"]
    measured = {
        point.attributes["db.operation.name"]: point.attributes.get("error.type")
        for point in programs.receiver.points(DURATION)
    }
    assert measured == ({"SET": None, "LPUSH": "WRONGTYPE"} if who == "redispan" else {"SET": None})


@pytest.mark.parametrize("who", ["redispan", "contrib"])
def test_a_large_pipeline(who: str, programs: Programs, redis_server: RedisServer) -> None:
    """contrib names the span of a large pipeline after all 2,000 commands."""
    assert programs.run(who, "batch") == ["ok"]
    (span,) = programs.receiver.spans()
    if who == "redispan":
        assert span.name == f"PIPELINE SET 127.0.0.1:{redis_server.port}"
        assert span.attributes["db.operation.batch.size"] == 2000
    else:
        assert len(span.name) == 7999


@pytest.mark.parametrize("who", ["redispan", "contrib"])
def test_search(who: str, programs: Programs) -> None:
    """contrib records the found documents on the span with RESP2, and breaks the call with RESP3."""
    ended = programs.run(who, "search_resp2", "search_resp3")
    recorded = str([span.attributes for span in programs.receiver.spans()])
    if who == "redispan":
        assert ended == ["ok", "ok"]
        assert SECRET not in recorded
        assert "@ssn" not in recorded
    else:
        assert ended == ["ok", "KeyError"]
        assert SECRET in recorded
