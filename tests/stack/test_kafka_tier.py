"""A real Kafka broker between agents and gateways carries all signals and bridges an outage of every gateway."""

from __future__ import annotations

import secrets
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from servers.otlp_receiver import OtlpReceiver
from stack.native.collector import Collector
from stack.native.kafka import Kafka
from stack.native.otlp_source import Source, log_record, span
from stack.native.programs import eventually
from stack.native.stack import Tools

pytestmark = [pytest.mark.stack, pytest.mark.timeout(240)]

AGENT = ["scale/no-derived", "backends/kafka"]
GATEWAY = ["scale/gateway", "scale/from-kafka", "backends/otlp-http"]


@pytest.fixture(scope="module")
def kafka(tools: Tools, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    """Start one broker for this file. Each test has separate topics."""
    with Kafka(tools, tmp_path_factory.mktemp("kafka")) as running:
        yield running


def test_what_was_sent_while_no_gateway_ran_arrives(kafka: Kafka, tools: Tools, tmp_path: Path) -> None:
    """The agent's telemetry waits in Kafka.

    The first gateway that starts exports all of it, and only the gateway counts it.
    """
    topics = {"KAFKA_BROKERS": kafka.address, "KAFKA_TOPIC_PREFIX": "waiting"}
    with OtlpReceiver() as sink, Collector(tools, tmp_path, AGENT, topics, name="agent") as agent:
        source = Source(agent.url)
        names = [f"n{number}" for number in range(500)]
        assert source.send_spans(*(span(name) for name in names)) == 200
        assert source.send_logs(log_record(eventName="redis.client.alert.error_rate")) == 200
        with Collector(tools, tmp_path, GATEWAY, {**topics, "OTLP_HTTP_ENDPOINT": sink.endpoint}, name="gateway"):
            sink.wait_for(lambda r: r.span_names().keys() >= set(names), "all spans")
            sink.wait_for(lambda r: [log for log in r.logs() if log.event_name], "the alert event")
            # Send twice, so that a count made by the agent would have had time to arrive here too.
            for times in (1, 2):
                for name in ("redis.client.alert.events", "traces.span.metrics.calls"):
                    sink.wait_for(
                        lambda r, name=name, times=times: max(_counts(r, name).values(), default=0) >= times, name
                    )
                if times == 1:
                    assert source.send_spans(span("n0")) == 200
                    assert source.send_logs(log_record(eventName="redis.client.alert.error_rate")) == 200
            for name in ("redis.client.alert.events", "traces.span.metrics.calls"):
                assert len(_counts(sink, name)) == 1, f"{name} is counted by agent and gateway"


def test_two_gateways_share_the_traces(kafka: Kafka, tools: Tools, tmp_path: Path) -> None:
    """Both gateways get work, and no trace is split between them although its spans were sent separately."""
    topics = {"KAFKA_BROKERS": kafka.address, "KAFKA_TOPIC_PREFIX": "shared"}
    with OtlpReceiver() as one, OtlpReceiver() as two:
        sinks = [one, two]
        with (
            Collector(tools, tmp_path, AGENT, topics, name="agent") as agent,
            Collector(tools, tmp_path, GATEWAY, {**topics, "OTLP_HTTP_ENDPOINT": one.endpoint}, name="gateway1"),
            Collector(tools, tmp_path, GATEWAY, {**topics, "OTLP_HTTP_ENDPOINT": two.endpoint}, name="gateway2"),
        ):
            source = Source(agent.url)

            def both_work() -> bool:
                # Until both have joined the group, one of them reads everything.
                source.send_spans(*(span("warm-up") for _ in range(20)))
                return all(sink.span_names()["warm-up"] for sink in sinks)

            eventually(both_work, what="both gateways at work", pause_s=0.5)
            trace_ids = [secrets.token_hex(16) for _ in range(50)]
            for part in range(4):
                assert source.send_spans(*(span(f"part{part}", trace_id=trace_id) for trace_id in trace_ids)) == 200
            eventually(
                lambda: sum(sink.span_names()[f"part{part}"] for sink in sinks for part in range(4)) >= 200,
                what="all spans",
            )  # fmt: skip
        seen = defaultdict(set)
        for number, sink in enumerate(sinks):
            for arrived in sink.spans():
                if arrived.name.startswith("part"):
                    seen[arrived.trace_id].add(number)
        assert len(seen) == 50
        assert all(len(numbers) == 1 for numbers in seen.values())


def _counts(sink: OtlpReceiver, name: str) -> dict[int, int]:
    """Return the highest value of a metric by start time. Two Collectors that count have two start times."""
    found: dict[int, int] = {}
    for point in sink.points(name, latest=False):
        if {"n0", "error_rate"} & set(map(str, point.attributes.values())):
            found[point.start_ns] = max(found.get(point.start_ns, 0), int(point.value))
    return found
