"""Query the backends over their HTTP interfaces, as a user's browser does."""

from __future__ import annotations

import json
import urllib.parse
import urllib.request
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

from waiting import PATIENCE_S


def get_json(url: str, **query: Any) -> Any:
    """Fetch a JSON document."""
    full = f"{url}?{urllib.parse.urlencode(query, doseq=True)}" if query else url
    with urllib.request.urlopen(full, timeout=PATIENCE_S) as reply:
        return json.load(reply)


def get_text(url: str) -> str:
    """Fetch a text."""
    with urllib.request.urlopen(url, timeout=PATIENCE_S) as reply:
        return str(reply.read().decode())


@dataclass(frozen=True)
class Span:
    """A span as Jaeger returns it."""

    trace_id: str
    span_id: str
    parent_id: str
    name: str
    service: str
    duration_ms: float
    attributes: dict[str, Any]


class Jaeger:
    """Read traces from Jaeger's query service."""

    def __init__(self, url: str) -> None:
        self.url = url

    def services(self) -> list[str]:
        """Return the names of all services that have sent spans."""
        return list(get_json(f"{self.url}/api/services")["data"] or [])

    def raw(self, service: str, limit: int = 1500) -> Any:
        """Return the newest traces of a service, as Jaeger's page gets them."""
        return get_json(f"{self.url}/api/traces", service=service, limit=limit, lookback="1h")

    def spans(self, service: str, limit: int = 1500) -> list[Span]:
        """Return all spans of the newest traces of a service."""
        return [_span(span, trace) for trace in self.raw(service, limit)["data"] for span in trace["spans"]]


def _span(span: Any, trace: Any) -> Span:
    parents = [reference["spanID"] for reference in span["references"] if reference["refType"] == "CHILD_OF"]
    return Span(
        trace_id=span["traceID"],
        span_id=span["spanID"],
        parent_id=parents[0] if parents else "",
        name=span["operationName"],
        service=trace["processes"][span["processID"]]["serviceName"],
        duration_ms=span["duration"] / 1000,
        attributes={tag["key"]: tag["value"] for tag in span["tags"]},
    )


class Prometheus:
    """Query metrics, exemplars, rules and alerts."""

    def __init__(self, url: str) -> None:
        self.url = url

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Return the samples of an instant query."""
        return list(get_json(f"{self.url}/api/v1/query", query=expression)["data"]["result"])

    def value(self, expression: str) -> float:
        """Return the sum over all samples of an instant query; 0 when there is none."""
        return sum(float(sample["value"][1]) for sample in self.query(expression))

    def names(self) -> set[str]:
        """Return all metric names in Prometheus."""
        return set(get_json(f"{self.url}/api/v1/label/__name__/values")["data"])

    def labels_of(self, metric: str) -> set[str]:
        """Return all label names of the metric's series."""
        return {
            label for series in get_json(f"{self.url}/api/v1/series", **{"match[]": metric})["data"] for label in series
        }

    def everything(self) -> str:
        """Return all series with their labels as one text, to search it for forbidden content."""
        return json.dumps(get_json(f"{self.url}/api/v1/series", **{"match[]": '{__name__=~".+"}'}))

    def exemplars(self, expression: str) -> list[dict[str, Any]]:
        """Return the exemplars of the last hour."""
        now = datetime.now(timezone.utc)
        found = get_json(
            f"{self.url}/api/v1/query_exemplars",
            query=expression,
            start=(now - timedelta(hours=1)).timestamp(),
            end=(now + timedelta(minutes=1)).timestamp(),
        )["data"]
        return [exemplar for series in found for exemplar in series["exemplars"]]

    def alerts(self) -> list[dict[str, Any]]:
        """Return pending and firing alerts."""
        return list(get_json(f"{self.url}/api/v1/alerts")["data"]["alerts"])


class Alertmanager:
    """Read the alerts that Alertmanager has received."""

    def __init__(self, url: str) -> None:
        self.url = url

    def alerts(self) -> list[dict[str, Any]]:
        """Return all alerts in Alertmanager."""
        return list(get_json(f"{self.url}/api/v2/alerts"))
