"""Send hand-made telemetry to a Collector and know exactly what was accepted: one JSON request, one answer."""

from __future__ import annotations

import json
import secrets
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any

from waiting import PATIENCE_S

NS_PER_MS = 1_000_000


def span(name: str, *, trace_id: str = "", duration_ms: float = 1.0, **more: Any) -> dict[str, Any]:
    """Build a span that has just ended.

    Args:
        name: Its name.
        trace_id: Its trace; a new one by default.
        duration_ms: How long it took.
        more: ``attributes``, ``status`` and other fields of the protocol.
    """
    end_ns = time.time_ns()
    attributes = more.pop("attributes", {})
    return {
        "traceId": trace_id or secrets.token_hex(16),
        "spanId": secrets.token_hex(8),
        "name": name,
        "kind": 3,
        "startTimeUnixNano": str(end_ns - int(duration_ms * NS_PER_MS)),
        "endTimeUnixNano": str(end_ns),
        "attributes": pairs(attributes),
        **more,
    }


def log_record(**fields: Any) -> dict[str, Any]:
    """Build a log record of now."""
    attributes = fields.pop("attributes", {})
    return {"timeUnixNano": str(time.time_ns()), "attributes": pairs(attributes), **fields}


def pairs(attributes: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return attributes in the form of the protocol."""
    return [{"key": key, "value": _value(value)} for key, value in attributes.items()]


def _value(value: Any) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    return {"stringValue": value}


class Source:
    """One sending program."""

    def __init__(
        self, url: str, service: str = "stand-in", *, tls: ssl.SSLContext | None = None, **headers: str
    ) -> None:
        self.url = url
        self.service = service
        self._tls = tls
        self._headers = {"Content-Type": "application/json", **headers}

    def send_spans(self, *spans: dict[str, Any], scope: str = "stand-in") -> int:
        """Send spans and return the status: 200 when the Collector has accepted them, 0 when there was no answer."""
        scopes = [{"scope": {"name": scope}, "spans": list(spans)}]
        return self._post("/v1/traces", {"resourceSpans": [{**self._resource(), "scopeSpans": scopes}]})

    def send_logs(self, *records: dict[str, Any]) -> int:
        """Send log records."""
        return self._post(
            "/v1/logs", {"resourceLogs": [{**self._resource(), "scopeLogs": [{"logRecords": list(records)}]}]}
        )

    def send_metrics(self, *metrics: dict[str, Any]) -> int:
        """Send metrics."""
        body = {"resourceMetrics": [{**self._resource(), "scopeMetrics": [{"metrics": list(metrics)}]}]}
        return self._post("/v1/metrics", body)

    def _resource(self) -> dict[str, Any]:
        return {"resource": {"attributes": pairs({"service.name": self.service, "service.instance.id": "1"})}}

    def _post(self, path: str, body: dict[str, Any]) -> int:
        request = urllib.request.Request(self.url + path, json.dumps(body).encode(), self._headers)
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE_S, context=self._tls) as reply:
                return int(reply.status)
        except urllib.error.HTTPError as refusal:
            return refusal.code
        except OSError:
            return 0
