"""Some component emits every metric, label and event in dashboards, rules, reports and Collector files."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest
import yaml

from redispan._core.records import ALERT_NAMES
from redispan.monitoring import fleet
from stack.native.emitted_names import (
    COMPONENT_LABELS,
    COMPONENTS,
    SOURCE,
    redispan_labels,
    redispan_metrics,
    redispan_texts,
    translated,
)
from stack.native.stack import COLLECTOR_FILES, REPOSITORY

PROMQL_WORDS = {
    "sum", "by", "rate", "increase", "histogram_quantile", "max", "min", "count", "topk", "vector", "or", "and",
    "unless",
    "offset", "on", "without", "round", "label_values", "last_over_time", "timestamp", "time",
}  # fmt: skip


def recorded() -> set[str]:
    """Return the names that redispan's recording rules make."""
    rules = yaml.safe_load((REPOSITORY / "collector/prometheus/rules/recording.yml").read_text())
    return {rule["record"] for group in rules["groups"] for rule in group["rules"]}


def expressions() -> Iterator[tuple[str, str]]:
    """Yield every PromQL expression that redispan ships, with its location."""
    for path in sorted((REPOSITORY / "collector/prometheus/rules").glob("*.yml")):
        for group in yaml.safe_load(path.read_text())["groups"]:
            for rule in group["rules"]:
                yield f"{path.stem}:{rule.get('alert') or rule['record']}", rule["expr"]
    for path in sorted((REPOSITORY / "collector/grafana/dashboards").glob("*.json")):
        board = json.loads(path.read_text())
        for panel in board["panels"]:
            for target in panel.get("targets", []):
                yield f"{path.stem}:{panel['title']}:{target['refId']}", target["expr"]
        for variable in board.get("templating", {}).get("list", []):
            yield f"{path.stem}:${variable['name']}", variable["query"]
    for queries in (fleet._service_queries("5m"), fleet._server_queries("5m")):
        for name, expression in queries.items():
            yield f"fleet report:{name}", expression


def metrics_in(expression: str) -> set[str]:
    """Return the metric names in an expression."""
    bare = re.sub(r'"[^"]*"|\{[^}]*\}|\[[^\]]*\]|\b(by|without|on)\s*\([^)]*\)|\boffset \w+', " ", expression)
    bare = re.sub(r"label_values\(([\w:]+), \w+\)", r"\1", bare)
    return {word for word in re.findall(r"(?<![\w:$.])[a-zA-Z_:][\w:]*", bare) if word not in PROMQL_WORDS}


def labels_in(expression: str) -> set[str]:
    """Return the label names in an expression."""
    found = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)\s*\"", expression))
    for group in re.findall(r"\b(?:by|without|on)\s*\(([^)]*)\)", expression):
        found |= {label.strip() for label in group.split(",") if label.strip()}
    found |= set(re.findall(r"label_values\([\w:]+, (\w+)\)", expression))
    return found


@pytest.fixture(scope="module")
def known_metrics() -> set[str]:
    """Return all existing metric names."""
    return redispan_metrics() | COMPONENTS | recorded()


@pytest.mark.parametrize(("place", "expression"), [pytest.param(p, e, id=p) for p, e in expressions()])
def test_metrics_and_labels_exist(place: str, expression: str, known_metrics: set[str]) -> None:
    """Every metric and label that a panel, rule or report reads is emitted. Otherwise it would stay empty for ever."""
    assert metrics_in(expression) - known_metrics == set(), place
    assert labels_in(expression) - redispan_labels() - COMPONENT_LABELS == set(), place


@pytest.mark.parametrize(
    ("name", "unit", "kind", "series"),
    [
        ("db.client.operation.duration", "s", "histogram", "db_client_operation_duration_seconds_bucket"),
        ("redis.client.alerts", "{alert}", "counter", "redis_client_alerts_total"),
        ("redis.client.alert.state", "1", "gauge", "redis_client_alert_state_ratio"),
        ("db.client.connection.max", "{connection}", "gauge", "db_client_connection_max"),
        ("redis.memory.used", "By", "gauge", "redis_memory_used_bytes"),
    ],
)
def test_translation_is_prometheus_own(name: str, unit: str, kind: str, series: str) -> None:
    """The test's translation of names matches what the real Prometheus did."""
    assert series in translated(name, unit, kind)


def test_a_misspelt_name_is_noticed(known_metrics: set[str]) -> None:
    """A misspelt metric or label makes the comparison fail."""
    wrong = 'sum by (jobb) (rate(db_client_operation_durations_seconds_count{db_system="redis"}[5m]))'
    assert metrics_in(wrong) - known_metrics == {"db_client_operation_durations_seconds_count"}
    assert "jobb" in labels_in(wrong) - redispan_labels() - COMPONENT_LABELS


def test_collector_files_name_what_redispan_emits() -> None:
    """The Collector's files spell attributes and events as redispan spells them."""
    text = "\n".join(path.read_text() for path in COLLECTOR_FILES.rglob("*.yaml"))
    named = set(re.findall(r'attributes\["((?:redis|db|server|error)\.[a-z_.]+)"\]', text))
    named |= set(re.findall(r"(?:- name:|key:) ((?:redis|db|server|error)\.[a-z_.]+)", text))
    old_names = {"db.statement", "db.system"}
    assert named - redispan_texts() - old_names == set()
    assert {"db.system.name", "redis.client.operation.slow", "redis.client.alert.name"} <= named


def test_alert_names_are_redispans() -> None:
    """Alert names in rules and dashboards are redispan's five, and their events have the matched prefix."""
    used = {name for _, e in expressions() for name in re.findall(r'redis_client_alert_name="(\w+)"', e)}
    assert used <= set(ALERT_NAMES)
    assert "redis.client.alert." in redispan_texts()
    assert r'IsMatch(log.event_name, "^redis\\.client\\.alert\\.")' in (COLLECTOR_FILES / "base.yaml").read_text()


def test_kinds_of_dropped_telemetry_are_redispans() -> None:
    """The kinds that an alert excludes exist.

    After a rename, the alert would fire for telemetry that is dropped on purpose.
    """
    used = {
        k for _, e in expressions() for names in re.findall(r'telemetry_kind!~"([^"]+)"', e) for k in names.split("|")
    }
    source = "\n".join(path.read_text() for path in SOURCE.rglob("*.py"))
    assert used
    assert {kind for kind in used if f'dropped("{kind}"' not in source} == set()
