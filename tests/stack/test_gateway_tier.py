"""Agents send all spans of a trace to the same gateway, whichever agent received them."""

from __future__ import annotations

import secrets
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from servers.otlp_receiver import OtlpReceiver
from stack.native.collector import Collector
from stack.native.otlp_source import Source, log_record, span
from stack.native.programs import eventually
from stack.native.stack import Tools

pytestmark = [pytest.mark.stack, pytest.mark.timeout(180)]

TRACES = 60
SPANS_PER_TRACE = 6
# The test is about the retry, not about the time before it.
SOON = {"exporters::load_balancing::retry_on_failure::max_interval": "1s"}
# What the gateways count from spans and alert events.
COUNTED = {"traces.span.metrics.calls", "traces_service_graph_request_total", "redis.client.alert.events"}


@dataclass
class Fleet:
    """Two agents, two gateways, and what each gateway's backend holds."""

    agents: list[Collector]
    gateways: list[Collector]
    sinks: list[OtlpReceiver]

    def sinks_of_traces(self) -> dict[str, set[int]]:
        """Return, for every trace, the numbers of the gateways that have seen some of it."""
        found = defaultdict(set)
        for number, sink in enumerate(self.sinks):
            for one in sink.spans():
                found[one.trace_id].add(number)
        return found


@pytest.fixture
def fleet(tools: Tools, tmp_path: Path) -> Iterator[Fleet]:
    """Start five processes as in production, each with the shipped files."""
    with ExitStack() as running:
        sinks = [running.enter_context(OtlpReceiver()) for _ in range(2)]
        gateways = [
            running.enter_context(
                Collector(
                    tools,
                    tmp_path,
                    ["scale/gateway", "backends/otlp-http"],
                    {"OTLP_HTTP_ENDPOINT": sink.endpoint},
                    name=f"gw{i}",
                )
            )
            for i, sink in enumerate(sinks)
        ]
        addresses = {
            "GATEWAYS": "[" + ", ".join(gateway.grpc_address for gateway in gateways) + "]",
            "GATEWAY_ENDPOINT": gateways[0].grpc_address,
        }
        agents = [
            running.enter_context(
                Collector(tools, tmp_path, ["scale/agent", "scale/resolver-static"], addresses, SOON, name=f"agent{i}")
            )
            for i in range(2)
        ]
        yield Fleet(agents, gateways, sinks)


def test_all_spans_of_a_trace_reach_one_gateway(fleet: Fleet) -> None:
    """Spans of one trace, sent at different times through different agents, reach one gateway.

    Both gateways get work.
    """
    sources = [Source(agent.url) for agent in fleet.agents]
    trace_ids = [secrets.token_hex(16) for _ in range(TRACES)]
    for part in range(SPANS_PER_TRACE):
        spans = [span(f"part{part}", trace_id=trace_id) for trace_id in trace_ids]
        assert sources[part % 2].send_spans(*spans) == 200
    eventually(
        lambda: sum(sum(sink.span_names().values()) for sink in fleet.sinks) >= TRACES * SPANS_PER_TRACE,
        what="all spans",
    )
    seen = fleet.sinks_of_traces()
    assert len(seen) == TRACES
    assert all(len(numbers) == 1 for numbers in seen.values()), "a trace is split over gateways"
    assert {number for numbers in seen.values() for number in numbers} == {0, 1}


def test_gateways_derive_metrics_and_agents_do_not(fleet: Fleet) -> None:
    """Only the gateways derive metrics from spans and alerts, because only they see whole traces."""
    source = Source(fleet.agents[0].url)
    source.send_spans(span("GET r:6379", attributes={"db.system.name": "redis"}))
    source.send_logs(log_record(eventName="redis.client.alert.anomaly"))
    everything = fleet.sinks

    def values(name: str) -> list[int]:
        return [int(point.value) for sink in everything for point in sink.points(name)]

    for name in ("traces.span.metrics.calls", "redis.client.alert.events"):
        eventually(lambda name=name: max(values(name), default=0) >= 1, what=name)
        assert max(values(name)) == 1, f"{name} is counted by more than one tier"


def test_gateways_do_not_write_the_same_series(fleet: Fleet) -> None:
    """The counts of both gateways for one service are two series. As one series, its value would jump to and fro."""
    source = Source(fleet.agents[0].url)

    def both_count() -> bool:
        for _ in range(20):
            trace_id = secrets.token_hex(16)
            visit = span("visit", trace_id=trace_id) | {"kind": 2}
            get = span("GET r:6379", trace_id=trace_id, attributes={"db.system.name": "redis"})
            source.send_spans(visit, get | {"parentSpanId": visit["spanId"]})
        for gateway in fleet.gateways:  # a name service would spread the events; here the agents know one address
            Source(gateway.url).send_logs(log_record(eventName="redis.client.alert.anomaly"))
        return all({name for name, _ in series_in(sink)} >= COUNTED for sink in fleet.sinks)

    eventually(both_count, what="metrics of both gateways", pause_s=0.5)
    one, other = (series_in(sink) for sink in fleet.sinks)
    assert {name for name, _ in one & other if name in COUNTED} == set()


def series_in(sink: OtlpReceiver) -> set[tuple[str, str]]:
    """Return name and attributes, including the resource's, of all counters in a sink."""
    return {
        (point.metric, str(sorted([*point.resource.items(), *point.attributes.items()], key=str)))
        for point in sink.points()
        if point.kind == "sum"
    }


def test_a_gateway_that_leaves_loses_nothing(fleet: Fleet) -> None:
    """While one gateway is gone, its agents keep its spans, and deliver them when it is back."""
    source = Source(fleet.agents[0].url)
    fleet.gateways[1].program.kill()
    for batch in range(5):
        assert source.send_spans(*(span(f"n{batch}.{i}") for i in range(20))) == 200
    fleet.gateways[1].start()
    eventually(
        lambda: (
            sum((sink.span_names() for sink in fleet.sinks), start=fleet.sinks[0].span_names()).keys()
            >= {f"n{batch}.{i}" for batch in range(5) for i in range(20)}
        ),
        what="every accepted span",
    )


def test_gateways_are_found_by_name(tools: Tools, tmp_path: Path) -> None:
    """The agent finds the gateways by the name service, as in Kubernetes. Here there is one gateway."""
    with (
        OtlpReceiver() as sink,
        Collector(
            tools,
            tmp_path,
            ["scale/gateway", "backends/otlp-http"],
            {"OTLP_HTTP_ENDPOINT": sink.endpoint},
            name="gateway",
        ) as gateway,
    ):
        found = {"GATEWAY_HOSTNAME": "localhost", "GATEWAY_PORT": gateway.grpc_address.split(":")[1]}
        found["GATEWAY_ENDPOINT"] = f"dns:///localhost:{found['GATEWAY_PORT']}"
        with Collector(tools, tmp_path, ["scale/agent", "scale/resolver-dns"], found, name="agent") as agent:
            source = Source(agent.url)
            # If the name also resolves to ::1, where no gateway listens, some traces have to wait.
            assert source.send_spans(*(span(f"n{number}") for number in range(30))) == 200
            assert source.send_logs(log_record(eventName="redis.client.alert.anomaly")) == 200
            sink.wait_for(lambda r: r.span_names(), "spans by name")
            sink.wait_for(lambda r: r.logs(), "log records by name")
