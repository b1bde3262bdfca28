#!/usr/bin/env python3
"""Writes kubernetes/agent.yaml and kubernetes/gateway.yaml: the operator takes one configuration, not several files.

Usage: python collector/tools/kubernetes.py [--check]      (needs: pip install pyyaml)
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import yaml

COLLECTOR = Path(__file__).resolve().parent.parent
CONFIG = COLLECTOR / "config"
# The version that is built for the tests.
VERSION = yaml.safe_load((COLLECTOR / "builder.yaml").read_text())["dist"]["version"]
IMAGE = f"otel/opentelemetry-collector-contrib:{VERSION}"
QUEUE = "/var/lib/otelcol"
LISTEN = [{"name": name, "value": "0.0.0.0"} for name in ("OTELCOL_LISTEN", "OTELCOL_METRICS_HOST")]

TIERS: dict[str, dict[str, Any]] = {
    "agent": {
        "about": "One Collector per node: takes OTLP from the pods of the node, queues on disk, sends to the gateways.",
        "files": ["scale/agent", "scale/resolver-dns", "overlays/no-server-metrics"],
        "spec": {
            "mode": "daemonset",
            "env": [
                *LISTEN,
                {"name": "GATEWAY_ENDPOINT", "value": "dns:///redispan-gateway-collector-headless:4317"},
                {"name": "GATEWAY_HOSTNAME", "value": "redispan-gateway-collector-headless"},
            ],
            "resources": {"limits": {"memory": "512Mi"}, "requests": {"cpu": "100m", "memory": "256Mi"}},
            "volumes": [
                {"name": "queue", "hostPath": {"path": "/var/lib/redispan-otelcol", "type": "DirectoryOrCreate"}}
            ],
            "volumeMounts": [{"name": "queue", "mountPath": QUEUE}],
            # A host path belongs to root, and the queue must be writable.
            "securityContext": {"runAsUser": 0, "runAsGroup": 0, "allowPrivilegeEscalation": False},
        },
    },
    "server": {
        "about": "Asks one Redis server for its metrics, from one place. One such resource per server.",
        "files": ["scale/agent", "scale/resolver-dns"],
        "spec": {
            "mode": "deployment",
            "replicas": 1,
            "env": [
                *LISTEN,
                {"name": "GATEWAY_ENDPOINT", "value": "dns:///redispan-gateway-collector-headless:4317"},
                {"name": "GATEWAY_HOSTNAME", "value": "redispan-gateway-collector-headless"},
                {"name": "REDIS_ENDPOINT", "value": "redis:6379"},
            ],
            "resources": {"limits": {"memory": "256Mi"}, "requests": {"cpu": "50m", "memory": "128Mi"}},
            "volumes": [{"name": "queue", "emptyDir": {}}],
            "volumeMounts": [{"name": "queue", "mountPath": QUEUE}],
            "podSecurityContext": {"runAsUser": 10001, "runAsGroup": 10001, "fsGroup": 10001},
        },
    },
    "gateway": {
        "about": "The gateways: whole traces, metrics from spans, tail sampling, export. Add or change backends below.",
        "files": ["scale/gateway", "overlays/tail-sampling", "backends/jaeger", "backends/prometheus-otlp"],
        "spec": {
            "mode": "statefulset",
            "replicas": 3,
            "env": [
                *LISTEN,
                {"name": "JAEGER_OTLP_ENDPOINT", "value": "jaeger-collector:4317"},
                {"name": "PROMETHEUS_OTLP_ENDPOINT", "value": "http://prometheus:9090/api/v1/otlp"},
            ],
            "resources": {"limits": {"memory": "2Gi"}, "requests": {"cpu": "1", "memory": "1Gi"}},
            "volumeClaimTemplates": [
                {
                    "metadata": {"name": "queue"},
                    "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "10Gi"}}},
                }
            ],
            "volumeMounts": [{"name": "queue", "mountPath": QUEUE}],
            "podSecurityContext": {"runAsUser": 10001, "runAsGroup": 10001, "fsGroup": 10001},
        },
    },
}


def main() -> int:
    """Writes the files, or with --check says which ones are out of date."""
    wanted = {COLLECTOR / "kubernetes" / f"{tier}.yaml": render(tier) for tier in TIERS}
    stale = [path for path, text in wanted.items() if not path.exists() or path.read_text() != text]
    if "--check" in sys.argv:
        print(*(f"out of date: {path.name}" for path in stale), sep="\n")
        return 1 if stale else 0
    for path in stale:
        path.write_text(wanted[path])
        print(f"wrote {path.name}")
    return 0


def render(tier: str) -> str:
    """The operator's resource for one tier."""
    about = TIERS[tier]
    resource = {
        "apiVersion": "opentelemetry.io/v1beta1",
        "kind": "OpenTelemetryCollector",
        "metadata": {"name": f"redispan-{tier}"},
        "spec": {"image": IMAGE, **about["spec"], "config": configuration(about["files"])},
    }
    head = f"# {about['about']}\n# Written by collector/tools/kubernetes.py: change collector/config instead.\n"
    return head + yaml.safe_dump(resource, sort_keys=False, width=1000)


def configuration(files: list[str]) -> dict[str, Any]:
    """What the Collector makes of several files: maps are joined, lists and values replaced."""
    merged: dict[str, Any] = {}
    for file in ["base", *files]:
        merged = _merge(merged, yaml.safe_load((CONFIG / f"{file}.yaml").read_text()))
    return merged


def _merge(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    result = dict(first)
    for key, value in second.items():
        both = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = _merge(result[key], value) if both else value
    return result


if __name__ == "__main__":
    sys.exit(main())
