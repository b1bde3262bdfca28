"""Metrics and labels that redispan and the Collector's components emit, under their Prometheus names.

redispan's metrics are recorded while it creates them, so this list cannot become outdated. The components' metrics are
the ones that `test_zero_code_program` finds in a real run.
"""

from __future__ import annotations

import ast
import functools
import json
import re
import subprocess
import sys
from pathlib import Path

import redispan

SOURCE = Path(redispan.__file__).parent
LISTER = Path(__file__).parent.parent / "programs" / "list_instruments.py"
_UNITS = {"s": "seconds", "ms": "milliseconds", "By": "bytes"}

# From the redis receiver, the connectors and the Collector itself.
COMPONENTS = {
    "redis_memory_used_bytes", "redis_memory_rss_bytes", "redis_maxmemory_bytes", "redis_memory_fragmentation_ratio",
    "redis_clients_connected", "redis_clients_blocked", "redis_commands_processed_total",
    "redis_cpu_time_seconds_total",
    "redis_net_input_bytes_total", "redis_net_output_bytes_total", "redis_keyspace_hits_total",
    "redis_keyspace_misses_total", "redis_keys_expired_total", "redis_keys_evicted_total",
    "redis_connections_received_total", "redis_connections_rejected_total", "redis_uptime_seconds_total",
    "redis_client_alert_events_total",
    "traces_span_metrics_calls_total", "traces_service_graph_request_total",
    *(f"otelcol_{part}_{signal}" for signal in ("spans", "metric_points", "log_records")
      for part in ("receiver_accepted", "receiver_refused", "exporter_sent", "exporter_send_failed",
                   "exporter_enqueue_failed")),
    "otelcol_exporter_queue_size", "otelcol_exporter_queue_capacity", "otelcol_process_memory_rss",
    "otelcol_process_cpu_seconds", "up", "ALERTS",
}  # fmt: skip
COMPONENT_LABELS = {
    "job", "instance", "le", "__name__", "state", "exporter", "receiver", "data_type", "client", "server",
    "service_name",
    "alertname", "alertstate", "area", "severity",
}  # fmt: skip


@functools.cache
def redispan_metrics() -> frozenset[str]:
    """Return the Prometheus names of every instrument that redispan creates, including suffixes."""
    listed = subprocess.run(
        [sys.executable, str(LISTER)], check=True, text=True, stdout=subprocess.PIPE, timeout=60
    ).stdout
    return frozenset(series for kind, name, unit in json.loads(listed) for series in translated(name, unit, kind))


@functools.cache
def redispan_labels() -> set[str]:
    """Return the Prometheus label names of every attribute whose name is in redispan's source."""
    return {name.replace(".", "_") for name in _texts() if re.fullmatch(r"[a-z_]+(\.[a-z_]+)+", name)}


@functools.cache
def redispan_texts() -> set[str]:
    """Return every dotted name in redispan's source: attributes, metrics, events."""
    return {text for text in _texts() if "." in text}


def translated(name: str, unit: str, kind: str) -> set[str]:
    """Return the series that Prometheus makes of a metric, as its OTLP receiver translates by default."""
    base = name.replace(".", "_")
    if unit in _UNITS:
        base += "" if base.endswith(_UNITS[unit]) else f"_{_UNITS[unit]}"
    elif unit == "1" and kind == "gauge":
        base += "_ratio"
    if kind == "histogram":
        return {f"{base}_{part}" for part in ("bucket", "count", "sum")}
    return {f"{base}_total"} if kind == "counter" else {base}


def _texts() -> set[str]:
    return {
        node.value
        for path in SOURCE.rglob("*.py")
        if "monitoring" not in path.parts and "cli" not in path.parts  # they only read names and emit none
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
