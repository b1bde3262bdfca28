"""Each backend that has a program or a stand-in on this machine receives real data."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import yaml

from servers.otlp_receiver import OtlpReceiver
from stack.native.clients import Jaeger, Prometheus, get_text
from stack.native.collector import Collector
from stack.native.compose_file import replace_all, service
from stack.native.otlp_source import Source, log_record, pairs, span
from stack.native.programs import Program, eventually
from stack.native.stack import COLLECTOR_FILES, REPOSITORY, Stack, Tools
from zero_code import free_port

pytestmark = [pytest.mark.stack, pytest.mark.timeout(120)]

VENDORS = sorted(p.stem for p in (COLLECTOR_FILES / "backends").glob("vendor-*.yaml") if p.stem != "vendor-aws")
KEY = "sesame-4711"
# Every vendor's key, and the header that must carry it.
KEYS = {
    "vendor-grafana-cloud": ("GRAFANA_CLOUD_BASIC", "authorization", f"Basic {KEY}"),
    "vendor-honeycomb": ("HONEYCOMB_API_KEY", "x-honeycomb-team", KEY),
    "vendor-new-relic": ("NEW_RELIC_LICENSE_KEY", "api-key", KEY),
    "vendor-dynatrace": ("DYNATRACE_API_TOKEN", "authorization", f"Api-Token {KEY}"),
    "vendor-datadog": ("DD_API_KEY", "dd-api-key", KEY),
    "vendor-elastic": ("ELASTIC_API_KEY", "authorization", f"ApiKey {KEY}"),
    "vendor-splunk": ("SPLUNK_ACCESS_TOKEN", "x-sf-token", KEY),
    "vendor-signoz": ("SIGNOZ_INGESTION_KEY", "signoz-ingestion-key", KEY),
}


# The AWS service that each signal's request is signed for.
SERVICES = {"traces": "xray", "metrics": "monitoring", "logs": "logs"}


def counter(name: str, value: int) -> dict[str, Any]:
    """Build a cumulative counter with one data point of now."""
    point = span("", attributes={"server.address": "r"})
    return {
        "name": name,
        "unit": "{operation}",
        "sum": {
            "isMonotonic": True,
            "aggregationTemporality": 2,
            "dataPoints": [
                {
                    "startTimeUnixNano": point["startTimeUnixNano"],
                    "timeUnixNano": point["endTimeUnixNano"],
                    "asInt": str(value),
                    "attributes": pairs({"server.address": "r"}),
                }
            ],
        },
    }


def send_all(collector: Collector) -> None:
    """Send one item of each signal."""
    source = Source(collector.url)
    assert source.send_spans(span("GET r:6379", attributes={"db.system.name": "redis"})) == 200
    assert source.send_metrics(counter("redis.client.operations", 7)) == 200
    assert source.send_logs(log_record(eventName="redis.client.alert.error_rate")) == 200


@pytest.fixture
def prometheus(tools: Tools, tmp_path: Path) -> Iterator[Prometheus]:
    """Start a Prometheus that accepts remote write."""
    port = free_port()
    (tmp_path / "prometheus.yml").write_text("global: {scrape_interval: 1s}\n")
    command = [
        tools["prometheus"], "--config.file=prometheus.yml", f"--web.listen-address=127.0.0.1:{port}",
        "--web.enable-remote-write-receiver", "--storage.tsdb.path=data",
    ]  # fmt: skip
    client = Prometheus(f"http://127.0.0.1:{port}")
    program = Program("prometheus", command, tmp_path).start(f"{client.url}/-/ready")
    yield client
    program.stop()


def test_remote_write(tools: Tools, prometheus: Prometheus, tmp_path: Path) -> None:
    """Metrics sent by remote write have the same names in Prometheus as by OTLP, and resource attributes."""
    address = {"PROMETHEUS_REMOTE_WRITE_ENDPOINT": f"{prometheus.url}/api/v1/write"}
    with Collector(tools, tmp_path, ["backends/prometheus-remote-write"], address) as collector:
        send_all(collector)
        found = eventually(lambda: prometheus.query("redis_client_operations_total"), what="the counter")
    assert found[0]["value"][1] == "7"
    assert found[0]["metric"]["job"] == "stand-in"
    assert found[0]["metric"]["server_address"] == "r"


def test_scraping(tools: Tools, tmp_path: Path) -> None:
    """A Prometheus that scrapes with the shipped settings has the same names and the program's own job label."""
    port = free_port()
    shutil.copytree(REPOSITORY / "collector/prometheus/rules", tmp_path / "rules")
    with Collector(tools, tmp_path, ["backends/prometheus-scrape"]) as collector:
        send_all(collector)
        addresses = {"otelcol:8889": f"127.0.0.1:{collector.scrape_port}", "alertmanager:9093": "127.0.0.1:9"}
        shipped = (REPOSITORY / "collector/prometheus/prometheus-scrape.yml").read_text()
        (tmp_path / "prometheus.yml").write_text(
            replace_all(shipped, addresses).replace("_interval: 15s", "_interval: 1s")
        )
        command = [
            tools["prometheus"], "--config.file=prometheus.yml", f"--web.listen-address=127.0.0.1:{port}",
            "--storage.tsdb.path=data",
        ]  # fmt: skip
        client = Prometheus(f"http://127.0.0.1:{port}")
        program = Program("prometheus", command, tmp_path).start(f"{client.url}/-/ready")
        try:
            found = eventually(lambda: client.query("redis_client_operations_total"), what="the counter")
        finally:
            program.kill()
    assert found[0]["value"][1] == "7"
    assert found[0]["metric"]["job"] == "stand-in"


def test_files(tools: Tools, tmp_path: Path) -> None:
    """Each signal is in a separate file, with one JSON document per line."""
    with Collector(tools, tmp_path, ["backends/file"]) as collector:
        send_all(collector)
        for signal, text in (("traces", "GET r:6379"), ("metrics", "redis.client.operations"), ("logs", "error_rate")):
            path = tmp_path / "out-otelcol" / f"{signal}.jsonl"
            eventually(lambda path=path, text=text: text in path.read_text(), what=f"{text} in {path.name}")
            assert all(json.loads(line) for line in path.read_text().splitlines())


def test_debug_log(tools: Tools, tmp_path: Path) -> None:
    """The Collector's own log shows the telemetry that it received."""
    with Collector(tools, tmp_path, ["backends/debug"], {"OTELCOL_DEBUG_VERBOSITY": "normal"}) as collector:
        send_all(collector)
        eventually(lambda: "GET r:6379" in collector.program.log(), what="the span in the log")


def test_otlp_over_grpc_to_another_collector(tools: Tools, tmp_path: Path) -> None:
    """Two Collectors in a row pass on all signals."""
    with (
        OtlpReceiver() as sink,
        Collector(
            tools, tmp_path, ["backends/otlp-http"], {"OTLP_HTTP_ENDPOINT": sink.endpoint}, name="second"
        ) as second,
    ):
        address = {"OTLP_GRPC_ENDPOINT": second.grpc_address, "OTLP_PLAINTEXT": "true"}
        with Collector(tools, tmp_path, ["backends/otlp-grpc"], address, name="first") as first:
            send_all(first)
            sink.wait_for(lambda r: r.spans("GET r:6379"), "the span")
            sink.wait_for(lambda r: r.points("redis.client.operations"), "the metric")
            sink.wait_for(lambda r: r.logs(), "the log record")


def test_loki_gets_its_path(tools: Tools, tmp_path: Path) -> None:
    """Logs arrive at Loki's OTLP path, and no other signal does.

    A stand-in receives them, because no Loki runs here.
    """
    with OtlpReceiver() as sink:
        with Collector(
            tools, tmp_path, ["backends/loki"], {"LOKI_OTLP_ENDPOINT": f"{sink.endpoint}/otlp"}
        ) as collector:
            send_all(collector)
            sink.wait_for(lambda r: r.logs(), "the log record")
        assert {request.path for request in sink.requests()} == {"/otlp/v1/logs"}


def test_victorialogs(tools: Tools, tmp_path: Path) -> None:
    """VictoriaLogs, started as in the compose file, finds logs and alert events by service and by name."""
    port = free_port()
    here = {"/vlogs": str(tmp_path / "vlogs"), "0.0.0.0:9428": f"127.0.0.1:{port}"}
    command, _ = service("victorialogs").native(here)
    program = Program("victorialogs", [tools["victorialogs"], *command], tmp_path)
    program.start(f"http://127.0.0.1:{port}/health")
    try:
        address = {"VICTORIALOGS_OTLP_ENDPOINT": f"http://127.0.0.1:{port}/insert/opentelemetry"}
        with Collector(tools, tmp_path, ["backends/victorialogs"], address) as collector:
            send_all(collector)
            Source(collector.url).send_logs(log_record(body={"stringValue": "an ordinary line"}))
            asked = f"http://127.0.0.1:{port}/select/logsql/query"
            query = '{service.name="stand-in"} event_name:="redis.client.alert.error_rate"'
            found = eventually(lambda: get_text(f"{asked}?{urlencode({'query': query})}"), what="the alert event")
            (event,) = (json.loads(line) for line in found.splitlines())
            eventually(lambda: get_text(f"{asked}?{urlencode({'query': 'ordinary'})}"), what="the log line")
    finally:
        program.kill()
    assert event["event_name"] == "redis.client.alert.error_rate"
    assert event["_stream"] == '{service.name="stand-in"}'


def test_tempo_by_jaegers_receiver(tools: Tools, tmp_path: Path) -> None:
    """The Tempo file sends OTLP over gRPC as Tempo expects. Jaeger receives it, because no Tempo runs here."""
    stack = Stack(tools, tmp_path)
    with stack:
        stack.start_jaeger()
        address = {"TEMPO_OTLP_ENDPOINT": f"127.0.0.1:{stack.ports['jaeger_otlp']}"}
        with Collector(tools, tmp_path, ["backends/tempo"], address) as collector:
            send_all(collector)
            eventually(lambda: "stand-in" in Jaeger(stack.jaeger.url).services(), what="the service")


@pytest.mark.parametrize("vendor", VENDORS)
def test_vendor_gets_key_and_signals(vendor: str, tools: Tools, tmp_path: Path) -> None:
    """The vendor gets the key in the right header, all its signals, and delta temporality where it wants it."""
    settings = yaml.safe_load((COLLECTOR_FILES / "backends" / f"{vendor}.yaml").read_text())
    ((exporter, keys),) = settings["exporters"].items()
    variable, header, value = KEYS[vendor]
    with OtlpReceiver() as sink:
        moved = {
            f"exporters::{exporter}::{key}": sink.endpoint + ("" if key == "endpoint" else "/v1/" + key.split("_")[0])
            for key in keys
            if key.endswith("endpoint")
        }
        with Collector(tools, tmp_path, [f"backends/{vendor}"], {variable: KEY}, moved) as collector:
            # A delta is the difference from an earlier point, so metrics count from the second send on.
            send_all(collector)
            Source(collector.url).send_metrics(counter("redis.client.operations", 9))
            sink.wait_for(lambda r: r.spans("GET r:6379"), "the span")
            found = sink.wait_for(lambda r: r.points("redis.client.operations", latest=False), "the metric")
            if any(name.startswith("logs/") for name in settings["service"]["pipelines"]):
                sink.wait_for(lambda r: r.logs(), "the log record")
        assert {request.headers.get(header) for request in sink.requests()} == {value}
        delta = any(name.startswith("cumulative_to_delta") for name in settings.get("processors", {}))
        assert {point.temporality for point in found} == {"DELTA" if delta else "CUMULATIVE"}


def test_aws_gets_signed_requests(tools: Tools, tmp_path: Path) -> None:
    """At a stand-in, each AWS signal goes to its endpoint, signed for its service, and logs carry their group."""
    credentials = {"AWS_ACCESS_KEY_ID": "AKSESAME", "AWS_SECRET_ACCESS_KEY": KEY, "AWS_EC2_METADATA_DISABLED": "true"}
    with OtlpReceiver() as sink:
        moved = {
            f"exporters::otlp_http/aws_{signal}::{signal}_endpoint": f"{sink.endpoint}/v1/{signal}"
            for signal in ("traces", "metrics", "logs")
        }
        with Collector(tools, tmp_path, ["backends/vendor-aws"], credentials, moved) as collector:
            send_all(collector)
            paths = {f"/v1/{signal}" for signal in SERVICES}
            sink.wait_for(lambda r: {request.path for request in r.requests()} >= paths, "all signals")
        for request in sink.requests():
            signed = request.headers["authorization"]
            assert signed.startswith("AWS4-HMAC-SHA256 Credential=AKSESAME/")
            assert f"/us-east-1/{SERVICES[request.path.rpartition('/')[2]]}/aws4_request" in signed
            assert KEY not in signed
            assert request.headers.get("x-aws-log-group") == ("redispan" if request.path.endswith("logs") else None)


def test_compose_profiles_name_existing_backends() -> None:
    """`docker compose --profile x` and `EXTRA_BACKEND=x` name the same backend x."""
    text = (REPOSITORY / "docker-compose.yml").read_text()
    for name, entry in yaml.safe_load(text)["services"].items():
        for profile in entry.get("profiles", []):
            assert profile == name
            assert service("otelcol", {"EXTRA_BACKEND": profile}).command[3].endswith(f"/{profile}.yaml")
            assert (COLLECTOR_FILES / "backends" / f"{profile}.yaml").exists()
