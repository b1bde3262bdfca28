#!/usr/bin/env python3
"""Writes config/backends/vendor-*.yaml: one template, because every vendor here takes OTLP over HTTP.

Usage: python collector/tools/vendors.py [--check]
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path

BACKENDS = Path(__file__).resolve().parent.parent / "config" / "backends"


@dataclass(frozen=True)
class Vendor:
    """What differs from one vendor to the next."""

    name: str
    title: str
    endpoints: dict[str, str]
    headers: dict[str, str]
    signals: tuple[str, ...] = ("traces", "metrics", "logs")
    wants_delta: bool = False
    notes: list[str] = field(default_factory=list)


VENDORS = [
    Vendor(
        "grafana-cloud",
        "Grafana Cloud",
        {"endpoint": "https://otlp-gateway-${env:GRAFANA_CLOUD_ZONE:-prod-eu-west-0}.grafana.net/otlp"},
        {"Authorization": "Basic ${env:GRAFANA_CLOUD_BASIC}"},
        notes=["GRAFANA_CLOUD_BASIC is base64 of 'instance id:token'."],
    ),
    Vendor(
        "honeycomb",
        "Honeycomb",
        {"endpoint": "${env:HONEYCOMB_ENDPOINT:-https://api.honeycomb.io}"},
        {
            "x-honeycomb-team": "${env:HONEYCOMB_API_KEY}",
            "x-honeycomb-dataset": "${env:HONEYCOMB_METRICS_DATASET:-redis}",
        },
        notes=["The dataset header matters for metrics only; traces and logs are sorted by service.name."],
    ),
    Vendor(
        "new-relic",
        "New Relic",
        {"endpoint": "${env:NEW_RELIC_ENDPOINT:-https://otlp.nr-data.net}"},
        {"api-key": "${env:NEW_RELIC_LICENSE_KEY}"},
    ),
    Vendor(
        "dynatrace",
        "Dynatrace",
        {"endpoint": "https://${env:DYNATRACE_ENVIRONMENT:-unset}.live.dynatrace.com/api/v2/otlp"},
        {"Authorization": "Api-Token ${env:DYNATRACE_API_TOKEN}"},
        wants_delta=True,
        notes=["Takes delta metrics only."],
    ),
    Vendor(
        "datadog",
        "Datadog (OTLP intake)",
        {
            "traces_endpoint": "https://otlp.${env:DD_SITE:-datadoghq.com}/v1/traces",
            "metrics_endpoint": "https://otlp.${env:DD_SITE:-datadoghq.com}/v1/metrics",
            "logs_endpoint": "https://otlp.${env:DD_SITE:-datadoghq.com}/v1/logs",
        },
        {"dd-api-key": "${env:DD_API_KEY}", "dd-protocol": "otlp", "dd-otlp-source": "${env:DD_OTLP_SOURCE:-redispan}"},
        wants_delta=True,
        notes=[
            "Takes delta metrics only. The intake for traces is a preview that Datadog has to switch on for you;",
            "without it use the contrib image's own `datadog` exporter, or an Agent with backends/otlp-grpc.yaml.",
        ],
    ),
    Vendor(
        "elastic",
        "Elastic",
        {"endpoint": "${env:ELASTIC_OTLP_ENDPOINT:-https://unset.elastic.cloud}"},
        {"Authorization": "ApiKey ${env:ELASTIC_API_KEY}"},
    ),
    Vendor(
        "splunk",
        "Splunk Observability Cloud",
        {
            "traces_endpoint": "https://ingest.${env:SPLUNK_REALM:-us0}.observability.splunkcloud.com/v2/trace/otlp",
            "metrics_endpoint": "https://ingest.${env:SPLUNK_REALM:-us0}.observability.splunkcloud.com/v2/datapoint/otlp",
        },
        {"X-SF-Token": "${env:SPLUNK_ACCESS_TOKEN}"},
        signals=("traces", "metrics"),
        notes=[
            "Logs go to Splunk by HEC, which is not OTLP: alert events arrive as the counter redis.client.alert.events."
        ],
    ),
    Vendor(
        "signoz",
        "SigNoz Cloud",
        {"endpoint": "https://ingest.${env:SIGNOZ_REGION:-eu}.signoz.cloud:443"},
        {"signoz-ingestion-key": "${env:SIGNOZ_INGESTION_KEY}"},
    ),
]


def main() -> int:
    """Writes the files, or with --check says which ones are out of date."""
    wanted = {BACKENDS / f"vendor-{vendor.name}.yaml": render(vendor) for vendor in VENDORS}
    stale = [path for path, text in wanted.items() if not path.exists() or path.read_text() != text]
    if "--check" in sys.argv:
        print(*(f"out of date: {path.name}" for path in stale), sep="\n")
        return 1 if stale else 0
    for path in stale:
        path.write_text(wanted[path])
        print(f"wrote {path.name}")
    return 0


def render(vendor: Vendor) -> str:
    """Makes the configuration file of one vendor."""
    exporter = f"otlp_http/{vendor.name}"
    delta = f"cumulative_to_delta/{vendor.name}"
    lines = [f"# {vendor.title}, by OTLP over HTTP. Written by collector/tools/vendors.py."]
    lines += [f"# {note}" for note in vendor.notes]
    if vendor.wants_delta:
        lines += ["processors:", f"  {delta}: {{}}"]
    lines += ["exporters:", f"  {exporter}:"]
    lines += [f'    {key}: "{value}"' for key, value in vendor.endpoints.items()]
    lines += ["    headers:"]
    lines += [f'      {key}: "{value}"' for key, value in vendor.headers.items()]
    lines += [
        "    compression: gzip",
        "    timeout: 30s",
        "    retry_on_failure: {enabled: true, initial_interval: 1s, max_interval: 30s, max_elapsed_time: 0s}",
        "    sending_queue:",
        "      enabled: true",
        "      storage: file_storage/queue",
        "      sizer: items",
        "      queue_size: ${env:OTELCOL_QUEUE_ITEMS:-100000}",
        "      num_consumers: 4",
        "      batch: {flush_timeout: 1s, min_size: 4096, max_size: 4096}",
        "service:",
        "  pipelines:",
    ]
    for signal in vendor.signals:
        processors = f"processors: [{delta}], " if vendor.wants_delta and signal == "metrics" else ""
        lines += [f"    {signal}/{vendor.name}: {{receivers: [forward/out], {processors}exporters: [{exporter}]}}"]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
