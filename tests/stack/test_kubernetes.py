"""The operator's resources contain the configuration of collector/config, and the Collector accepts it."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from stack.native.compose_file import pip_install, replayed
from stack.native.programs import Program, eventually
from stack.native.stack import REPOSITORY, Stack, Tools

KUBERNETES = REPOSITORY / "collector" / "kubernetes"
TIERS = ["agent", "server", "gateway"]


def test_resources_are_up_to_date() -> None:
    """The resources are what the current files of collector/config produce."""
    done = subprocess.run(
        [sys.executable, str(REPOSITORY / "collector/tools/kubernetes.py"), "--check"],
        check=False, text=True, capture_output=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout


@pytest.mark.stack
@pytest.mark.parametrize("tier", TIERS)
def test_the_collector_takes_the_resource(tier: str, tools: Tools, tmp_path: Path) -> None:
    """The Collector's check accepts the configuration inside the resource, with the resource's environment."""
    spec = yaml.safe_load((KUBERNETES / f"{tier}.yaml").read_text())["spec"]
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump(spec["config"]))
    environment = {"PATH": os.environ["PATH"], **{entry["name"]: entry["value"] for entry in spec["env"]}}
    done = subprocess.run(
        [tools["otelcol"], "validate", f"--config={file}"],
        check=False, env=environment, text=True, capture_output=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


# The fields of the operator's API (v1beta1, operator 0.158) that redispan's resources use, by their destination.
CONTAINER_FIELDS = {"image", "env", "resources", "volumeMounts", "securityContext"}
POD_FIELDS = {"volumes": "volumes", "podSecurityContext": "securityContext"}
WORKLOADS = {"daemonset": "DaemonSet", "deployment": "Deployment", "statefulset": "StatefulSet"}
WORKLOAD_FIELDS = {"Deployment": {"replicas"}, "StatefulSet": {"replicas", "volumeClaimTemplates"}, "DaemonSet": set()}


def workload(resource: dict[str, Any]) -> dict[str, Any]:
    """Build the workload that the operator makes of a resource. An unknown field fails here."""
    spec = dict(resource["spec"])
    assert set(spec.pop("config")) <= {"extensions", "receivers", "processors", "exporters", "connectors", "service"}
    kind = WORKLOADS[spec.pop("mode")]
    labels = {"app": "a"}
    container = {"name": "otc-container"} | {field: spec.pop(field) for field in CONTAINER_FIELDS & set(spec)}
    pod = {"containers": [container]} | {of: spec.pop(field) for field, of in POD_FIELDS.items() if field in spec}
    assert set(spec) <= WORKLOAD_FIELDS[kind], f"no such field of a {kind}"
    template = {"metadata": {"labels": labels}, "spec": pod}
    more: dict[str, Any] = {"serviceName": "headless"} if kind == "StatefulSet" else {}
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": f"{resource['metadata']['name']}-collector"},
        "spec": {"selector": {"matchLabels": labels}, "template": template, **more, **spec},
    }


@pytest.mark.parametrize("tier", TIERS)
def test_kubernetes_takes_what_the_operator_makes_of_it(tier: str) -> None:
    """Kubernetes knows every field of the workload, each has the required type, and an unknown field is refused."""
    made = workload(yaml.safe_load((KUBERNETES / f"{tier}.yaml").read_text()))
    kubernetes_validate.validate(made, kubernetes_validate.latest_version(), strict=True)
    made["spec"]["template"]["spec"]["containers"][0]["volumeMount"] = []
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(made, kubernetes_validate.latest_version(), strict=True)


@pytest.mark.parametrize("tier", TIERS)
def test_every_mounted_volume_is_there(tier: str) -> None:
    """Every mount names a volume of the pod, or a claim that each pod of a stateful set has for itself."""
    spec = yaml.safe_load((KUBERNETES / f"{tier}.yaml").read_text())["spec"]
    there = [volume["name"] for volume in spec.get("volumes", [])]
    there += [claim["metadata"]["name"] for claim in spec.get("volumeClaimTemplates", [])]
    assert {mount["name"] for mount in spec["volumeMounts"]} == set(there)


def test_addresses_in_the_resources_are_services_that_the_operator_makes() -> None:
    """Agents find the gateways, and programs find the agents, under the names that the operator derives."""
    names = {tier: yaml.safe_load((KUBERNETES / f"{tier}.yaml").read_text())["metadata"]["name"] for tier in TIERS}
    for tier in ("agent", "server"):
        spec = yaml.safe_load((KUBERNETES / f"{tier}.yaml").read_text())["spec"]
        given = {entry["name"]: entry["value"] for entry in spec["env"]}
        assert given["GATEWAY_HOSTNAME"] == f"{names['gateway']}-collector-headless"
        assert given["GATEWAY_ENDPOINT"] == f"dns:///{names['gateway']}-collector-headless:4317"
    programs = yaml.safe_load((KUBERNETES / "instrumentation.yaml").read_text())["spec"]
    assert programs["exporter"]["endpoint"] == f"http://{names['agent']}-collector:4318"


def test_the_instrumentation_has_no_field_that_the_operator_lacks() -> None:
    """The operator knows every field.

    Kubernetes drops an unknown field silently, and the program would lack that setting.
    """
    spec = yaml.safe_load((KUBERNETES / "instrumentation.yaml").read_text())["spec"]
    assert set(spec) <= {"exporter", "propagators", "resource", "sampler", "env", "python"}
    assert set(spec["exporter"]) <= {"endpoint", "tls"}
    assert set(spec["resource"]) <= {"resourceAttributes", "addK8sUIDAttributes"}
    assert set(spec["python"]) <= {"image", "env", "volumeClaimTemplate", "volumeLimitSize", "resourceRequirements"}
    assert set(spec["propagators"]) <= {"tracecontext", "baggage", "b3", "b3multi", "jaeger", "xray", "ottrace", "none"}


@pytest.mark.stack
@pytest.mark.timeout(300)
def test_a_program_is_instrumented_as_the_operator_does_it(stack: Stack, tmp_path: Path) -> None:
    """With the image's folder on the path of a plain program and its command line unchanged, its trace is in Jaeger."""
    folder, source = tmp_path / "autoinstrumentation", tmp_path / "src"
    lines = (KUBERNETES / "autoinstrumentation.Dockerfile").read_text().split("\n\n")[0].splitlines()
    for step in replayed(lines, tmp_path):
        command = step.replace("/src[", f"{source}[").replace("/autoinstrumentation", str(folder))
        pip_install(command, Path(sys.executable))
    assert (folder / "redispan").is_dir()
    assert not (folder / "redis").exists(), "it would shadow the program's own"

    # The program's own interpreter has only redis-py.
    venv.create(tmp_path / "program", symlinks=True, with_pip=False)
    install = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--python", tmp_path / "program", "redis"]
    subprocess.run(install, check=True, timeout=100)
    spec = yaml.safe_load((KUBERNETES / "instrumentation.yaml").read_text())["spec"]
    environment = {
        "PYTHONPATH": f"{folder}/opentelemetry/instrumentation/auto_instrumentation:{folder}",
        "OTEL_TRACES_EXPORTER": "otlp",
        "OTEL_METRICS_EXPORTER": "otlp",
        "OTEL_SERVICE_NAME": "injected",
        "OTEL_PROPAGATORS": ",".join(spec["propagators"]),
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{stack.ports['otlp_http']}",
        "REDIS_URL": stack.redis_url,
        **{entry["name"]: entry["value"] for entry in spec["python"]["env"]},
    }
    text = "import os, redis; c = redis.Redis.from_url(os.environ['REDIS_URL']); c.set('a', 1); print(c.get('a'))"
    program = Program("injected", [tmp_path / "program/bin/python", "-c", text], tmp_path, environment)
    assert program.start().wait(60) == 0, program.log()
    assert "b'1'" in program.log()
    names = eventually(lambda: {span.name for span in stack.jaeger.spans("injected")}, what="its spans")
    assert names == {f"{name} 127.0.0.1:{stack.ports['redis']}" for name in ("SET", "GET")}
    eventually(
        lambda: stack.prometheus.query('db_client_operation_duration_seconds_count{job="injected"}'), what="metrics"
    )


@pytest.mark.parametrize("tier", TIERS)
def test_the_queue_is_on_a_volume(tier: str) -> None:
    """The queue's folder is mounted, so a restarted pod finds the telemetry that it had accepted."""
    spec = yaml.safe_load((KUBERNETES / f"{tier}.yaml").read_text())["spec"]
    mounted = {mount["mountPath"] for mount in spec["volumeMounts"]}
    directory = spec["config"]["extensions"]["file_storage/queue"]["directory"]
    assert any(f":-{path}/" in directory for path in mounted)
