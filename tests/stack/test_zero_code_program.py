"""An unchanged program under `opentelemetry-instrument`, seen in every backend and dashboard of the stack."""

from __future__ import annotations

import contextlib
import json
import re
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import pytest

from redispan.settings import Settings
from stack.native.clients import Span, get_json
from stack.native.compose_file import service
from stack.native.programs import Program
from stack.native.stack import REPOSITORY, Stack
from waiting import PATIENCE_S, wait_until
from zero_code import Launcher

T = TypeVar("T")
pytestmark = [pytest.mark.stack, pytest.mark.timeout(240)]

DASHBOARDS = sorted((REPOSITORY / "collector" / "grafana" / "dashboards").glob("*.json"))
SERVICE = "shop"
SLOW_MS = Settings().slow_alert_ms
# Series that come late: the slow script and the failure are rare, rates need two samples, rules two evaluations.
LATE = (
    'job:db_client_operation_errors:rate5m{job="shop"} > 0',
    'redis_client_alerts_total{job="shop"}',
    "redis_client_alert_events_total",
    'db_client_connection_wait_time_seconds_count{job="shop"}',
    'instance_pool:db_client_connection:used_ratio{job="shop"}',
    'traces_service_graph_request_total{client="shop"}',
    "instance:redis_memory:used_ratio",
    'ALERTS{alertname="RedisClientSlowOperation",alertstate="firing"}',
)


_patience_s = [PATIENCE_S]


def eventually(look: Callable[[], T], *, what: str) -> T:
    """Wait within one time limit for the whole file: after one loss, later tests do not wait again."""
    began_s = time.monotonic()
    try:
        return wait_until(look, what, _patience_s[0], 0.1, failing=True)
    finally:
        _patience_s[0] = max(0.0, _patience_s[0] - (time.monotonic() - began_s))


@pytest.fixture(scope="module")
def shop(stack: Stack) -> Iterator[Program]:
    """Run the example program of the compose file while it serves customers."""
    command = [
        part.replace("/app/shop.py", str(REPOSITORY / "collector/example/shop.py")) for part in service("shop").command
    ]
    command[0] = sys.executable
    launcher = Launcher(stack.program_environment())
    program = Program("shop", launcher.command(*command, "--rate", "40"), stack.folder, launcher.environment())
    yield program.start()
    program.stop()


@pytest.fixture(scope="module")
def spans(stack: Stack, shop: Program) -> list[Span]:
    """Return Jaeger's spans of the program once they include a visit, a slow report and a failure."""

    def complete() -> list[Span]:
        found = stack.jaeger.spans(SERVICE)
        recorded = {span.name.split(" ")[0] for span in found}
        return found if {"visit", "GET", "MULTI", "EVAL", "LPUSH"} <= recorded else []

    found = wait_until(complete, "visit, report and failure in Jaeger", pause_s=0.2, failing=True)
    with contextlib.suppress(TimeoutError):  # each test reports what it misses
        wait_until(lambda: all(map(stack.prometheus.query, LATE)), "what comes late", pause_s=0.5, failing=True)
    return found


def children(spans: list[Span], parent: str, command: str) -> list[Span]:
    """Return the spans of a command directly below spans of a name."""
    parents = {span.span_id for span in spans if span.name == parent}
    return [span for span in spans if span.parent_id in parents and span.name.startswith(command)]


def test_trace_has_the_right_parents(spans: list[Span]) -> None:
    """Redis spans hang below the program's own spans, in one trace."""
    assert children(spans, "visit", "GET ")
    assert children(spans, "visit", "checkout")
    assert children(spans, "checkout", "MULTI ")
    assert len({span.trace_id for span in spans if span.name == "visit"}) > 1


def test_spans_follow_the_conventions(spans: list[Span], stack: Stack) -> None:
    """Name and attributes in Jaeger follow the semantic conventions."""
    port = stack.ports["redis"]
    get = children(spans, "visit", "GET ")[0]
    assert get.name == f"GET 127.0.0.1:{port}"
    wanted = {
        "db.system.name": "redis",
        "db.operation.name": "GET",
        "server.address": "127.0.0.1",
        "span.kind": "client",
    }
    assert wanted.items() <= get.attributes.items()
    assert int(get.attributes["server.port"]) == port
    assert str(get.attributes["db.namespace"]) == "0"


def test_failure_names_its_error(spans: list[Span]) -> None:
    """A command on the wrong type is an error with the server's own prefix."""
    failed = children(spans, "broken feature", "LPUSH ")[0]
    assert failed.attributes["error.type"] == "WRONGTYPE"
    assert failed.attributes["otel.status_code"] == "ERROR"


def test_slow_operation_is_marked(spans: list[Span]) -> None:
    """The slow script's span is marked as slow, and no span within the limit is."""
    slow = children(spans, "nightly report", "EVAL ")[0]
    assert slow.attributes["redis.client.operation.slow"] is True
    marked = [span for span in spans if "redis.client.operation.slow" in span.attributes]
    assert min(span.duration_ms for span in marked) >= SLOW_MS


def test_histogram_counts_operations(stack: Stack, spans: list[Span]) -> None:
    """Prometheus has the duration histogram under its translated name, with its labels."""
    metric = "db_client_operation_duration_seconds_count"
    eventually(lambda: stack.prometheus.value(f'{metric}{{job="shop",db_operation_name="GET"}}') > 20, what=metric)
    labels = stack.prometheus.labels_of(f'{metric}{{job="shop"}}')
    assert {"db_system_name", "db_operation_name", "server_address", "server_port", "job", "instance"} <= labels
    assert stack.prometheus.value(f'{metric}{{job="shop",error_type="WRONGTYPE"}}') >= 1


def test_exemplars_lead_to_traces(stack: Stack, spans: list[Span]) -> None:
    """Every exemplar on a latency graph belongs to a trace that Jaeger has."""
    exemplars = eventually(
        lambda: stack.prometheus.exemplars('db_client_operation_duration_seconds_bucket{job="shop"}'), what="exemplars"
    )
    trace_ids = {exemplar["labels"]["trace_id"] for exemplar in exemplars}
    found = eventually(lambda: [t for t in trace_ids if _in_jaeger(stack, t)], what="an exemplar's trace in Jaeger")
    assert found


def _in_jaeger(stack: Stack, trace_id: str) -> bool:
    return bool(get_json(f"{stack.jaeger.url}/api/traces/{trace_id}")["data"])


@pytest.mark.parametrize(
    "metric",
    [
        'db_client_connection_count{db_client_connection_state="used"}',
        'db_client_connection_count{db_client_connection_state="idle"}',
        "db_client_connection_max",
        "db_client_connection_pending_requests",
        "db_client_connection_create_time_seconds_count",
        "db_client_connection_wait_time_seconds_count",
        "db_client_connection_use_time_seconds_count",
    ],
)
def test_pool_metrics_arrive(metric: str, stack: Stack, spans: list[Span]) -> None:
    """Prometheus has every pool metric of the conventions, by pool name."""
    eventually(lambda: stack.prometheus.query(metric), what=metric)
    assert "db_client_connection_pool_name" in stack.prometheus.labels_of(metric)


def test_pool_limit_is_the_tuned_one(stack: Stack, spans: list[Span]) -> None:
    """The program configures no pool, and gets the tuned one with at most 50 connections."""
    samples = eventually(lambda: stack.prometheus.query('db_client_connection_max{job="shop"}'), what="pool limit")
    assert {sample["value"][1] for sample in samples} == {"50"}


def test_slow_operation_becomes_an_event(stack: Stack, spans: list[Span]) -> None:
    """The alert event leaves the Collector with its name and with the trace of the slow operation."""

    def events() -> list[dict[str, Any]]:
        return [r for r in log_records(stack) if r.get("eventName") == "redis.client.alert.slow_operation"]

    slow = {span.span_id for span in spans if span.name.startswith("EVAL ")}
    found = eventually(events, what="slow operation events")
    assert {event["spanId"] for event in found} & slow


def log_records(stack: Stack) -> Iterator[dict[str, Any]]:
    """Yield every log record that the Collector has written to its file."""
    for line in (stack.folder / "out" / "logs.jsonl").read_text().splitlines():
        for resource in json.loads(line)["resourceLogs"]:
            for scope in resource["scopeLogs"]:
                yield from scope["logRecords"]


def test_slow_operation_is_counted_and_fires(stack: Stack, spans: list[Span]) -> None:
    """The same slow operation is in redispan's counter, in the Collector's counter, and an alert in Alertmanager."""
    own = 'redis_client_alerts_total{job="shop",redis_client_alert_name="slow_operation"}'
    eventually(lambda: stack.prometheus.value(own) >= 1, what=own)
    received = 'redis_client_alert_events_total{redis_client_alert_name="slow_operation"}'
    eventually(lambda: stack.prometheus.value(received) >= 1, what=received)

    def delivered() -> list[dict[str, Any]]:
        return [
            alert
            for alert in stack.alertmanager.alerts()
            if alert["labels"]["alertname"] == "RedisClientSlowOperation" and alert["labels"]["job"] == "shop"
        ]

    assert eventually(delivered, what="the alert in Alertmanager")[0]["labels"]["severity"] == "info"


def test_a_healthy_program_raises_no_other_alert(stack: Stack, spans: list[Span]) -> None:
    """A program with only a slow script and an occasional error raises no other alert."""
    firing = {
        alert["labels"]["alertname"]
        for alert in stack.prometheus.alerts()
        if alert["labels"].get("job") == SERVICE and alert["state"] == "firing"
    }
    assert firing == {"RedisClientSlowOperation"}


def test_rules_evaluate_without_errors(stack: Stack, spans: list[Span]) -> None:
    """No rule meets series that it cannot process, such as two with the same labels."""
    groups = eventually(
        lambda: [g for g in get_json(f"{stack.prometheus.url}/api/v1/rules")["data"]["groups"] if g["lastEvaluation"]],
        what="rules",
    )
    rules = [rule for group in groups for rule in group["rules"]]
    eventually(lambda: all(rule["health"] != "unknown" for rule in rules), what="evaluated rules")
    assert [(rule["name"], rule.get("lastError")) for rule in rules if rule["health"] == "err"] == []


def dashboard_queries() -> list[Any]:
    """Return every query of every dashboard."""
    found = []
    for path in DASHBOARDS:
        for panel in json.loads(path.read_text())["panels"]:
            for target in panel.get("targets", []):
                found.append(pytest.param(target["expr"], id=f"{path.stem}: {panel['title']} {target['refId']}"))
    return found


@pytest.mark.parametrize("expression", dashboard_queries())
def test_dashboard_query_returns_data(expression: str, stack: Stack, spans: list[Span]) -> None:
    """Every dashboard query finds the program's series, so no panel is empty."""
    filled = expression.replace("$__rate_interval", "1m")
    filled = re.sub(r"\$\w+", ".*", filled)
    eventually(lambda: stack.prometheus.query(filled), what=filled)


def test_dashboard_variables_have_values(stack: Stack, spans: list[Span]) -> None:
    """The drop-down lists of the dashboards are not empty."""
    for path in DASHBOARDS:
        for variable in json.loads(path.read_text()).get("templating", {}).get("list", []):
            metric, label = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"]).groups()  # type: ignore[union-attr]
            assert label in eventually(lambda metric=metric: stack.prometheus.labels_of(metric), what=metric)


def test_service_graph_shows_redis(stack: Stack, spans: list[Span]) -> None:
    """The service graph has an edge from the program to a Redis that sends no spans itself."""
    eventually(lambda: stack.prometheus.query('traces_service_graph_request_total{client="shop"}'), what="an edge")


def test_server_metrics_carry_the_server(stack: Stack, spans: list[Span]) -> None:
    """The redis receiver's metrics belong to the server, not to the Collector."""
    samples = stack.prometheus.query("redis_maxmemory_bytes")
    assert [sample["value"][1] for sample in samples] == [str(256 * 1024 * 1024)]
    assert samples[0]["metric"]["job"] == "redis"
    assert samples[0]["metric"]["instance"] == f"127.0.0.1:{stack.ports['redis']}"


def test_collector_has_nothing_to_complain_about(stack: Stack, spans: list[Span]) -> None:
    """The Collector logs no deprecated key, no failed export and no component error while all is well."""
    lines = [json.loads(line) for line in stack.programs["otelcol"].log().splitlines() if line.startswith("{")]
    assert [line["msg"] for line in lines if line["level"] in {"warn", "error"}] == []
