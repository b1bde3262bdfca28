"""Which metrics and labels redispan and the Collector's components emit, under the names that Prometheus gives them.

redispan's are read off its own instruments by letting a meter create them, so that this list cannot go stale;
the components' are the ones seen in a real run, which `test_zero_code_program` repeats.
"""

from __future__ import annotations

import ast
import functools
import re
from pathlib import Path

import redispan

SOURCE = Path(redispan.__file__).parent
_INSTRUMENTS = {
    "create_counter": "counter", "create_observable_counter": "counter", "create_histogram": "histogram",
    "create_gauge": "gauge", "create_observable_gauge": "gauge", "create_up_down_counter": "gauge",
    "create_observable_up_down_counter": "gauge",
}  # fmt: skip
_UNITS = {"s": "seconds", "ms": "milliseconds", "By": "bytes"}

# Of the redis receiver, the connectors and the Collector itself.
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
def redispan_metrics() -> set[str]:
    """Prometheus names of every instrument that redispan's source creates, suffixes included."""
    names = _constants()
    found: set[str] = set()
    for path in SOURCE.rglob("*.py"):
        tree = ast.parse(path.read_text())
        for call in ast.walk(tree):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr in _INSTRUMENTS:
                found |= _of_call(call, _INSTRUMENTS[call.func.attr], names)
        found |= _of_tables(tree, names)
    return found


@functools.cache
def redispan_labels() -> set[str]:
    """Prometheus label names of every attribute whose name stands in redispan's source."""
    return {name.replace(".", "_") for name in _texts() if re.fullmatch(r"[a-z_]+(\.[a-z_]+)+", name)}


@functools.cache
def redispan_texts() -> set[str]:
    """Every dotted name in redispan's source: attributes, metrics, events."""
    return {text for text in _texts() if "." in text}


def translated(name: str, unit: str, kind: str) -> set[str]:
    """The series that Prometheus makes of a metric, as its OTLP receiver translates by default."""
    base = name.replace(".", "_")
    if unit in _UNITS:
        base += "" if base.endswith(_UNITS[unit]) else f"_{_UNITS[unit]}"
    elif unit == "1" and kind == "gauge":
        base += "_ratio"
    if kind == "histogram":
        return {f"{base}_{part}" for part in ("bucket", "count", "sum")}
    return {f"{base}_total"} if kind == "counter" else {base}


def _of_call(call: ast.Call, kind: str, names: dict[str, str]) -> set[str]:
    name = _text(call.args[0], names) if call.args else None
    unit = next((_text(k.value, names) for k in call.keywords if k.arg == "unit"), "")
    return translated(name, unit or "", kind) if name else set()


def _of_tables(tree: ast.AST, names: dict[str, str]) -> set[str]:
    # Tables of instruments: rows that hold a metric's name and a unit in braces or of the known ones.
    found: set[str] = set()
    for row in ast.walk(tree):
        if isinstance(row, (ast.Tuple, ast.Call)):
            parts = row.elts if isinstance(row, ast.Tuple) else row.args
            texts = [text for part in parts if (text := _text(part, names)) is not None]
            name = next((t for t in texts if re.fullmatch(r"(redis|db)\.[a-z_.]+", t)), None)
            unit = next((t for t in texts if re.fullmatch(r"\{\w+\}|s|By|1", t)), None)
            if name and unit:
                for kind in ("counter", "gauge", "histogram"):
                    found |= translated(name, unit, kind)
    return found


def _text(node: ast.AST, names: dict[str, str]) -> str | None:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.Attribute):
        return names.get(node.attr)
    if isinstance(node, ast.Name):
        return names.get(node.id)
    return None


def _constants() -> dict[str, str]:
    found: dict[str, str] = {}
    for path in SOURCE.rglob("*.py"):
        for node in ast.parse(path.read_text()).body:
            if (
                isinstance(node, ast.Assign)
                and isinstance(node.value, ast.Constant)
                and isinstance(node.value.value, str)
            ):
                for target in node.targets:
                    if isinstance(target, ast.Name):
                        found[target.id] = node.value.value
    return found


def _texts() -> set[str]:
    return {
        node.value
        for path in SOURCE.rglob("*.py")
        if "monitoring" not in path.parts and "cli" not in path.parts  # they only read names, they emit none
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
